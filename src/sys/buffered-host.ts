/** Host trees by node:fs alone: no extended attributes, no device nodes, times set to about a microsecond. */
import type { BigIntStats } from 'node:fs';
import {
  chmodSync,
  chownSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  futimesSync,
  lstatSync,
  readdirSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { FsError, type HostIno, type Timespec } from '../base/index.ts';
import { bufferedNames } from './buffered-names.ts';
import { EBADF, errnoOf, nodeFailure } from './errno.ts';
import { attempt, fileLink, HAS_PROC, openAt, pathIn } from './name-calls.ts';
import { O_NOFOLLOW } from './open-flags.ts';
import type { HostCalls, NamedCalls } from './parts.ts';
import type { HostEntry, HostStat } from './system.ts';
import { UTIME_NOW, UTIME_OMIT } from './utime.ts';

const SLASH = Buffer.from('/');
const HERE = Buffer.from('.');
const NANOSECONDS = 1_000_000_000n;

function timesOf(nanoseconds: bigint): Timespec {
  // Before the epoch the seconds go down and the nanoseconds still count up from them.
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
    // libuv gives 0 (or, before 1.46, the change time) where the host keeps no birth time.
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
    // Undefined: removed since the names were read.
    if (stat !== undefined)
      entries.push({ name: name.toString('latin1'), ino: exact(stat.ino), kind: Number(stat.mode) >>> 12 });
  }
  return entries;
}

function lstatIfPresent(path: Buffer): BigIntStats | undefined {
  return attempt('lstat', path, undefined, () => lstatSync(path, { bigint: true, throwIfNoEntry: false }));
}

/** node:fs takes a negative number for "now", and a Date for what it says. */
function nodeTime(times: Timespec): number | Date {
  if (times.nanoseconds === UTIME_NOW.nanoseconds) return new Date();
  const seconds = times.seconds + times.nanoseconds / 1e9;
  return seconds < 0 ? new Date(seconds * 1000) : seconds;
}

/** Runs a call on a descriptor, and where it was opened with O_PATH (EBADF) one on its own link. */
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

export const bufferedHost: HostCalls & NamedCalls = {
  ...bufferedNames,
  lstatAt: (directory, name) =>
    attempt('lstat', undefined, undefined, () =>
      hostStat(lstatSync(pathIn(directory, name), { bigint: true })),
    ),
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
  // Where a host has some they cannot be read, which is what a host without any looks like.
  readHostXattrs: () => new Map(),
  openInRoot: (_root, path) => refuse('openat2', path),
  // By the name that /proc gives the directory: nothing keeps a symlink on the way from leading out.
  openBeneath: (directory, path, flags) => openAt(pathIn(directory, path), flags | O_NOFOLLOW, 0),
  statAt: (directory, name, _isLocal) =>
    attempt('stat', name, undefined, () => hostStat(lstatSync(pathIn(directory, name), { bigint: true }))),
  readDirectory: (fd) => readHostDirectory(HAS_PROC ? Buffer.from(fileLink(fd)) : pathIn(fd, HERE)),
  readFileXattrs: () => new Map(),
  fileSystemUuid: () => undefined,
  statFile,
  syncFileSystem: (_fd) => refuse('syncfs'),
};
