/** Opening, naming and syncing files by plain calls of node:fs, the same in every `System`. */
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
import type { NameCalls } from './parts.ts';

const MODE_DEFAULT = 0o666;
export const HAS_PROC = process.platform === 'linux';
/** Where there is no /proc: the paths by which files were opened, by descriptor. */
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

/** open(2) by text or byte path, never inherited by a child process. */
export function openAt(path: Path, flags: number, mode: number): number {
  const fd = attempt('open', path, undefined, () => openSync(path, flags | O_CLOEXEC, mode));
  if (!HAS_PROC) openedBy.set(fd, Buffer.from(path));
  return fd;
}

/**
 * A path to a name in an open directory, valid whatever the directory is called by now. Where there is no /proc, it
 * starts with the path by which the directory was opened.
 */
export function pathIn(directory: number, name: Uint8Array): Buffer {
  const opened = HAS_PROC ? undefined : openedBy.get(directory);
  const path = opened === undefined ? fileLink(directory) : opened.toString('latin1');
  return Buffer.concat([Buffer.from(`${path}/`, 'latin1'), name]);
}

/** The /proc link of a descriptor. It leads to exactly what was opened: to a symlink itself, if that was opened. */
export function fileLink(fd: number): string {
  return `/proc/thread-self/fd/${fd}`;
}

function syncDirectory(path: string): void {
  const fd = openAt(path, O_RDONLY | O_DIRECTORY, 0);
  try {
    fsyncSync(fd);
  } catch (error) {
    // fsync(2): EINVAL where the filesystem cannot sync a directory; its names are then as durable as it can make them.
    if (errnoOf(error) !== EINVAL) throw nodeFailure(error, 'fsync', path);
  } finally {
    closeSync(fd);
  }
}

export const nameCalls: NameCalls = {
  open: (path, flags, mode = MODE_DEFAULT) => openAt(path, flags, mode),
  close: (fd) => attempt('close', undefined, undefined, () => closeSync(fd)),
  truncate: (fd, length) => attempt('ftruncate', undefined, undefined, () => ftruncateSync(fd, length)),
  dataSync: (fd) => attempt('fdatasync', undefined, undefined, () => fdatasyncSync(fd)),
  fullSync: (fd) => attempt('fsync', undefined, undefined, () => fsyncSync(fd)),
  rename: (from, to) => attempt('rename', from, to, () => renameSync(from, to)),
  unlink: (path) => attempt('unlink', path, undefined, () => unlinkSync(path)),
  makeDirectory: (path) => attempt('mkdir', path, undefined, () => void mkdirSync(path)),
  syncDirectory,
  readHostLink: (path) =>
    attempt('readlink', path, undefined, () => readlinkSync(path, { encoding: 'buffer' })),
  openHost: (path, flags, mode = MODE_DEFAULT) => openAt(path, flags | O_NOFOLLOW, mode),
};
