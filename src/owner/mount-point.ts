/**
 * Checks mount points, and adds hints to errors of mounts. Clients make the checks, because the owner must not touch a
 * path that may lie on one of its own mounts: it would wait for itself.
 */
import { spawnSync } from 'node:child_process';
import { lstatSync, readdirSync, readlinkSync, statfsSync, statSync } from 'node:fs';
import path from 'node:path';
import { type ErrorCode, FsError, isFsError, nameFromString, SYMLINKS_MAX } from '../base/index.ts';
import { createKernel, deviceOfLink, mountedPlaces, mountsOf, unmountAt } from '../sys/index.ts';
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

/** The codes with which calls in a mount fail once the server of the mount is gone. */
const GONE: ReadonlySet<string> = new Set(['ENOTCONN', 'ECONNABORTED']);

function codeOf(error: unknown): ErrorCode {
  // The cast: an error of node:fs carries the code of its errno.
  return ((error as NodeJS.ErrnoException).code ?? 'EIO') as ErrorCode;
}

/** True when a FUSE filesystem is mounted at `directory` and its server is gone. */
export function isDeadMount(directory: string): boolean {
  if (!mountedPlaces().some((place) => place.isFuse && place.directory === directory)) return false;
  return isDead(directory);
}

function isDead(directory: string): boolean {
  try {
    // The kernel may answer stat from a cache, but never statfs.
    statfsSync(directory);
    return false;
  } catch (error) {
    // ECONNABORTED: the mount is ending just now.
    return GONE.has(codeOf(error));
  }
}

/**
 * The directory of a dead mount (one whose server is gone) of a tree of this store; undefined if there is none. A mount
 * does not say which store it belongs to, but the store's log does. Does not touch mounts of other stores, because
 * their servers may hang.
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

/**
 * Unmounts the mount at a directory if the server of the mount is gone. False if there is no such mount, or if this
 * user may not unmount it.
 */
export function detachDeadMount(directory: string): boolean {
  return detach(directory, isDead);
}

function detach(directory: string, isMeant: (link: string) => boolean): boolean {
  const kernel = createKernel();
  try {
    if (kernel instanceof Error) return false;
    unmountAt(kernel, directory, true, isMeant);
    return true;
  } catch (error) {
    if (!isFsError(error, 'EPERM')) return false;
    return spawnSync('fusermount3', ['-u', '-z', '--', directory], { stdio: 'ignore' }).status === 0;
  }
}

/**
 * Unmounts the mounts that a killed owner left in the store. Call it only while this owner has no mounts of its own.
 */
export function removeDeadMounts(mountsDirectory: string): void {
  for (const { isFuse, directory, device } of mountedPlaces()) {
    if (!isFuse || path.dirname(directory) !== mountsDirectory) continue;
    // Compares device numbers only: a call in the mount would wait for the killed owner, which may not have ended yet.
    detach(directory, (link) => deviceOfLink(link) === device);
  }
}

/** Like realpath(3), but never looks into the directory itself, which may be a mount that does not answer. */
export function realMountPath(directory: string): string {
  return walk(directory).real;
}

/**
 * Like `realMountPath`. EPERM if a symlink of another user, except root, leads to a directory that is not that user's,
 * because that user would then choose which of your directories is mounted over. The kernel's fs.protected_symlinks is
 * a similar rule.
 */
export function ownMountPath(directory: string): string {
  const { real, links } = walk(directory);
  for (const link of links) {
    const uid = ownerOf(link);
    if (uid === 0 || uid === process.geteuid?.() || (uid !== undefined && uid === ownerOf(real))) continue;
    const note = `the symlink ${link} of user ${uid} leads to ${real}: if you mean that, name it`;
    throw mountPointFailure('EPERM', directory, note);
  }
  return real;
}

/** The user id that owns a path (the symlink itself, if it is one); undefined if nothing is there. */
function ownerOf(place: string): number | undefined {
  try {
    return lstatSync(place).uid;
  } catch {
    return undefined;
  }
}

/**
 * Resolves a path: `real` is the path without symlinks, `links` are the symlinks on the way. If there are too many of
 * them, `real` is the absolute path as given, and `links` is empty.
 */
function walk(directory: string): { readonly real: string; readonly links: readonly string[] } {
  const absolute = path.resolve(directory);
  const links: string[] = [];
  // The kernel lists mounts by real paths, so this path has no symlinks. Do not walk it: a filesystem on the way may
  // hang.
  if (mountedPlaces().some((place) => place.directory === absolute)) return { real: absolute, links };
  const rest = absolute.split('/');
  let real = '/';
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    const place = path.join(real, name);
    const target = name === '' || name === '..' ? undefined : linkAt(place);
    if (target === undefined) real = place;
    else if (links.push(place) > SYMLINKS_MAX) return { real: absolute, links: [] };
    else {
      rest.unshift(...target.split('/'));
      if (path.isAbsolute(target)) real = '/';
    }
  }
  return { real, links };
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
 * Checks a directory to mount at; returns its absolute path without symlinks. Unmounts a dead mount that is in the way.
 * Errors: ENOENT, ENOTDIR, EACCES; ENOTEMPTY, unless the directory is `lower`, on which the tree stands; EBUSY if
 * something is mounted there already; ENOTCONN if a dead mount cannot be removed; EPERM of `ownMountPath`.
 */
export function checkMountPoint(directory: string, lower = ''): string {
  const place = ownMountPath(directory);
  if (isDeadMount(place) && !detachDeadMount(place)) {
    throw mountPointFailure(
      'ENOTCONN',
      place,
      `a dead mount is in the way: \`umount -l ${place}\` removes it`,
    );
  }
  try {
    if (!statSync(place).isDirectory()) throw mountPointFailure('ENOTDIR', place);
    if (mountedPlaces().some((mounted) => mounted.directory === place))
      throw mountPointFailure('EBUSY', place);
    if (place !== lower && readdirSync(place).length > 0) throw mountPointFailure('ENOTEMPTY', place);
    return place;
  } catch (error) {
    if (error instanceof FsError) throw error;
    throw mountPointFailure(codeOf(error), place);
  }
}
