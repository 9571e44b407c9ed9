/** A process's own events while its thread serves a device. Each test runs a separate process. */
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

/** The report of the child process, which must end without a signal. */
async function report(what: string): Promise<Record<string, number>> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, what], { timeout: 30_000 });
  return JSON.parse(stdout) as Record<string, number>;
}

describe('a thread that serves a device', { skip }, () => {
  it('serves it whenever it is readable', async () => {
    assert.deepEqual(await report('serving'), { servedBytes: 100 });
  });

  it('runs its timers at most 150 ms late', async () => {
    const { lateMs } = await report('timers');
    assert.ok(lateMs! <= 150, `${lateMs} ms`);
  });

  it('gets its sockets’ events at once', async () => {
    const { echoes, roundMs } = await report('sockets');
    assert.equal(echoes, 20);
    assert.ok(roundMs! < 50, `${roundMs} ms a round`);
  });

  it('gets results of its thread pool at once', async () => {
    const { reads, readMs } = await report('pool');
    assert.equal(reads, 20);
    // An event that does not wake the loop waits for 100 ms.
    assert.ok(readMs! < 75, `${readMs} ms a read`);
  });

  it('continues without delay the work that serving began', async () => {
    const { lateMs } = await report('turns');
    assert.ok(lateMs! < 1, `${lateMs} ms`);
  });

  it('rests when there is nothing to serve, until it has nothing left to do', async () => {
    assert.deepEqual(await report('resting'), { rests: 3, restsWanted: 0 });
  });

  it('gets its signals', async () => {
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
    // The loop waits on the epoll instance of libuv; polling would wait once every millisecond.
    assert.ok(waits! < 200, `${waits} waits in a second`);
  });

  it('ends when the last device is gone', async () => {
    assert.deepEqual(await report('ending'), { servedBytes: 0 });
  });
});
