/** A directory of the host as the lower of a fork: found, and refused where it would read itself. */
import { FsError, isFsError, nameFromBytes, nameToBytes, nameToString } from '../base/index.ts';
import { isMountOfRamet } from '../layer/index.ts';
import type { HostSource } from '../meta/index.ts';
import type { System } from '../sys/index.ts';

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;

/** Whether a lower is named by a path: a tree's name has no slash in it. */
export function isHostPath(lower: string): boolean {
  return lower.includes('/') || lower === '.' || lower === '..';
}

/** ENOENT, ENOTDIR, EACCES of the host; ELOOP for what a mount of a store shows. */
export function hostSource(system: System, directory: string, isPinned: boolean): HostSource {
  const path = realPath(system, directory);
  const stat = system.statHost(nameToBytes(path), true);
  if ((stat.mode & S_IFMT) !== S_IFDIR) {
    throw new FsError('ENOTDIR', { syscall: 'fork', path: directory, note: 'a lower is a directory' });
  }
  if (isMountOfRamet(system, path)) {
    const note =
      'it is what Ramet shows itself: fork the tree that is mounted there by its name, see `ramet ls --mounts`';
    throw new FsError('ELOOP', { syscall: 'fork', path: directory, note });
  }
  return { path, ino: stat.ino, birth: stat.btime, isPinned };
}

/** realpath(3), a byte string. */
function realPath(system: System, directory: string): string {
  try {
    return nameFromBytes(system.realHostPath(Buffer.from(directory)));
  } catch (error) {
    if (!isFsError(error)) throw error;
    throw new FsError(error.code, { syscall: 'fork', path: nameToString(directory), note: error.note });
  }
}
