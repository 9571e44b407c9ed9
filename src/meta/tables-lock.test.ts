/** The lock of the tables: a wait for this lock ends after a time limit. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { MetaTables } from './tables.ts';

/** How long `work` takes, in milliseconds. */
function durationOf(work: () => void): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}

/** Starts a process that locks `directory` for `seconds`, and returns once it has the lock. */
async function holderOf(directory: string, seconds: number): Promise<ChildProcess> {
  const command = ['sh', '-c', `echo locked; exec sleep ${seconds}`];
  const holder = spawn('flock', ['--no-fork', directory, ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  return holder;
}

const skip = nativeOnly;

test('a wait for a lock that is not released ends with ETIMEDOUT, which names the holder', {
  skip,
}, async (context) => {
  const directory = scratchDirectory(context);
  const tables = MetaTables.open(directory, {}, { lockWaitMsMax: 800 });
  const take = (): number => tables.transaction(() => tables.allocate('nextLayer'));
  const first = take();
  const holder = await holderOf(directory, 60);
  const refused = (): void =>
    assert.throws(take, {
      code: 'ETIMEDOUT',
      syscall: 'flock',
      path: directory,
      message: new RegExp(`process ${holder.pid} has had the tables .* locked for 0.8 s`),
    });
  const firstMs = durationOf(refused);
  assert.ok(firstMs >= 800, `${firstMs} ms`);
  // After one wait has timed out, later waits are shorter.
  const nextMs = durationOf(refused);
  assert.ok(nextMs < 800, `${nextMs} ms`);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  assert.equal(take(), first + 1);
  await tables.close();
});

test('a lock that its holder releases soon is waited for', { skip }, async (context) => {
  const directory = scratchDirectory(context);
  const tables = MetaTables.open(directory, {}, { lockWaitMsMax: 60_000 });
  await holderOf(directory, 1.5);
  const waitedMs = durationOf(() => void tables.transaction(() => tables.allocate('nextLayer')));
  assert.ok(waitedMs > 100, `${waitedMs} ms`);
  await tables.close();
});
