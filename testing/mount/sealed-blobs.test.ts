/** In the mode `shared` the kernel has blobs of the store open: nothing that a program can do may write into one. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  constants,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { directoryOnDisk } from '../../src/interface/demo/index.ts';
import { allocateFixed, libc } from '../libc.ts';
import { patternBytes } from '../shared-store.ts';
import { MountServerProcess, whyNoMounts } from './mounted-fork.ts';

const skip = whyNoMounts();
const SIZE = 2 * 1024 * 1024;
const PAGE = 4096;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MS_SYNC = 4;
const FALLOC_FL_PUNCH = 3;
const HANDLE_BYTES_MAX = 128;
const content = patternBytes(SIZE, 9);

/** Path and checksum of every file of the store's blobs. */
function checksums(store: string): Map<string, string> {
  const blobs = join(store, 'blobs');
  const sums = new Map<string, string>();
  for (const name of readdirSync(blobs, { recursive: true, encoding: 'utf8' })) {
    const path = join(blobs, name);
    if (!statSync(path).isFile()) continue;
    sums.set(name, createHash('sha256').update(readFileSync(path)).digest('hex'));
  }
  return sums;
}

/** Does what it can to change the file behind a descriptor, and ignores that it may not. */
function attack(fd: number): void {
  const tries = [
    () => writeSync(fd, 'attack', 0),
    () => writeSync(fd, 'attack', SIZE - 6),
    () => ftruncateSync(fd, 100),
    () => libc().fallocate(fd, FALLOC_FL_PUNCH, 0, PAGE),
    () => libc().fallocate(fd, 0, SIZE, PAGE),
    () => storeThroughMap(fd),
  ];
  for (const one of tries) {
    try {
      one();
    } catch {
      // Refused.
    }
  }
}

function storeThroughMap(fd: number): void {
  const at = libc().mmap(0, SIZE, PROT_READ_WRITE, MAP_SHARED, fd, 0);
  if (at < 0) return;
  // The bytes come by a call, which gives EFAULT where the map does not take them.
  const source = openSync('/dev/zero', 'r');
  libc().read(source, at, PAGE);
  closeSync(source);
  libc().msync(at, SIZE, MS_SYNC);
  libc().munmap(at, SIZE);
}

function attackPath(path: string): void {
  const { O_RDONLY, O_WRONLY, O_RDWR, O_TRUNC, O_APPEND, O_DIRECT } = constants;
  for (const access of [O_RDONLY, O_WRONLY, O_RDWR]) {
    for (const more of [0, O_TRUNC, O_APPEND, O_DIRECT]) {
      try {
        const fd = openSync(path, access | more);
        attack(fd);
        closeSync(fd);
      } catch {
        // Refused.
      }
    }
  }
  try {
    truncateSync(path, 10);
  } catch {
    // Refused.
  }
}

/** open_by_handle_at(2), with the flags of a writer. */
function attackHandle(mount: string, path: string): void {
  const handle = allocateFixed(8 + HANDLE_BYTES_MAX);
  handle.writeUInt32LE(HANDLE_BYTES_MAX, 0);
  if (libc().name_to_handle_at(-100, path, handle, allocateFixed(4), 0) < 0) return;
  const directory = openSync(mount, constants.O_RDONLY);
  const fd = libc().open_by_handle_at(directory, handle, constants.O_RDWR);
  closeSync(directory);
  if (fd < 0) return;
  attack(fd);
  closeSync(fd);
}

describe('a sealed blob behind a mount, shared', { skip }, () => {
  it('is never written to, by a file that is open for reading or by any other way', async () => {
    const source = mkdtempSync(join(directoryOnDisk(), 'ramet-mount-source-'));
    writeFileSync(join(source, 'large'), content);
    await using server = await MountServerProcess.start();
    await server.ask({ kind: 'import', directory: source, name: 'base' });
    rmSync(source, { recursive: true });
    const before = checksums(server.storeDirectory);
    const own = [...before].filter(
      ([name]) => statSync(join(server.storeDirectory, 'blobs', name)).size === SIZE,
    );
    assert.equal(own.length, 1, 'the file is one blob');
    await server.ask({ kind: 'fork', source: 'base', name: 'fork' });
    for (const mount of [await server.mount('fork', 'shared'), await server.mount('base', 'shared')]) {
      const path = join(mount, 'large');
      const reader = openSync(path, constants.O_RDONLY);
      readSync(reader, Buffer.alloc(PAGE));
      if (mount.includes('fork')) chmodSync(path, 0o777);
      attackPath(path);
      // Through its descriptor, which was opened for reading and passed through.
      attackPath(`/proc/self/fd/${reader}`);
      attack(reader);
      attackHandle(mount, path);
      assert.ok(readFileSync(`/proc/self/fd/${reader}`).equals(content), 'a reader keeps what it opened');
      closeSync(reader);
      const after = checksums(server.storeDirectory);
      for (const [name, sum] of own) assert.equal(after.get(name), sum, `blob ${name}`);
      // Nobody reads it now: a writer gets a copy of the pages that it changes.
      attackPath(path);
      attackHandle(mount, path);
      const last = checksums(server.storeDirectory);
      for (const [name, sum] of own) assert.equal(last.get(name), sum, `blob ${name}`);
    }
    assert.notDeepEqual(
      readFileSync(join(server.directory, 'mounts', 'fork-shared', 'large')),
      content,
      'the attacks do change a fork that may be written to',
    );
    assert.ok(readFileSync(join(server.directory, 'mounts', 'base-shared', 'large')).equals(content));
  });
});
