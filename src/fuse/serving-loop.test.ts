/** The process's own events while its thread serves a device: each in a process of its own. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createKernel } from '../sys/index.ts';

const kernel = createKernel();
const skip = kernel instanceof Error ? `no libc: ${kernel.message}` : false;
const program = fileURLToPath(new URL('../../testing/fuse/serving-loop-child.js', import.meta.url));

/** What the process reports; it must end by itself. */
async function report(what: string): Promise<Record<string, number>> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, what], { timeout: 30_000 });
  return JSON.parse(stdout) as Record<string, number>;
}

describe('a thread that serves a device', { skip }, () => {
  it('serves it whenever there is something', async () => {
    assert.deepEqual(await report('serving'), { servedBytes: 100 });
  });

  it('has its timers at most 150 ms late', async () => {
    const { lateMs } = await report('timers');
    assert.ok(lateMs! <= 150, `${lateMs} ms`);
  });

  it('has its sockets, at once', async () => {
    const { echoes, roundMs } = await report('sockets');
    assert.equal(echoes, 20);
    assert.ok(roundMs! < 50, `${roundMs} ms a round`);
  });

  it('has what its thread pool did, at once', async () => {
    const { reads, readMs } = await report('pool');
    assert.equal(reads, 20);
    // What the loop does not notice waits for 100 ms.
    assert.ok(readMs! < 75, `${readMs} ms a read`);
  });

  it('has what the serving began, at once', async () => {
    const { lateMs } = await report('turns');
    assert.ok(lateMs! < 1, `${lateMs} ms`);
  });

  it('is told when there is nothing to serve, until it has nothing to do then', async () => {
    assert.deepEqual(await report('resting'), { rests: 3, restsWanted: 0 });
  });

  it('has its signals', async () => {
    const child = spawn(process.execPath, [program, 'signals'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      if (output === 'ready\n') child.kill('SIGTERM');
    });
    const [code] = (await once(child, 'exit')) as [number | null];
    assert.equal(code, 0);
    assert.equal(output, 'ready\n{"signal":"SIGTERM"}\n');
  });

  it('takes less than a twentieth of a processor when nothing happens', async () => {
    const { share, waits } = await report('idle');
    assert.ok(share! < 0.05, `${share}`);
    // It knows what libuv waits with: else it looks every millisecond.
    assert.ok(waits! < 200, `${waits} waits in a second`);
  });

  it('ends when the last device is gone', async () => {
    assert.deepEqual(await report('ending'), { servedBytes: 0 });
  });
});
