/** Plays the histories that it is given, one after the other, and reports each result. */
import { type Play, play } from './play-seed.ts';

process.on('message', async (message) => {
  // What main.ts of this folder sends.
  process.send!(await play(message as Play));
});
