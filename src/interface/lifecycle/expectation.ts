/** Whether a host directory has at a path what a tree has there. */
import { isFsError } from '../../base/index.ts';
import type { HostOrigin } from '../../layer/index.ts';
import type { HostStat } from '../../sys/index.ts';
import type { Attributes, TreeFiles } from '../../vfs/index.ts';
import type { HostTarget } from './host-target.ts';

/**
 * What a target is expected to be like: true when what is found at `path` (undefined: nothing) may be replaced, because
 * whoever asks for the commit knows it.
 */
export type Expectation = (target: HostTarget, path: string, found: HostStat | undefined) => boolean;

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const O_RDONLY = 0;
const PIECE_BYTES = 1024 * 1024;
const [mine, theirs] = [Buffer.allocUnsafe(PIECE_BYTES), Buffer.allocUnsafe(PIECE_BYTES)];

/** As a tree has it: type, mode, size, target, and content unless the time of its last change is the same. */
export function asIn(files: TreeFiles): Expectation {
  return (target, path, found) => {
    const wanted = files.tryStat(path, false);
    if (wanted === undefined || found === undefined) return (wanted === undefined) === (found === undefined);
    const type = wanted.mode & S_IFMT;
    if (type !== (found.mode & S_IFMT)) return false;
    if (type === S_IFLNK) return target.linkTarget(path) === files.readLink(path);
    if (wanted.mode !== found.mode) return false;
    if (type === S_IFDIR) return true;
    if (type !== S_IFREG) return wanted.rdev === found.rdev;
    return wanted.size === found.size && (isSameTime(wanted, found) || isSameContent(target, files, path));
  };
}

/**
 * As a fork of a live directory has found it: what the host had where the fork first recorded something. What the fork
 * has no part in may be as it likes.
 */
export function asRecorded(files: TreeFiles, recorded: ReadonlyMap<string, HostOrigin>): Expectation {
  const byFile = new Map([...recorded.values()].map((origin) => [origin.hostIno, origin]));
  return (_target, path, found) => {
    // A file with several names was recorded under one of them.
    const origin = recorded.get(path.slice(1)) ?? (found === undefined ? undefined : byFile.get(found.ino));
    if (origin === undefined || origin.mode === 0) {
      return found === undefined || files.tryStat(path, false) === undefined;
    }
    if (found === undefined || found.ino !== origin.hostIno || found.mode !== origin.mode) return false;
    const isSameBirth =
      (found.btime?.seconds ?? 0) === origin.birthSeconds &&
      (found.btime?.nanoseconds ?? 0) === origin.birthNanoseconds;
    if (!isSameBirth) return false;
    if ((found.mode & S_IFMT) === S_IFDIR) return true;
    const { seconds, nanoseconds } = origin.modified;
    return (
      found.size === origin.sizeBytes &&
      found.mtime.seconds === seconds &&
      found.mtime.nanoseconds === nanoseconds
    );
  };
}

export function isSameTime(wanted: Attributes, { mtime }: HostStat): boolean {
  return wanted.mtimeSeconds === mtime.seconds && wanted.mtimeNanoseconds === mtime.nanoseconds;
}

function isSameContent(target: HostTarget, files: TreeFiles, path: string): boolean {
  const file = files.open(path, O_RDONLY, 0);
  let isSame = true;
  try {
    target.read(path, mine, (bytes, position) => {
      const count = files.read(file, theirs, 0, bytes.length, position);
      isSame = bytes.equals(theirs.subarray(0, count));
      return isSame;
    });
    return isSame;
  } catch (error) {
    // Bytes that the fork has lost, since a host file that it took them from has changed, are like no others.
    if (isFsError(error, 'ESTALE')) return false;
    throw error;
  } finally {
    files.close(file);
  }
}

/** Nothing is left to do: all that a commit would set is as the tree has it. */
export function isDone(
  target: HostTarget,
  files: TreeFiles,
  path: string,
  found: HostStat | undefined,
): boolean {
  if (!asIn(files)(target, path, found)) return false;
  const wanted = files.tryStat(path, false);
  if (wanted === undefined || found === undefined) return true;
  if ((wanted.mode & S_IFMT) !== S_IFDIR && !isSameTime(wanted, found)) return false;
  if (process.geteuid?.() === 0 && (wanted.uid !== found.uid || wanted.gid !== found.gid)) return false;
  const xattrs = target.xattrs(path);
  const names = files.listXattrs(path, false);
  // Those of a directory are added to; those of security modules are the host's own.
  const isMore = [...xattrs.keys()].some((name) => !name.startsWith('security.') && !names.includes(name));
  if (isMore && (wanted.mode & S_IFMT) !== S_IFDIR) return false;
  return names.every((name) => xattrs.get(name)?.equals(files.getXattr(path, name, false)) === true);
}
