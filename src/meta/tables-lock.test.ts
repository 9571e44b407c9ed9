/** The lock of the tables, and limited waits for it. */
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

/** A process that has a directory locked for some time. */
async function holderOf(directory: string, seconds: number): Promise<ChildProcess> {
  const command = ['sh', '-c', `echo locked; exec sleep ${seconds}`];
  const holder = spawn('flock', ['--no-fork', directory, ...command], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(holder.stdout, 'data');
  return holder;
}

const skip = nativeOnly;

test('a holder that is stopped is named, and not waited for any longer', { skip }, async (context) => {
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
  // After a wait that timed out, the next ones are short.
  const nextMs = durationOf(refused);
  assert.ok(nextMs < 800, `${nextMs} ms`);
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  assert.equal(take(), first + 1);
  await tables.close();
});

test('a holder that releases it soon is waited for', { skip }, async (context) => {
  const directory = scratchDirectory(context);
  const tables = MetaTables.open(directory, {}, { lockWaitMsMax: 60_000 });
  await holderOf(directory, 1.5);
  const waitedMs = durationOf(() => void tables.transaction(() => tables.allocate('nextLayer')));
  assert.ok(waitedMs > 100, `${waitedMs} ms`);
  await tables.close();
});
