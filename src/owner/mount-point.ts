/**
 * Checks mount points, and adds hints to errors of mounts. Clients make the checks: the owner itself must not touch a
 * path that may lie on one of its own mounts.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readlinkSync, realpathSync, statfsSync, statSync } from 'node:fs';
import path from 'node:path';
import { type ErrorCode, FsError, nameFromString, SYMLINKS_MAX } from '../base/index.ts';
import { mountedPlaces, mountsOf } from '../sys/index.ts';
import { parsedLine, readLog } from './log-line.ts';
import type { OwnerPlace } from './owner-place.ts';
import { mountSource } from './protocol.ts';

const WAYS_OUT: Partial<Record<ErrorCode, string>> = {
  ENOENT: 'there is no such directory: make it first',
  ENOTDIR: 'a mount point is a directory',
  ENOTEMPTY: 'the mount point is not empty: choose an empty directory',
  EBUSY: 'something is mounted there already: unmount it, or choose another directory',
  EPERM: 'mounting takes root, or fusermount3 for other users (package fuse3)',
  EACCES: 'the mount point must be yours to write to',
  EINVAL: 'the kernel refuses it: its log (dmesg) may say why',
};

/** Adds the mount point to an error of the mount server, and a hint if the error has no note. */
export function describeMountFailure(error: unknown, fork: string, directory: string): unknown {
  if (!(error instanceof FsError)) return error;
  const note = error.note ?? WAYS_OUT[error.code];
  return error.in({ syscall: 'mount', path: fork, dest: directory, note });
}

/** The error for a mount point that fails a check. */
function mountPointFailure(code: ErrorCode, directory: string, note = WAYS_OUT[code]): FsError {
  return new FsError(code, { syscall: 'mount', path: directory, note });
}

/** Every call in a mount fails with one of these codes once its server is gone. */
const GONE: ReadonlySet<string> = new Set(['ENOTCONN', 'ECONNABORTED']);

function codeOf(error: unknown): ErrorCode {
  // The cast: an error of node:fs carries the code of its errno.
  return ((error as NodeJS.ErrnoException).code ?? 'EIO') as ErrorCode;
}

/** True when a FUSE filesystem is mounted at `directory` and its server is gone. */
export function isDeadMount(directory: string): boolean {
  if (!mountedPlaces().some((place) => place.isFuse && place.directory === directory)) return false;
  try {
    // Unlike stat, this is never answered from a cache.
    statfsSync(directory);
    return false;
  } catch (error) {
    // ECONNABORTED: the mount is ending just now.
    return GONE.has(codeOf(error));
  }
}

/**
 * The mount point of a tree of this store whose mount server is gone; undefined if there is none. A mount does not say
 * which store it belongs to, but the store's log does. Mounts of other stores are not touched: their server may hang.
 */
export function deadMountOf(tree: string, place: OwnerPlace): string | undefined {
  const source = nameFromString(mountSource(tree));
  const isOurs = (directory: string): boolean =>
    mountsOf().some((mount) => mount.source === source && mount.directory === nameFromString(directory));
  const logged = readLog(place.logPath)
    .map(parsedLine)
    .filter(({ msg, fork }) => msg === 'mounted' && fork === tree);
  const directories = new Set(logged.map(({ directory }) => String(directory)));
  return [...directories].find((directory) => isOurs(directory) && isDeadMount(directory));
}

/** Unmounts a mount whose server is gone; false where that is not allowed. */
export function detachDeadMount(directory: string): boolean {
  const tries = [
    ['umount', '-l', '--', directory],
    ['fusermount3', '-u', '-z', '--', directory],
  ] as const;
  return tries.some(([command, ...rest]) => spawnSync(command, rest, { stdio: 'ignore' }).status === 0);
}

/** Unmounts the mounts that a killed owner left in the store. Only for an owner that has no mounts yet. */
export function removeDeadMounts(mountsDirectory: string): void {
  for (const place of mountedPlaces()) {
    if (place.isFuse && path.dirname(place.directory) === mountsDirectory) detachDeadMount(place.directory);
  }
}

/** Like realpath(3), but never looks into the directory itself, which may be a mount that does not answer. */
export function realMountPath(directory: string): string {
  let absolute = path.resolve(directory);
  // The kernel lists mounts by real paths; the filesystem above may not answer.
  if (mountedPlaces().some((place) => place.directory === absolute)) return absolute;
  for (let links = 0; links < SYMLINKS_MAX; links++) {
    try {
      absolute = path.join(realpathSync(path.dirname(absolute)), path.basename(absolute));
    } catch {
      return absolute;
    }
    const target = linkAt(absolute);
    if (target === undefined) return absolute;
    absolute = path.resolve(path.dirname(absolute), target);
  }
  return absolute;
}

/** The target of a symlink; undefined for everything else, including a dead mount. */
function linkAt(place: string): string | undefined {
  try {
    return readlinkSync(place);
  } catch {
    return undefined;
  }
}

/**
 * The absolute path of a directory to mount at, without symlinks. Unmounts a dead mount that is in the way.
 * ENOENT, ENOTDIR, ENOTEMPTY (unless it is `lower`, on which the tree stands), EBUSY (a mount point already), EACCES.
 */
export function checkMountPoint(directory: string, lower = ''): string {
  const place = realMountPath(directory);
  if (isDeadMount(place) && !detachDeadMount(place)) {
    throw mountPointFailure(
      'ENOTCONN',
      place,
      `a dead mount is in the way: \`umount -l ${place}\` removes it`,
    );
  }
  try {
    if (!statSync(place).isDirectory()) throw mountPointFailure('ENOTDIR', place);
    const real = realpathSync(place);
    if (mountedPlaces().some((mounted) => mounted.directory === real))
      throw mountPointFailure('EBUSY', place);
    if (real !== lower && readdirSync(real).length > 0) throw mountPointFailure('ENOTEMPTY', place);
    return real;
  } catch (error) {
    if (error instanceof FsError) throw error;
    throw mountPointFailure(codeOf(error), place);
  }
}
