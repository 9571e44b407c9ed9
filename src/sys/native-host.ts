/** Host trees by libc: times to the nanosecond, names with inode numbers, extended attributes, device nodes. */
import { closeSync, openSync } from 'node:fs';
import { PATH_BYTES_MAX } from '../base/index.ts';
import { CString } from './c-string.ts';
import { EBADF, EINTR, ENODATA, ENOSYS, EOPNOTSUPP, ERANGE, errnoFailure } from './errno.ts';
import type { Libc } from './libc.ts';
import { attempt, fileLink } from './name-calls.ts';
import { namedCalls } from './native-names.ts';
import { rootedCalls } from './native-rooted.ts';
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY } from './open-flags.ts';
import type { HostCalls, NamedCalls } from './parts.ts';
import { AT_FDCWD, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW, STATX_HOST, StatxBuffer } from './statx.ts';
import type { HostEntry } from './system.ts';
import { exactUint64, setUint64 } from './words.ts';

/** XATTR_NAME_MAX with its closing zero. */
const XATTR_NAME_BYTES_MAX = 256;
const DIRECTORY_CHUNK_BYTES = 64 * 1024;

export function nativeHost(libc: Libc): HostCalls & NamedCalls {
  const path = new CString(PATH_BYTES_MAX, 'ENAMETOOLONG');
  return {
    ...inodeCalls(libc, path),
    ...directoryCalls(libc),
    ...xattrCalls(libc, path),
    ...rootedCalls(libc, path),
    ...namedCalls(libc, path),
  };
}

function inodeCalls(libc: Libc, path: CString): Pick<HostCalls, 'statHost' | 'setFileTimes'> {
  const stat = new StatxBuffer();
  /** Two of struct timespec. */
  const times = new Uint32Array(8);

  return {
    statHost(at, followLinks) {
      const flags = AT_NO_AUTOMOUNT | (followLinks ? 0 : AT_SYMLINK_NOFOLLOW);
      const name = path.set(at, 'statx');
      while (libc.statx(AT_FDCWD, name, flags, STATX_HOST, stat.words) !== 0) {
        const errno = libc.errno();
        if (errno !== EINTR) throw errnoFailure(errno, 'statx', at);
      }
      return stat.toHostStat();
    },

    setFileTimes(fd, atime, mtime) {
      setUint64(times, 0, atime.seconds);
      setUint64(times, 2, atime.nanoseconds);
      setUint64(times, 4, mtime.seconds);
      setUint64(times, 6, mtime.nanoseconds);
      if (libc.futimens(fd, times) === 0) return;
      const errno = libc.errno();
      if (errno !== EBADF) throw errnoFailure(errno, 'utimensat');
      if (libc.utimensat(AT_FDCWD, path.set(Buffer.from(fileLink(fd)), 'utimensat'), times, 0) !== 0)
        throw errnoFailure(libc.errno(), 'utimensat');
    },
  };
}

function directoryCalls(libc: Libc): Pick<HostCalls, 'readHostDirectory' | 'readDirectory'> {
  const chunk = Buffer.alloc(DIRECTORY_CHUNK_BYTES);
  const words = new Uint32Array(chunk.buffer, chunk.byteOffset, chunk.length / 4);

  /** struct linux_dirent64 of getdents64(2): ino u64, offset i64, record length u16, type u8, name. */
  function collect(length: number, entries: HostEntry[]): void {
    for (let at = 0; at < length; at += chunk.readUInt16LE(at + 16)) {
      const name = chunk.toString('latin1', at + 19, chunk.indexOf(0, at + 19));
      if (name !== '.' && name !== '..')
        entries.push({ name, ino: exactUint64(words, at / 4), kind: chunk[at + 18]! });
    }
  }

  /** `shown` names the directory in errors. */
  function readAll(at: Buffer, shown?: Buffer): HostEntry[] {
    const flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    const fd = attempt('open', shown, undefined, () => openSync(at, flags));
    try {
      const entries: HostEntry[] = [];
      for (;;) {
        const length = libc.getdents64(libc.numbers.getdents64, fd, chunk, chunk.length);
        if (length === 0) return entries;
        if (length < 0) throw errnoFailure(libc.errno(), 'getdents64', shown);
        collect(length, entries);
      }
    } finally {
      closeSync(fd);
    }
  }

  return {
    readHostDirectory: (at) => readAll(at, at),
    readDirectory: (fd) => readAll(Buffer.from(fileLink(fd))),
  };
}

function xattrCalls(
  libc: Libc,
  path: CString,
): Pick<HostCalls, 'readHostXattrs' | 'readFileXattrs' | 'writeFileXattr'> {
  const attribute = new CString(XATTR_NAME_BYTES_MAX, 'ERANGE');

  /** A value whose length is asked for first; it may have grown (ERANGE) by the time it is read. Or the errno. */
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

  /** The calls that list and read, which may follow a symlink or not. `shown` names the file in errors. */
  function readAll(list: 'listxattr' | 'llistxattr', at: Buffer, shown?: Buffer): Map<string, Buffer> {
    const get = list === 'listxattr' ? 'getxattr' : 'lgetxattr';
    const file = path.set(at, list);
    const values = new Map<string, Buffer>();
    const names = readGrowing((target, length) => libc[list](file, target, length));
    if (names === EOPNOTSUPP || names === ENOSYS) return values;
    if (typeof names === 'number') throw errnoFailure(names, list, shown);
    for (const key of names.toString('latin1').split('\0').slice(0, -1)) {
      const name = attribute.set(Buffer.from(key, 'latin1'), get);
      const value = readGrowing((target, length) => libc[get](file, name, target, length));
      if (typeof value !== 'number') values.set(key, value);
      // ENODATA: removed since it was listed.
      else if (value !== ENODATA) throw errnoFailure(value, get, shown);
    }
    return values;
  }

  return {
    readHostXattrs: (at) => readAll('llistxattr', at, at),
    // The descriptor's own link leads to what was opened, and no further: flistxattr(2) refuses O_PATH.
    readFileXattrs: (fd) => readAll('listxattr', Buffer.from(fileLink(fd))),

    writeFileXattr(fd, key, value) {
      const name = attribute.set(Buffer.from(key, 'latin1'), 'lsetxattr');
      if (libc.fsetxattr(fd, name, value, value.length, 0) === 0) return;
      const errno = libc.errno();
      if (errno !== EBADF) throw errnoFailure(errno, 'lsetxattr');
      const link = path.set(Buffer.from(fileLink(fd)), 'lsetxattr');
      if (libc.setxattr(link, name, value, value.length, 0) !== 0)
        throw errnoFailure(libc.errno(), 'lsetxattr');
    },
  };
}
