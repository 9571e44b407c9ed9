/** The identity of host files: forks of directories whose filesystems and files look alike do not mix them up. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';

const CHILD = fileURLToPath(new URL('../../testing/host/host-identity-child.js', import.meta.url));

/** The cases of host-identity-child.ts, with the programs that each needs besides mount(8). */
const CASES: readonly (readonly [name: string, ...programs: string[]])[] = [
  ['an image and its copy, at two places', 'mkfs.ext4'],
  ['a copy of an image where the image was', 'mkfs.ext4'],
  ['another filesystem, made with the same birth, where one was', 'mkfs.ext4'],
  ['subvolumes and snapshots of btrfs', 'mkfs.btrfs'],
  ['a directory and a bind mount of it'],
  ['an overlay of filesystems whose files have the same inode numbers'],
  ['a tmpfs that was made again'],
  ['a directory that was moved away, and another in its place'],
  ['inode numbers that are used again', 'mkfs.ext4'],
  ['a FUSE server that knows no times of birth and gives numbers out again'],
];

describe('forks of directories that look alike', { skip: mountsOnly, concurrency: 2 }, () => {
  for (const [name, ...programs] of CASES) {
    const missing = programs.find((program) => spawnSync('which', [program]).status !== 0);
    test(name, { skip: missing === undefined ? false : `needs ${missing}` }, (context) => {
      const directory = scratchDirectory(context);
      const child = ['--mount', process.execPath, CHILD, name, directory];
      const { status, stderr } = spawnSync('unshare', child, { encoding: 'utf8', timeout: 120_000 });
      assert.equal(status, 0, stderr);
    });
  }
});
