/**
 * What a case of a mount is, and the files that it finds. Each case has a directory of its own, filled before the tree
 * is imported: in a mounted fork its files lie in a lower layer when the case opens them. On a plain directory of the
 * host, where the same cases run to prove them right, they are just files.
 */
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { patternBytes } from '../conformance/expect.ts';
import { check, libc } from '../host/libc.ts';

export interface MountFeatures {
  /** The tests act as user 0. */
  readonly root: boolean;
  /** A file that is open for reading, and lies in one piece, can be opened for writing. Not so with `--io shared`. */
  readonly writersBesideReaders: boolean;
  /** A read moves an atime that is older than the mtime. */
  readonly relatime: boolean;
  /** RENAME_WHITEOUT. */
  readonly whiteouts: boolean;
  /** The kernel mounts overlays over it. */
  readonly overlays: boolean;
}

export interface MountCase {
  readonly name: string;
  readonly needs?: readonly (keyof MountFeatures)[];
  /** Adds to what `fillDirectory` has put into the directory of the case, before the tree is imported. */
  fill?(root: string): void;
  /** Throws when the filesystem is wrong. `root` is the absolute path of the directory of the case. */
  run(root: string): void | Promise<void>;
}

export interface MountGroup {
  readonly name: string;
  readonly cases: readonly MountCase[];
}

export const PAGE = 4096;
/** Sixteen pages, packed with others by an import. */
export const FILE_BYTES = 16 * PAGE;
/** Large enough for an import to give it a blob of its own. */
export const LARGE_BYTES = 512 * PAGE;

export const fileContent = patternBytes(FILE_BYTES, 1);
export const largeContent = patternBytes(LARGE_BYTES, 2);

/** The directory of a case: the same for all of them, but for what a case adds. */
export function fillDirectory(root: string): void {
  mkdirSync(`${root}/directory/inner`, { recursive: true });
  mkdirSync(`${root}/empty`);
  writeFileSync(`${root}/file`, fileContent);
  writeFileSync(`${root}/large`, largeContent);
  writeFileSync(`${root}/small`, 'small\n');
  writeFileSync(`${root}/first`, fileContent);
  linkSync(`${root}/first`, `${root}/second`);
  symlinkSync('small', `${root}/symbolic`);
  writeFileSync(`${root}/directory/shallow`, 'shallow\n');
  writeFileSync(`${root}/directory/inner/deep`, 'deep\n');
}

const POSIX_FADV_DONTNEED = 4;

/** Makes a file durable and drops the kernel's pages of it, so that the next read comes from the filesystem. */
export function dropPages(fd: number): void {
  check(libc().fsync(fd), 'fsync');
  const errno = libc().posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  if (errno !== 0) throw new Error(`posix_fadvise fails with ${errno}`);
}
