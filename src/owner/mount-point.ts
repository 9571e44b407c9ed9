/**
 * Mount points, looked at by the client of a mount: the owner itself must not touch what may lie on a mount of its own.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readlinkSync, realpathSync, statfsSync, statSync } from 'node:fs';
import path from 'node:path';
import { type ErrorCode, FsError, SYMLINKS_MAX } from '../base/index.ts';
import { mountedPlaces } from '../sys/index.ts';
import { mountPointFailure } from './mount-failure.ts';

/** What everything fails with in a mount whose server is gone. */
const GONE: ReadonlySet<string> = new Set(['ENOTCONN', 'ECONNABORTED']);

function codeOf(error: unknown): ErrorCode {
  // The cast: an error of node:fs carries the code of its errno.
  return ((error as NodeJS.ErrnoException).code ?? 'EIO') as ErrorCode;
}

/** A mount whose server is gone: everything in it fails. */
export function isDeadMount(directory: string): boolean {
  if (!mountedPlaces().some((place) => place.isFuse && place.directory === directory)) return false;
  try {
    // Never answered from a cache, as stat may be.
    statfsSync(directory);
    return false;
  } catch (error) {
    // ECONNABORTED: it is ending just now.
    return GONE.has(codeOf(error));
  }
}

/** Takes a mount away whose server is gone; false where that is not allowed. */
export function detachDeadMount(directory: string): boolean {
  const tries = [
    ['umount', '-l', '--', directory],
    ['fusermount3', '-u', '-z', '--', directory],
  ] as const;
  return tries.some(([command, ...rest]) => spawnSync(command, rest, { stdio: 'ignore' }).status === 0);
}

/** Takes away what a killed owner had mounted in directories of the store. Only for an owner that has no mounts yet. */
export function removeDeadMounts(mountsDirectory: string): void {
  for (const place of mountedPlaces()) {
    if (place.isFuse && path.dirname(place.directory) === mountsDirectory) detachDeadMount(place.directory);
  }
}

/** As realpath(3), but without a look into what the last part leads to, which may be a mount that answers nothing. */
export function realMountPath(directory: string): string {
  let absolute = path.resolve(directory);
  // As the kernel writes it, it is real; what it lies on may not answer.
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

/** Where a symlink points; undefined for everything else, also for a dead mount. */
function linkAt(place: string): string | undefined {
  try {
    return readlinkSync(place);
  } catch {
    return undefined;
  }
}

/**
 * The absolute path of a directory to mount at, without symlinks. A dead mount that is in the way is taken away.
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
