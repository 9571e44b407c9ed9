/**
 * The type of a mount case, and the files that a case finds. Each case has a directory of its own, filled before the
 * tree is imported: in a mounted fork its files lie in a lower layer when the case opens them. The same cases also run
 * on a plain directory of the host, which proves that they are right.
 */
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { patternBytes } from '../conformance/expect.ts';
import { check, libc } from '../host/libc.ts';

export interface MountFeatures {
  /** The tests run as user 0. */
  readonly root: boolean;
  /** A file in one piece that is open for reading can be opened for writing; with `--io shared` it cannot. */
  readonly writersBesideReaders: boolean;
  /** A read updates an atime that is older than the mtime. */
  readonly relatime: boolean;
  /** rename can leave a whiteout (RENAME_WHITEOUT). */
  readonly whiteouts: boolean;
  /** The kernel can mount overlays whose layers are on this filesystem. */
  readonly overlays: boolean;
}

export interface MountCase {
  readonly name: string;
  readonly needs?: readonly (keyof MountFeatures)[];
  /** Before the tree is imported: adds files to those that `fillDirectory` has made in the case's directory. */
  fill?(root: string): void;
  /** Throws if the filesystem is wrong. `root` is the absolute path of the case's directory. */
  run(root: string): void | Promise<void>;
}

export interface MountGroup {
  readonly name: string;
  readonly cases: readonly MountCase[];
}

export const PAGE = 4096;
/** Sixteen pages: an import packs such a file into one blob with others. */
export const FILE_BYTES = 16 * PAGE;
/** Large enough that an import gives the file a blob of its own. */
export const LARGE_BYTES = 512 * PAGE;

export const fileContent = patternBytes(FILE_BYTES, 1);
export const largeContent = patternBytes(LARGE_BYTES, 2);

/** Fills the directory of a case: the same files for every case. */
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
