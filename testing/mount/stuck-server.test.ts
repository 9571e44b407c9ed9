/** A server that hangs: the watchdog aborts each mount that a program waits for. The mount stays mounted, but dead. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { MountServerProcess, whyNoMounts } from './mounted-fork.ts';

const STUCK_AFTER_MS = 800;
const STALL_MS = 6_000;

/** Runs a program; returns its stderr, and the time that it took. */
function run(program: string, ...args: string[]): { readonly err: string; readonly tookMs: number } {
  const started = performance.now();
  const { stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    timeout: 2 * STALL_MS,
    killSignal: 'SIGKILL',
  });
  return { err: stderr, tookMs: performance.now() - started };
}

describe('a server that stands still', { skip: whyNoMounts() }, () => {
  it('loses the mount that a program waits for, which then is no plain directory, and keeps the other', async () => {
    await using server = await MountServerProcess.start(undefined, undefined, {
      stuckAfterMs: STUCK_AFTER_MS,
    });
    for (const name of ['one', 'two']) await server.ask({ kind: 'empty', name });
    const [one, two] = [await server.mount('one'), await server.mount('two')];
    const stalled = server.ask({ kind: 'stall', durationMs: STALL_MS });
    const first = run('touch', join(one, 'new'));
    assert.match(first.err, /not connected|connection abort/i);
    assert.ok(first.tookMs < STALL_MS, `${first.tookMs} ms`);
    await stalled;
    // Gives the server time to notice.
    await setTimeout(500);
    assert.match(run('touch', join(one, 'lost')).err, /not connected/);
    assert.equal(run('touch', join(two, 'kept')).err, '');
    await server.unmount(one);
    assert.deepEqual(readdirSync(one), [], 'nothing was written below it');
    await server.unmount(two);
    await server.ask({ kind: 'release', tree: 'one' });
    assert.deepEqual((await server.ask({ kind: 'fsck' })).problems, []);
  });
});
