/** A full disk under mounts: programs get ENOSPC, nothing else is harmed, and removing files gives space back. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { patternBytes } from '../conformance/expect.ts';
import { MountServerProcess, whyNoMounts } from './mounted-fork.ts';

const DISK_MIB = 48;
const MIB = 1024 * 1024;
const KEPT = patternBytes(100_000, 5);

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOSPC';
}

/** Writes until the disk is full; returns the number of pieces written. */
function fill(write: (index: number) => void): number {
  for (let index = 0; ; index++) {
    assert.ok(index < 1_000_000, 'the disk becomes full');
    try {
      write(index);
    } catch (error) {
      assert.ok(isFull(error), String(error));
      return index;
    }
  }
}

function fillFile(path: string): number {
  const fd = openSync(path, 'w');
  try {
    const piece = Buffer.alloc(MIB, 1);
    return fill(() => void writeSync(fd, piece));
  } finally {
    closeSync(fd);
  }
}

function syncFile(path: string): void {
  const fd = openSync(path, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

describe('a full disk under mounts', { skip: whyNoMounts() }, () => {
  it('fails calls that need space, harms nothing else, and has space again after a file was removed', async () => {
    const disk = mkdtempSync(join(tmpdir(), 'ramet-full-'));
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'tmpfs', disk]);
    try {
      const work = join(disk, 'work');
      const source = join(disk, 'source');
      for (const directory of [work, source]) mkdirSync(directory);
      writeFileSync(join(source, 'kept'), KEPT);
      await using server = await MountServerProcess.start(work);
      await server.ask({ kind: 'import', directory: source, name: 'base' });
      for (const name of ['one', 'two']) await server.ask({ kind: 'fork', source: 'base', name });
      const [one, two] = [await server.mount('one'), await server.mount('two')];
      writeFileSync(join(two, 'mine'), KEPT);

      assert.ok(fillFile(join(one, 'large')) > DISK_MIB / 2);
      mkdirSync(join(one, 'small'));
      const small = fill((index) => writeFileSync(join(one, 'small', `${index}`), 'x'));
      assert.ok(small > 0);
      fill((index) => writeFileSync(join(two, `more-${index}`), Buffer.alloc(4096, index)));
      for (const root of [one, two]) assert.deepEqual(readFileSync(join(root, 'kept')), KEPT);
      assert.deepEqual(readFileSync(join(two, 'mine')), KEPT);
      for (let index = 0; index < small; index++)
        assert.equal(readFileSync(join(one, 'small', `${index}`), 'latin1'), 'x');

      unlinkSync(join(one, 'large'));
      syncFile(join(one, 'kept'));
      assert.ok(statfsSync(disk).bavail * 4096 > (DISK_MIB / 4) * MIB, 'the disk has its space back');
      writeFileSync(join(two, 'again'), KEPT);
      assert.deepEqual(readFileSync(join(two, 'again')), KEPT);
      assert.ok(readdirSync(join(one, 'small')).length >= small);

      await server.unmount(one);
      await server.unmount(two);
      assert.deepEqual((await server.ask({ kind: 'fsck' })).problems, []);
      await server.ask({ kind: 'close' });
    } finally {
      execFileSync('umount', ['--lazy', disk]);
      rmSync(disk, { recursive: true });
    }
  });
});
