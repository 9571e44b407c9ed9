/** Whether a host directory has at a path what a tree has there. */
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
  return files
    .listXattrs(path, false)
    .every((name) => xattrs.get(name)?.equals(files.getXattr(path, name, false)) === true);
}
