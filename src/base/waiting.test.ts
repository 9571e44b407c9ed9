/** Calls wait for a fork or lock that is busy for a moment; a longer hold is an error. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FsError } from './errors.ts';
import { whileBusy, whileBusyBlocking, yieldToEventLoop } from './waiting.ts';

/** Fails with EBUSY this many times, then returns how often it was called. */
function busyFor(times: number): () => number {
  let calls = 0;
  return () => {
    if (++calls <= times) throw new FsError('EBUSY', { note: `call ${calls}` });
    return calls;
  };
}

test('a call waits for a short hold, with the thread blocked or free for other work', async () => {
  assert.equal(whileBusyBlocking(busyFor(2)), 3);
  let turns = 0;
  void yieldToEventLoop().then(() => turns++);
  assert.equal(await whileBusy(busyFor(2)), 3);
  assert.equal(turns, 1);
  assert.equal(await whileBusy(async () => 'at once'), 'at once');
});

test('a long hold is an error, and any error other than EBUSY is thrown at once', async () => {
  assert.throws(() => whileBusyBlocking(busyFor(100)), { code: 'EBUSY', note: /^call [2-9]/ });
  await assert.rejects(whileBusy(busyFor(100), 20), { code: 'EBUSY', note: /^call [2-9]/ });
  const busyThenGone = busyFor(1);
  const gone = (): never => {
    busyThenGone();
    throw new FsError('ENOENT');
  };
  assert.throws(() => whileBusyBlocking(gone), { code: 'ENOENT' });
  await assert.rejects(
    whileBusy(async () => {
      throw new FsError('EIO');
    }),
    { code: 'EIO' },
  );
});
