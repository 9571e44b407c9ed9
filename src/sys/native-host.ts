/**
 * Calls on host trees through libc: times to the nanosecond, names with inode numbers, extended attributes, device
 * nodes.
 */
import { closeSync, openSync } from 'node:fs';
import { FsError, PATH_BYTES_MAX } from '../base/index.ts';
import { CString } from './c-string.ts';
import {
  checked,
  EACCES,
  EBADF,
  EINVAL,
  ENODATA,
  ENOENT,
  ENOSYS,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  errnoFailure,
} from './errno.ts';
import type { Libc } from './libc.ts';
import { attempt, fileLink } from './name-calls.ts';
import { namedCalls } from './native-names.ts';
import { rootedCalls, tryOpenIn } from './native-rooted.ts';
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY } from './open-flags.ts';
import { AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW, StatxBuffer } from './statx.ts';
import type { HostEntry, System } from './system.ts';
import { exactUint64, setUint64 } from './words.ts';

/** XATTR_NAME_MAX with its closing zero. */
const XATTR_NAME_BYTES_MAX = 256;
const DIRECTORY_CHUNK_BYTES = 64 * 1024;
const FLAGS = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
/** The empty path of a call with AT_EMPTY_PATH, a C string. */
const NOTHING = Buffer.from('\0');
const HERE = Buffer.from('.\0');

export function nativeHost(libc: Libc) {
  const path = new CString(PATH_BYTES_MAX, 'ENAMETOOLONG');
  return {
    ...inodeCalls(libc, path),
    ...directoryCalls(libc),
    ...xattrCalls(libc, path),
    ...rootedCalls(libc, path),
    ...namedCalls(libc, path),
  };
}

/**
 * Makes a call on a descriptor's link in /proc, since calls on descriptors refuse a descriptor that was opened with
 * O_PATH. Use it as the last resort: without /proc it fails with ENOTSUP.
 */
function byLink(
  libc: Libc,
  path: CString,
  syscall: string,
  fd: number,
  call: (link: Buffer) => number,
): void {
  if (call(path.set(Buffer.from(fileLink(fd)), syscall)) !== 0) throw linkFailure(libc.errno(), syscall);
}

function linkFailure(errno: number, syscall: string): FsError {
  if (errno !== ENOENT) return errnoFailure(errno, syscall);
  return new FsError('ENOTSUP', { syscall, note: 'it needs /proc, which is not there' });
}

function inodeCalls(libc: Libc, path: CString) {
  const stat = new StatxBuffer();
  /** Two struct timespec: the access time and the modification time. */
  const times = new Uint32Array(8);

  return {
    statHost(at, followLinks) {
      const flags = AT_NO_AUTOMOUNT | (followLinks ? 0 : AT_SYMLINK_NOFOLLOW);
      const errno = stat.fill(libc, AT_FDCWD, path.set(at, 'statx'), flags);
      if (errno !== 0) throw errnoFailure(errno, 'statx', at);
      return stat.toHostStat();
    },

    chownFile: (fd, uid, gid) =>
      void checked(libc, libc.fchownat(fd, NOTHING, uid, gid, AT_EMPTY_PATH), 'lchown'),

    chmodFile(fd, mode) {
      if (libc.fchmod(fd, mode) === 0) return;
      let errno = libc.errno();
      if (errno !== EBADF) throw errnoFailure(errno, 'chmod');
      if (libc.fchmodat2(libc.numbers.fchmodat2, fd, NOTHING, mode, AT_EMPTY_PATH) === 0) return;
      errno = libc.errno();
      // ENOSYS: before Linux 6.6. EPERM: a container forbids the calls that it does not know.
      if (errno !== ENOSYS && errno !== EPERM) throw errnoFailure(errno, 'chmod');
      byLink(libc, path, 'chmod', fd, (link) => libc.chmod(link, mode));
    },

    setFileTimes(fd, atime, mtime) {
      setUint64(times, 0, atime.seconds);
      setUint64(times, 2, atime.nanoseconds);
      setUint64(times, 4, mtime.seconds);
      setUint64(times, 6, mtime.nanoseconds);
      if (libc.futimens(fd, times) === 0) return;
      let errno = libc.errno();
      if (errno !== EBADF) throw errnoFailure(errno, 'utimensat');
      if (libc.utimensat(fd, NOTHING, times, AT_EMPTY_PATH) === 0) return;
      errno = libc.errno();
      // EINVAL: before Linux 5.8.
      if (errno !== EINVAL) throw errnoFailure(errno, 'utimensat');
      byLink(libc, path, 'utimensat', fd, (link) => libc.utimensat(AT_FDCWD, link, times, 0));
    },
  } satisfies Partial<System>;
}

function directoryCalls(libc: Libc) {
  const chunk = Buffer.alloc(DIRECTORY_CHUNK_BYTES);
  const words = new Uint32Array(chunk.buffer, chunk.byteOffset, chunk.length / 4);

  /**
   * Adds the entries in the chunk, each a struct linux_dirent64 of getdents64(2): ino u64, offset i64, record length
   * u16, type u8, name.
   */
  function collect(length: number, entries: HostEntry[]): void {
    for (let at = 0; at < length; at += chunk.readUInt16LE(at + 16)) {
      const name = chunk.toString('latin1', at + 19, chunk.indexOf(0, at + 19));
      if (name !== '.' && name !== '..')
        entries.push({ name, ino: exactUint64(words, at / 4), kind: chunk[at + 18]! });
    }
  }

  /** Reads all entries and closes the descriptor. `shown` names the directory in errors. */
  function readAll(fd: number, shown?: Buffer): HostEntry[] {
    try {
      const entries: HostEntry[] = [];
      for (;;) {
        const length = libc.getdents64(libc.numbers.getdents64, fd, chunk, chunk.length);
        if (length === 0) return entries;
        collect(checked(libc, length, 'getdents64', shown), entries);
      }
    } finally {
      closeSync(fd);
    }
  }

  function open(at: string | Buffer, shown?: Buffer): number {
    return attempt('open', shown, undefined, () => openSync(at, FLAGS));
  }

  /** Opens a directory again, to read it from the start. `directory` may be opened with O_PATH. */
  function reopen(directory: number): number {
    const fd = tryOpenIn(libc, directory, HERE, FLAGS, 0);
    if (fd >= 0) return fd;
    // EACCES: this process may not search the directory. Opening its link needs no permission to search.
    if (fd === -EACCES) return open(fileLink(directory));
    throw errnoFailure(-fd, 'open');
  }

  return {
    readHostDirectory: (at) => readAll(open(at, at), at),
    readDirectory: (fd) => readAll(reopen(fd)),
  } satisfies Partial<System>;
}

function xattrCalls(libc: Libc, path: CString) {
  const attribute = new CString(XATTR_NAME_BYTES_MAX, 'ERANGE');

  /** The value, or the errno. The first call asks for the length; ERANGE means that the value has grown since. */
  function readGrowing(read: (target: Buffer | null, length: number) => number): Buffer | number {
    for (;;) {
      const length = read(null, 0);
      if (length < 0) return libc.errno();
      if (length === 0) return Buffer.alloc(0);
      const target = Buffer.allocUnsafeSlow(length);
      const count = read(target, length);
      if (count >= 0) return target.subarray(0, count);
      const errno = libc.errno();
      if (errno !== ERANGE) return errno;
    }
  }

  /**
   * The values of the listed names; `names` is the list, or the errno of listing them. `shown` names the file in
   * errors; calls on a descriptor or on its link leave it out.
   */
  function readValues(
    names: Buffer | number,
    calls: readonly [list: string, get: string],
    shown: Buffer | undefined,
    get: (name: Buffer, target: Buffer | null, length: number) => number,
  ): Map<string, Buffer> {
    const failure = (errno: number, syscall: string): FsError =>
      shown === undefined ? linkFailure(errno, syscall) : errnoFailure(errno, syscall, shown);
    const values = new Map<string, Buffer>();
    if (names === EOPNOTSUPP || names === ENOSYS) return values;
    if (typeof names === 'number') throw failure(names, calls[0]);
    for (const key of names.toString('latin1').split('\0').slice(0, -1)) {
      const name = attribute.set(Buffer.from(key, 'latin1'), calls[1]);
      const value = readGrowing((target, length) => get(name, target, length));
      if (typeof value !== 'number') values.set(key, value);
      // ENODATA: the attribute was removed after its name was listed.
      else if (value !== ENODATA) throw failure(value, calls[1]);
    }
    return values;
  }

  /** Reads the attributes of the file at a path. With `llistxattr`, does not follow a symlink. */
  function readAt(list: 'listxattr' | 'llistxattr', at: Buffer, shown?: Buffer): Map<string, Buffer> {
    const get = list === 'listxattr' ? 'getxattr' : 'lgetxattr';
    const file = path.set(at, list);
    const names = readGrowing((target, length) => libc[list](file, target, length));
    return readValues(names, [list, get], shown, (name, target, length) =>
      libc[get](file, name, target, length),
    );
  }

  return {
    readHostXattrs: (at) => readAt('llistxattr', at, at),

    readFileXattrs(fd) {
      const names = readGrowing((target, length) => libc.flistxattr(fd, target, length));
      if (names === EBADF) return readAt('listxattr', Buffer.from(fileLink(fd)));
      return readValues(names, ['listxattr', 'getxattr'], undefined, (name, target, length) =>
        libc.fgetxattr(fd, name, target, length),
      );
    },

    writeFileXattr(fd, key, value) {
      const name = attribute.set(Buffer.from(key, 'latin1'), 'lsetxattr');
      if (libc.fsetxattr(fd, name, value, value.length, 0) === 0) return;
      const errno = libc.errno();
      if (errno !== EBADF) throw errnoFailure(errno, 'lsetxattr');
      byLink(libc, path, 'lsetxattr', fd, (link) => libc.setxattr(link, name, value, value.length, 0));
    },
  } satisfies Partial<System>;
}
