/** Plays what it is told to, one after the other, and tells how it went. */
import { type Play, play } from './play-seed.ts';

process.on('message', async (message) => {
  // What main.ts of this folder sends.
  process.send!(await play(message as Play));
});
