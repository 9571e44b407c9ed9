/** Child process of main.ts: plays each history that it is sent, and reports the result. */
import { type Play, play } from './play-seed.ts';

process.on('message', async (message) => {
  // The cast: main.ts sends this.
  process.send!(await play(message as Play));
});
