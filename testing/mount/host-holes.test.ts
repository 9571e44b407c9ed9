/**
 * Holes of host files through mounts of forks, in every mode: lseek(2), stat, cp and tar see the same holes of random
 * files as on the host, before the fork changes them and after.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { SeededRandom } from '../../src/base/index.ts';
import { directoryOnDisk } from '../../src/demo/index.ts';
import type { IoMode } from '../../src/fuse/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import {
  assertSameSeeks,
  blocksAfter,
  blocksOf,
  changeHostFile,
  dataWalk,
  hostSeeks,
  hostWalk,
  makeLargeSparse,
  randomChanges,
} from '../trees/sparse-files.ts';
import { MountServerProcess, whyNoMounts } from './mounted-fork.ts';

const skip = whyNoMounts();
const modes: readonly IoMode[] = ['cached', 'direct', 'shared'];
const SEEDS = 8;
const system = createSystem();

interface Scene {
  readonly source: string;
  readonly scratch: string;
  readonly server: MountServerProcess;
  readonly names: readonly string[];
  mount(isPinned: boolean, io: IoMode): Promise<string>;
}

async function withMounts(work: (scene: Scene) => Promise<void>): Promise<void> {
  const scratch = fs.realpathSync(fs.mkdtempSync(join(directoryOnDisk(), 'ramet-mount-holes-')));
  const source = join(scratch, 'source');
  fs.mkdirSync(source);
  await using server = await MountServerProcess.start();
  try {
    const names = Array.from({ length: SEEDS }, (_, seed) => `${seed}`);
    for (const name of names) {
      const random = new SeededRandom(Number(name));
      changeHostFile(system, join(source, name), randomChanges(random, 2 + random.below(12)));
    }
    // The host may count blocks differently once it has written them to disk.
    execFileSync('sync', ['--file-system', source]);
    const mount = async (isPinned: boolean, io: IoMode): Promise<string> => {
      const name = `${io}-${isPinned}`;
      await server.ask({ kind: 'forkHost', directory: source, name, isPinned });
      return await server.mount(name, io);
    };
    await work({ source, scratch, server, names, mount });
    assert.deepEqual((await server.ask({ kind: 'fsck' })).problems, []);
  } finally {
    fs.rmSync(scratch, { recursive: true, force: true });
  }
}

/** Asserts that stat and lseek give the same for a mounted file as for the host's. */
function isAsOnHost(mounted: string, onHost: string, label: string): void {
  const [actual, expected] = [hostSeeks(system, mounted), hostSeeks(system, onHost)];
  try {
    assertSameSeeks(actual, expected, new SeededRandom(1), label);
  } finally {
    actual.close();
    expected.close();
  }
  // The host may count in units of 512 bytes; a mount counts whole blocks of 4,096 bytes.
  const blocks = Math.ceil(fs.statSync(onHost).blocks / 8) * 8;
  assert.equal(fs.statSync(mounted).blocks, blocks, label);
}

/** Asserts that a mounted file has data in exactly these blocks, and the bytes of the host file. */
function has(mounted: string, expected: readonly number[], onHost: string, label: string): void {
  assert.deepEqual(blocksOf(hostWalk(system, mounted)), expected, label);
  assert.equal(fs.statSync(mounted).blocks, expected.length * 8, label);
  assert.ok(fs.readFileSync(mounted).equals(fs.readFileSync(onHost)), label);
}

function copyOf(path: string, copy: string): string {
  execFileSync('cp', ['--sparse=auto', path, copy]);
  return copy;
}

describe('holes of host files through a mount', { skip }, () => {
  for (const io of modes) {
    for (const isPinned of [false, true]) {
      it(`are as on the host, ${io}${isPinned ? ', pinned' : ''}`, () =>
        withMounts(async ({ source, scratch, server, names, mount }) => {
          const fork = await mount(isPinned, io);
          try {
            for (const name of names) {
              const [mounted, onHost] = [join(fork, name), join(source, name)];
              isAsOnHost(mounted, onHost, `untouched, ${name}`);
              const [copy, inFork] = [copyOf(mounted, join(scratch, name)), join(fork, `copy-${name}`)];
              const wanted = copyOf(onHost, join(scratch, `${name}-wanted`));
              assert.deepEqual(hostWalk(system, copy), hostWalk(system, wanted), `cp, ${name}`);
              has(copyOf(mounted, inFork), blocksOf(hostWalk(system, wanted)), onHost, `cp inside, ${name}`);
              if (name === '0') fs.chmodSync(mounted, 0o600);
              isAsOnHost(mounted, onHost, `chmod, ${name}`);
            }
            // tar finds the holes: the archive is as long as that of the host's directory.
            const [ours, theirs] = [fork, source].map((directory) =>
              execFileSync('tar', ['-cS', '-C', directory, ...names], { maxBuffer: 2 ** 28 }),
            );
            assert.equal(ours!.length, theirs!.length, 'tar -S');
            for (const name of names) {
              const [mounted, onHost, copy] = [join(fork, name), join(source, name), join(scratch, name)];
              const changes = randomChanges(new SeededRandom(Number(name) + 1000), 1 + (Number(name) % 4));
              const data = blocksOf(hostWalk(system, onHost));
              const expected = blocksAfter(data, fs.statSync(onHost).size, changes);
              for (const path of [mounted, copy]) changeHostFile(system, path, changes);
              has(mounted, expected, copy, `written, ${name}`);
            }
          } finally {
            await server.unmount(fork);
          }
        }));
    }

    it(`are not read by cp, ${io}`, () =>
      withMounts(async ({ source, scratch, server, mount }) => {
        makeLargeSparse(system, join(source, 'large'));
        const fork = await mount(false, io);
        try {
          assert.deepEqual(hostWalk(system, join(fork, 'large')), [[2 ** 30, 2 ** 30 + 4096]]);
          for (const to of [join(scratch, 'large'), join(fork, 'copy')]) {
            copyOf(join(fork, 'large'), to);
            assert.deepEqual(hostWalk(system, to), [[2 ** 30, 2 ** 30 + 4096]]);
            assert.equal(fs.statSync(to).blocks, 8);
          }
          // A program that reads the holes gets zeros.
          const seeks = hostSeeks(system, join(fork, 'large'));
          assert.equal(dataWalk(seeks).length, 1);
          seeks.close();
          const fd = fs.openSync(join(fork, 'large'), 'r');
          const bytes = Buffer.alloc(2 ** 20, 'y');
          assert.equal(fs.readSync(fd, bytes, 0, bytes.length, 2 ** 30 - 2 ** 19), bytes.length);
          assert.equal(bytes.indexOf('x'), 2 ** 19);
          bytes.fill(0, 2 ** 19, 2 ** 19 + 4096);
          assert.ok(bytes.equals(Buffer.alloc(2 ** 20)));
          fs.closeSync(fd);
        } finally {
          await server.unmount(fork);
        }
      }));
  }
});
