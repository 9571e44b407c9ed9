/** Compares a path of a host directory with the same path of a tree. */
import {
  type HostIno,
  isDirectoryMode,
  isFileMode,
  isFsError,
  isSameTimespec,
  isSymlinkMode,
  kindOfMode,
} from '../base/index.ts';
import { dataOf, isSameData, timesOf } from '../files/index.ts';
import type { HostOrigin } from '../lower/index.ts';
import { type HostStat, O_RDONLY } from '../sys/index.ts';
import { type TreeFiles, xattrRefusal } from '../vfs/index.ts';
import type { HostTarget } from './host-target.ts';

/**
 * Returns true if the target is as expected at `path`. Then a commit may replace `found`, the file there (undefined if
 * there is none).
 */
export type Expectation = (target: HostTarget, path: string, found: HostStat | undefined) => boolean;

/** Expects what a tree has: type, mode, size, symlink target, and the same modification time or the same content. */
export function asIn(files: TreeFiles): Expectation {
  return (target, path, found) => {
    const wanted = files.tryStat(path, false);
    if (wanted === undefined || found === undefined) return (wanted === undefined) === (found === undefined);
    const { mode } = wanted;
    if (kindOfMode(mode) !== kindOfMode(found.mode)) return false;
    if (isSymlinkMode(mode)) return target.linkTarget(path) === files.readLink(path);
    if (mode !== found.mode) return false;
    if (isDirectoryMode(mode)) return true;
    if (!isFileMode(mode)) return wanted.rdev === found.rdev;
    if (wanted.size !== found.size) return false;
    return (
      isSameTimespec(timesOf(wanted).mtime, found.mtime) || isSameContent(target, files, path, found.size)
    );
  };
}

/**
 * Expects what the host had when a fork of a live directory first recorded something at the path. Where the fork
 * recorded nothing, expects that the host or the fork has nothing at the path.
 */
export function asRecorded(files: TreeFiles, recorded: ReadonlyMap<string, HostOrigin>): Expectation {
  const byNumber = new Map<HostIno, HostOrigin[]>();
  for (const origin of recorded.values())
    byNumber.set(origin.hostIno, [...(byNumber.get(origin.hostIno) ?? []), origin]);
  return (target, path, found) => {
    // A file with several names was recorded under only one of them, so look for its inode number too.
    const sameFile = found && byNumber.get(found.ino)?.find((one) => target.isOrigin(one, found));
    const origin = recorded.get(path.slice(1)) ?? sameFile;
    if (origin === undefined || origin.mode === 0) {
      return found === undefined || files.tryStat(path, false) === undefined;
    }
    if (found === undefined || found.mode !== origin.mode || !target.isOrigin(origin, found)) return false;
    if (isDirectoryMode(found.mode)) return true;
    return found.size === origin.sizeBytes && isSameTimespec(found.mtime, origin.modified);
  };
}

function isSameContent(target: HostTarget, files: TreeFiles, path: string, sizeBytes: number): boolean {
  const file = files.open(path, O_RDONLY, 0);
  try {
    return target.reading(path, sizeBytes, (found) => isSameData(found, dataOf(files, file, sizeBytes)));
  } catch (error) {
    // The fork has lost these bytes, because the host file that had them has changed: nothing is equal to them.
    if (isFsError(error, 'ESTALE')) return false;
    throw error;
  } finally {
    files.close(file);
  }
}

/** Whether owner, modification time and extended attributes, which a commit also sets, are equal as well. */
export function isDressed(
  target: HostTarget,
  files: TreeFiles,
  path: string,
  found: HostStat | undefined,
): boolean {
  const wanted = files.tryStat(path, false);
  if (wanted === undefined || found === undefined) return true;
  const isDirectory = isDirectoryMode(wanted.mode);
  if (!isDirectory && !isSameTimespec(timesOf(wanted).mtime, found.mtime)) return false;
  if (process.geteuid?.() === 0 && (wanted.uid !== found.uid || wanted.gid !== found.gid)) return false;
  const xattrs = target.xattrs(path);
  const names = files.listXattrs(path, false);
  // A directory on the host may have further attributes. Any other file may have no further attributes except the
  // host's own: those of security modules, and those that no tree can have.
  const isMore = [...xattrs.keys()].some(
    (name) =>
      !name.startsWith('security.') && xattrRefusal(name, wanted.mode) === undefined && !names.includes(name),
  );
  if (isMore && !isDirectory) return false;
  return names.every((name) => xattrs.get(name)?.equals(files.getXattr(path, name, false)) === true);
}
