/**
 * Calls on host trees through node:fs alone: no extended attributes, no device nodes, times set to about a microsecond.
 * They reach a name in an open directory through the directory's link in /proc, or by the directory's path if there is
 * no /proc.
 */
import {
  type BigIntStats,
  chmodSync,
  chownSync,
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  futimesSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import { FsError, type HostIno, isFsError, type Timespec } from '../base/index.ts';
import { EBADF, errnoOf, nodeFailure } from './errno.ts';
import { attempt, fileLink, HAS_PROC, openAt, pathIn } from './name-calls.ts';
import { openByNames, type StepCalls } from './open-by-names.ts';
import { O_NOFOLLOW } from './open-flags.ts';
import { type HostEntry, type HostStat, type System, UTIME_NOW, UTIME_OMIT } from './system.ts';

const SLASH = Buffer.from('/');
const HERE = Buffer.from('.');
const NANOSECONDS = 1_000_000_000n;

function timesOf(nanoseconds: bigint): Timespec {
  // Before the epoch the seconds are negative and the nanoseconds still count up from them.
  const rest = ((nanoseconds % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
  return { seconds: Number((nanoseconds - rest) / NANOSECONDS), nanoseconds: Number(rest) };
}

function hostStat(stat: BigIntStats): HostStat {
  return {
    mode: Number(stat.mode),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    nlink: Number(stat.nlink),
    size: Number(stat.size),
    blocks: Number(stat.blocks),
    ino: exact(stat.ino),
    dev: Number(stat.dev),
    rdev: Number(stat.rdev),
    atime: timesOf(stat.atimeNs),
    mtime: timesOf(stat.mtimeNs),
    ctime: timesOf(stat.ctimeNs),
    // libuv gives 0 (or, before 1.46, the change time) if the host keeps no birth time.
    btime: stat.birthtimeNs === 0n ? undefined : timesOf(stat.birthtimeNs),
    isMountPoint: false,
    subvolume: undefined,
  };
}

function exact(ino: bigint): HostIno {
  return ino <= Number.MAX_SAFE_INTEGER ? Number(ino) : ino;
}

/** libuv sorts the names, so the order is that of their bytes. */
function readHostDirectory(path: Buffer): HostEntry[] {
  const names = attempt('scandir', path, undefined, () => readdirSync(path, { encoding: 'buffer' }));
  const entries: HostEntry[] = [];
  for (const name of names) {
    const stat = lstatIfPresent(Buffer.concat([path, SLASH, name]));
    // Undefined: the file was removed after its name was read.
    if (stat !== undefined)
      entries.push({ name: name.toString('latin1'), ino: exact(stat.ino), kind: Number(stat.mode) >>> 12 });
  }
  return entries;
}

function lstatIfPresent(path: Buffer): BigIntStats | undefined {
  return attempt('lstat', path, undefined, () => lstatSync(path, { bigint: true, throwIfNoEntry: false }));
}

/**
 * A time in the form that node:fs expects: seconds, or a Date before the epoch, because node:fs takes negative seconds
 * for "now".
 */
function nodeTime(times: Timespec): number | Date {
  if (times.nanoseconds === UTIME_NOW.nanoseconds) return new Date();
  const seconds = times.seconds + times.nanoseconds / 1e9;
  return seconds < 0 ? new Date(seconds * 1000) : seconds;
}

/**
 * Makes a call on a descriptor. If that fails with EBADF, because the file was opened with O_PATH, makes the call on
 * the descriptor's link in /proc.
 */
function onFile(syscall: string, fd: number, call: () => void, byLink: (path: string) => void): void {
  try {
    call();
  } catch (error) {
    if (errnoOf(error) !== EBADF) throw nodeFailure(error, syscall);
    attempt(syscall, undefined, undefined, () => byLink(fileLink(fd)));
  }
}

function setFileTimes(fd: number, atime: Timespec, mtime: Timespec): void {
  const accessed = nodeTime(isOmitted(atime) ? statFile(fd).atime : atime);
  const modified = nodeTime(isOmitted(mtime) ? statFile(fd).mtime : mtime);
  onFile(
    'utimes',
    fd,
    () => futimesSync(fd, accessed, modified),
    (path) => utimesSync(path, accessed, modified),
  );
}

function isOmitted({ nanoseconds }: Timespec): boolean {
  return nanoseconds === UTIME_OMIT.nanoseconds;
}

function statFile(fd: number): HostStat {
  return attempt('fstat', undefined, undefined, () => hostStat(fstatSync(fd, { bigint: true })));
}

function refuse(syscall: string, path?: Buffer): never {
  throw new FsError('ENOTSUP', {
    syscall,
    path: path?.toString('utf8'),
    note: 'node:fs has no such call; the native system does',
  });
}

/** Makes a call on a name in a directory. Errors of the call have no path. */
function at<T>(syscall: string, directory: number, name: Buffer, call: (path: Buffer) => T): T {
  return attempt(syscall, undefined, undefined, () => call(pathIn(directory, name)));
}

const steps: StepCalls = {
  open(directory, name, flags, mode) {
    const path = pathIn(directory, name);
    const fd = withoutPath(() => openAt(path, flags | O_NOFOLLOW, mode));
    if (HAS_PROC || isAt(path, fd)) return fd;
    closeSync(fd);
    throw new FsError('ELOOP', { syscall: 'open', note: 'another file has taken its place meanwhile' });
  },
  modeOf: (fd) => fstatSync(fd).mode,
  close: closeSync,
};

function isAt(path: Buffer, fd: number): boolean {
  const [found, opened] = [lstatSync(path, { bigint: true }), fstatSync(fd, { bigint: true })];
  return found.ino === opened.ino && found.dev === opened.dev;
}

function withoutPath<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw isFsError(error) ? new FsError(error.code, { syscall: error.syscall }) : error;
  }
}

export const bufferedHost = {
  openAt: (directory, path, flags, mode = 0o666) => openByNames(steps, directory, path, flags, mode),
  lstatAt: (directory, name) =>
    at('lstat', directory, name, (path) => hostStat(lstatSync(path, { bigint: true }))),
  readLinkAt: (directory, name) =>
    attempt('readlink', name, undefined, () => readlinkSync(pathIn(directory, name), { encoding: 'buffer' })),
  makeDirectoryAt: (directory, name, mode) =>
    at('mkdir', directory, name, (path) => void mkdirSync(path, { mode })),
  symlinkAt: (target, directory, name) => at('symlink', directory, name, (path) => symlinkSync(target, path)),
  linkAt: (from, existing, directory, name) =>
    at('link', directory, name, (path) => linkSync(pathIn(from, existing), path)),
  renameAt: (from, existing, directory, name) =>
    at('rename', directory, name, (path) => renameSync(pathIn(from, existing), path)),
  unlinkAt: (directory, name) => at('unlink', directory, name, unlinkSync),
  removeDirectoryAt: (directory, name) => at('rmdir', directory, name, (path) => rmdirSync(path)),
  makeNodeAt: () => refuse('mknod'),
  chownFile: (fd, uid, gid) =>
    onFile(
      'lchown',
      fd,
      () => fchownSync(fd, uid, gid),
      (path) => chownSync(path, uid, gid),
    ),
  chmodFile: (fd, mode) =>
    onFile(
      'chmod',
      fd,
      () => fchmodSync(fd, mode),
      (path) => chmodSync(path, mode),
    ),
  setFileTimes,
  writeFileXattr: () => refuse('lsetxattr'),
  statHost: (path, followLinks) =>
    attempt('stat', path, undefined, () =>
      hostStat(followLinks ? statSync(path, { bigint: true }) : lstatSync(path, { bigint: true })),
    ),
  readHostDirectory,
  // node:fs cannot read extended attributes, so every file appears to have none.
  readHostXattrs: () => new Map(),
  readFileXattrs: () => new Map(),
  openInRoot: (_root, path) => refuse('openat2', path),
  // A symlink on the way may lead out of the directory: node:fs cannot prevent that.
  openBeneath: (directory, path, flags) => openAt(pathIn(directory, path), flags | O_NOFOLLOW),
  statAt: (directory, name, _isLocal) =>
    attempt('stat', name, undefined, () => hostStat(lstatSync(pathIn(directory, name), { bigint: true }))),
  readDirectory: (fd) => readHostDirectory(HAS_PROC ? Buffer.from(fileLink(fd)) : pathIn(fd, HERE)),
  fileSystemUuid: () => undefined,
  statFile,
  syncFileSystem: (_fd) => refuse('syncfs'),
} satisfies Partial<System>;
