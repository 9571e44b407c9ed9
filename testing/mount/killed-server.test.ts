/** `kill -9` of a process that serves ten mounts, while programs write through them: nothing acknowledged is lost. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { SeededRandom } from '../../src/base/index.ts';
import { directoryOnDisk } from '../../src/demo/index.ts';
import { Child } from '../processes/child.ts';
import { MountServerProcess, whyNoMounts } from './mounted-fork.ts';
import type { WritingAnswer } from './writing-child.ts';
import { digestsOf, isAsReported } from './written-files.ts';

const MOUNTS = 10;
const WRITERS = 2;
/** Each round takes about a second. */
const ROUNDS = Number(process.env.RAMET_KILL_ROUNDS ?? 5);
const DELAY_MS_MAX = 400;

async function mountForks(server: MountServerProcess): Promise<string[]> {
  const points: string[] = [];
  for (let at = 0; at < MOUNTS; at++) points.push(await server.mount(`fork-${at}`, 'cached'));
  return points;
}

/** Starts writers in the mounts; each writer has mounts of its own. */
async function startWriters(points: readonly string[], seed: number, folder: string): Promise<Child[]> {
  const writers: Child[] = [];
  for (let at = 0; at < WRITERS; at++) {
    const own = points.filter((_point, index) => index % WRITERS === at).map((point) => join(point, folder));
    for (const directory of own) mkdirSync(directory);
    const writer = new Child('../mount/writing-child', `${seed + at * MOUNTS}`, ...own);
    assert.equal(await writer.next(), 'ready');
    writers.push(writer);
  }
  return writers;
}

/** Asserts that every directory has all acknowledged changes, and any part of the one change that was under way. */
function expectNothingLost({ code, reports }: WritingAnswer): number {
  assert.ok(code === 'ENOTCONN' || code === 'ECONNABORTED', `the writer ended with ${code}`);
  let changes = 0;
  for (const report of reports) {
    changes += report.changes;
    // This comparison fails, and shows the content.
    if (!isAsReported(report)) assert.deepEqual(digestsOf(report.directory), report.acknowledged);
  }
  return changes;
}

describe('a killed server', { skip: whyNoMounts() }, () => {
  it(`loses nothing that was acknowledged, ${ROUNDS} times, and is mounted again`, async () => {
    const directory = mkdtempSync(join(directoryOnDisk(), 'ramet-killed-'));
    const random = new SeededRandom(4);
    let server = await MountServerProcess.start(directory);
    try {
      for (let at = 0; at < MOUNTS; at++) await server.ask({ kind: 'empty', name: `fork-${at}` });
      for (let round = 0; round < ROUNDS; round++) {
        const points = await mountForks(server);
        const writers = await startWriters(points, 1000 * round, `round-${round}`);
        await setTimeout(random.below(DELAY_MS_MAX));
        await server.kill();
        const answers = await Promise.all(writers.map((writer) => writer.next<WritingAnswer>()));
        assert.throws(() => statSync(join(points[0]!, `round-${round}`)), { code: 'ENOTCONN' });
        server.clearMounts();
        server = await MountServerProcess.start(directory);
        await mountForks(server);
        const changes = answers.reduce((sum, answer) => sum + expectNothingLost(answer), 0);
        assert.ok(round === 0 || changes > 0, 'the writers made changes');
        for (const point of points) await server.unmount(point);
        assert.deepEqual((await server.ask({ kind: 'fsck' })).problems, []);
      }
    } finally {
      await server[Symbol.asyncDispose]();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
