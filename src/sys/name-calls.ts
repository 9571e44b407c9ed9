/** Calls that open, name and sync files through node:fs. Every `System` uses them. */
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readlinkSync,
  renameSync,
  unlinkSync,
} from 'node:fs';
import { EINVAL, errnoOf, nodeFailure } from './errno.ts';
import { O_CLOEXEC, O_DIRECTORY, O_NOFOLLOW, O_RDONLY } from './open-flags.ts';
import type { System } from './system.ts';

const MODE_DIRECTORY = 0o700;
export const HAS_PROC = process.platform === 'linux';
/** The paths by which files were opened, by descriptor; empty where there is /proc. */
const openedBy = new Map<number, Buffer>();

type Path = string | Buffer;

/** Runs one call and gives its failure the name of the system call and the paths. */
export function attempt<T>(
  syscall: string,
  path: Path | undefined,
  dest: Path | undefined,
  call: () => T,
): T {
  try {
    return call();
  } catch (error) {
    throw nodeFailure(error, syscall, path, dest);
  }
}

/** Opens a file by a path in text or bytes. Child processes do not inherit the descriptor. */
export function openAt(path: Path, flags: number, mode?: number): number {
  const fd = attempt('open', path, undefined, () => openSync(path, flags | O_CLOEXEC, mode));
  if (!HAS_PROC) openedBy.set(fd, Buffer.from(path));
  return fd;
}

/**
 * A path to a name in an open directory. With /proc the path stays valid when the directory is renamed. Without /proc
 * the result begins with the path by which the directory was opened.
 */
export function pathIn(directory: number, name: Uint8Array): Buffer {
  const opened = HAS_PROC ? undefined : openedBy.get(directory);
  const path = opened === undefined ? fileLink(directory) : opened.toString('latin1');
  return Buffer.concat([Buffer.from(`${path}/`, 'latin1'), name]);
}

/** The /proc link of a descriptor. The link leads to exactly the file that was opened, which may be a symlink. */
export function fileLink(fd: number): string {
  return `/proc/thread-self/fd/${fd}`;
}

function syncDirectory(path: string): void {
  const fd = openAt(path, O_RDONLY | O_DIRECTORY, 0);
  try {
    fsyncSync(fd);
  } catch (error) {
    // EINVAL, fsync(2): the filesystem cannot sync directories, so its names are as durable as it can make them.
    if (errnoOf(error) !== EINVAL) throw nodeFailure(error, 'fsync', path);
  } finally {
    closeSync(fd);
  }
}

export const nameCalls = {
  open: (path, flags, mode) => openAt(path, flags, mode),
  close: (fd) => attempt('close', undefined, undefined, () => closeSync(fd)),
  truncate: (fd, length) => attempt('ftruncate', undefined, undefined, () => ftruncateSync(fd, length)),
  dataSync: (fd) => attempt('fdatasync', undefined, undefined, () => fdatasyncSync(fd)),
  fullSync: (fd) => attempt('fsync', undefined, undefined, () => fsyncSync(fd)),
  rename: (from, to) => attempt('rename', from, to, () => renameSync(from, to)),
  unlink: (path) => attempt('unlink', path, undefined, () => unlinkSync(path)),
  makeDirectory: (path) => attempt('mkdir', path, undefined, () => void mkdirSync(path, MODE_DIRECTORY)),
  syncDirectory,
  readHostLink: (path) =>
    attempt('readlink', path, undefined, () => readlinkSync(path, { encoding: 'buffer' })),
  openHost: (path, flags, mode) => openAt(path, flags | O_NOFOLLOW, mode),
} satisfies Partial<System>;
