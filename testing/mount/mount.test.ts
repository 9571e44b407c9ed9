/** Mounted forks: mount cases and the conformance suite of node:fs, on forks and forks of forks, in every mode. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { directoryOnDisk } from '../../src/demo/index.ts';
import type { IoMode } from '../../src/fuse/index.ts';
import { hostFeatures } from '../conformance/host.ts';
import { runConformance } from '../conformance/run.ts';
import { MountServerProcess, whyNoMounts } from './mounted-fork.ts';
import { featuresOf, fillCases, runMountCases } from './run.ts';

const skip = whyNoMounts();
const modes: readonly IoMode[] = ['cached', 'direct', 'shared'];

/** A server over a store with a snapshot of the directories of all cases. */
async function serveCases(): Promise<MountServerProcess> {
  const source = mkdtempSync(join(directoryOnDisk(), 'ramet-mount-source-'));
  try {
    fillCases(source);
    const server = await MountServerProcess.start();
    await server.ask({ kind: 'import', directory: source, name: 'base' });
    return server;
  } finally {
    rmSync(source, { recursive: true });
  }
}

for (const io of modes) {
  describe(`mounts, ${io}`, { skip }, () => {
    let server: MountServerProcess;
    let [fork, forkOfFork] = ['', ''];
    before(async () => {
      server = await serveCases();
      await server.ask({ kind: 'fork', source: 'base', name: 'fork' });
      await server.ask({ kind: 'fork', source: 'fork', name: 'fork-of-fork' });
      fork = await server.mount('fork', io);
      forkOfFork = await server.mount('fork-of-fork', io);
    });
    after(async () => {
      try {
        for (const mount of [fork, forkOfFork]) await server.unmount(mount);
        const { problems } = await server.ask({ kind: 'fsck' });
        assert.deepEqual(problems, []);
        await server.ask({ kind: 'close' });
      } finally {
        await server[Symbol.asyncDispose]();
      }
    });

    const features = featuresOf(io);
    runMountCases({ name: 'a fork', features, root: () => fork });
    runMountCases({ name: 'a fork of a fork', features, root: () => forkOfFork });

    let count = 0;
    runConformance({
      name: 'a mounted fork',
      features: hostFeatures,
      create() {
        const root = `${realpathSync(fork)}/conformance-${count++}`;
        mkdirSync(root);
        return {
          name: 'a mounted fork',
          fs,
          root,
          isHost: true,
          umask: process.umask(),
          features: hostFeatures,
        };
      },
      dispose: ({ root }) => rmSync(root, { recursive: true, force: true }),
    });
  });
}

describe('an empty fork', { skip }, () => {
  it('can be mounted, filled, unmounted and mounted again, and still has its files', async () => {
    await using server = await MountServerProcess.start();
    await server.ask({ kind: 'empty', name: 'empty' });
    const first = await server.mount('empty');
    assert.deepEqual(fs.readdirSync(first), []);
    fs.writeFileSync(join(first, 'file'), 'content');
    await server.unmount(first);
    assert.deepEqual(fs.readdirSync(first), [], 'the directory below the mount');
    const second = await server.mount('empty', 'direct');
    assert.equal(fs.readFileSync(join(second, 'file'), 'utf8'), 'content');
    await server.unmount(second);
    assert.deepEqual((await server.ask({ kind: 'fsck' })).problems, []);
  });
});
