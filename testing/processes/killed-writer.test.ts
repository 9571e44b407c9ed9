/** A process that is killed in the middle of a transaction does not block other processes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SharedStore } from '../stores/shared-store.ts';
import { Child } from './child.ts';

const KILLS = 8;
const PATIENCE_MS = 20_000;

test('other processes can close and open the store after a process was killed in a transaction', async () => {
  await using scratch = new SharedStore();
  await (await scratch.open()).close();
  for (let kill = 0; kill < KILLS; kill++) {
    await using closing = new Child('closing-child', scratch.directory);
    await closing.next();
    await using writer = new Child('waiting-child', scratch.directory);
    await writer.next();
    await writer.ask({});
    await writer.kill();
    // A process that hangs cannot report it, so it is killed after a while.
    const tooLong = setTimeout(() => void closing.kill(), PATIENCE_MS);
    assert.equal(await closing.ask({}), 'closed');
    clearTimeout(tooLong);
  }
});
