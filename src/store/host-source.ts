/** Finds a directory of the host for a fork to stand on. Refuses a directory in which the fork would read itself. */
import { posix } from 'node:path';
import {
  FsError,
  isFsError,
  isSymlinkMode,
  nameFromBytes,
  nameToBytes,
  nameToString,
  SYMLINKS_MAX,
} from '../base/index.ts';
import {
  directoryIdentity,
  HostLayer,
  type Lower,
  leadsThroughRamet,
  openDirectory,
  UnionLayer,
} from '../lower/index.ts';
import type { HostSource } from '../meta/index.ts';
import { HostMounts, type System } from '../sys/index.ts';

/**
 * The real path and identity of a host directory, which is given as an absolute path. Errors: ENOENT, ENOTDIR, EACCES
 * of the host; ELOOP for a directory in a mount of a store.
 */
export function hostSource(system: System, directory: string, isPinned: boolean): HostSource {
  try {
    const path = realPath(system, nameFromBytes(Buffer.from(directory)));
    const fd = openDirectory(system, path);
    try {
      return { ...directoryIdentity(system, fd), path, isPinned };
    } finally {
      system.close(fd);
    }
  } catch (error) {
    if (!isFsError(error)) throw error;
    const note = error.code === 'ENOTDIR' ? 'a lower is a directory' : error.note;
    throw error.in({ syscall: 'fork', path: directory, note });
  }
}

/**
 * Like realpath(3), for a byte string. Resolves one name at a time, so that no call reaches a mount of Ramet: if this
 * process serves the mount, the call would wait for itself.
 */
function realPath(system: System, path: string): string {
  let rest = path.split('/');
  let above = '';
  const mounts = new HostMounts(system);
  requireOther(mounts, path);
  for (let links = 0; rest.length > 0; ) {
    const [name = '', ...below] = rest;
    rest = below;
    if (name === '' || name === '.') continue;
    if (name === '..') {
      above = above.slice(0, Math.max(0, above.lastIndexOf('/')));
      continue;
    }
    const here = `${above}/${name}`;
    if (!isSymlinkMode(system.statHost(nameToBytes(here), false).mode)) {
      above = here;
      continue;
    }
    if (++links > SYMLINKS_MAX) throw new FsError('ELOOP');
    const target = nameFromBytes(system.readHostLink(nameToBytes(here)));
    if (target.startsWith('/')) above = '';
    rest = [...target.split('/'), ...rest];
    requireOther(mounts, posix.join('/', above, ...rest));
  }
  return above === '' ? '/' : above;
}

function requireOther(mounts: HostMounts, path: string): void {
  if (!leadsThroughRamet(mounts, path)) return;
  const note =
    'it lies in a tree that Ramet has mounted, or is reached through one: ' +
    'fork the tree that is mounted there by its name, see `ramet ls --mounts`';
  throw new FsError('ELOOP', { note });
}

/** The paths of all host directories among `lowers`, and among the lowers of their unions' components. */
export function hostDirectoriesOf(lowers: readonly Lower[]): string[] {
  return lowers.flatMap((layer) => {
    if (layer instanceof HostLayer) return [nameToString(layer.source.path)];
    if (!(layer instanceof UnionLayer)) return [];
    return layer.components.flatMap((component) => hostDirectoriesOf(component.lowers));
  });
}
