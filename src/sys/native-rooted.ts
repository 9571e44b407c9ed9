/** Paths below a directory that nothing leads out of, and the filesystem that a descriptor lies on. */
import type { CString } from './c-string.ts';
import { EAGAIN, EINTR, ENOENT, ENOSYS, ENOTDIR, EOPNOTSUPP, errnoFailure } from './errno.ts';
import type { Libc } from './libc.ts';
import { O_CLOEXEC, O_CREAT, O_NOFOLLOW, O_PATH, O_TMPFILE } from './open-flags.ts';
import type { HostCalls } from './parts.ts';
import {
  AT_EMPTY_PATH,
  AT_NO_AUTOMOUNT,
  AT_STATX_DONT_SYNC,
  AT_SYMLINK_NOFOLLOW,
  STATX_HOST,
  StatxBuffer,
} from './statx.ts';
import type { HostStat } from './system.ts';
import { setUint64 } from './words.ts';

/** openat2(2) knows no default: what node:fs adds to every open is named here. */
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_XDEV = 0x01;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;
const RESOLVE_IN_ROOT = 0x10;
const RESOLVE_BELOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
/** struct open_how: flags, mode and resolve, 64 bits each. */
const OPEN_HOW_BYTES = 24;
const MODE_DEFAULT = 0o666;
const NOTHING = Buffer.alloc(0);
/** _IOR(0x15, 0, struct fsuuid2): a length in bytes, and sixteen of them. */
const FS_IOC_GETFSUUID = 0x80111500;
const UUID_BYTES = 16;

type RootedCalls = Pick<
  HostCalls,
  'openInRoot' | 'openBeneath' | 'statAt' | 'statFile' | 'fileSystemUuid' | 'syncFileSystem'
>;

export function rootedCalls(libc: Libc, path: CString): RootedCalls {
  const how = new Uint32Array(OPEN_HOW_BYTES / 4);
  const stat = new StatxBuffer();

  function open(directory: number, at: Buffer, flags: number, mode: number, resolve: number): number {
    setUint64(how, 0, flags | O_CLOEXEC);
    // A mode without a file to make is EINVAL.
    setUint64(how, 2, (flags & (O_CREAT | O_TMPFILE)) === 0 ? 0 : mode & 0o7777);
    setUint64(how, 4, resolve | RESOLVE_NO_MAGICLINKS);
    const name = path.set(at, 'openat2');
    for (;;) {
      const fd = libc.openat2(libc.numbers.openat2, directory, name, how, OPEN_HOW_BYTES);
      if (fd >= 0) return fd;
      const errno = libc.errno();
      // EAGAIN: something was renamed while '..' was looked up, so that it could not be told whether it stays inside.
      if (errno === EINTR || errno === EAGAIN) continue;
      throw errnoFailure(errno === ENOSYS ? EOPNOTSUPP : errno, 'openat2', at);
    }
  }

  /** The errno of the failure, or 0. */
  function statx(directory: number, at: Buffer, flags: number): number {
    const name = path.set(at, 'statx');
    while (libc.statx(directory, name, flags | AT_NO_AUTOMOUNT, STATX_HOST, stat.words) !== 0) {
      const errno = libc.errno();
      if (errno !== EINTR) return errno;
    }
    return 0;
  }

  function statFile(fd: number, shown?: Buffer): HostStat {
    const errno = statx(fd, NOTHING, AT_EMPTY_PATH);
    if (errno !== 0) throw errnoFailure(errno, 'statx', shown);
    return stat.toHostStat();
  }

  /** By a descriptor, which the kernel refuses to open where it is a mount point. */
  function statBelow(directory: number, name: Buffer): HostStat {
    const fd = open(directory, name, O_PATH | O_NOFOLLOW, 0, RESOLVE_BELOW);
    try {
      return statFile(fd, name);
    } finally {
      libc.close(fd);
    }
  }

  return {
    openInRoot: (root, at, flags, mode = MODE_DEFAULT) => open(root, at, flags, mode, RESOLVE_IN_ROOT),
    openBeneath: (directory, at, flags) => open(directory, at, flags, 0, RESOLVE_BELOW),
    statFile: (fd) => statFile(fd),

    statAt(directory, name, isLocal) {
      if (!isLocal) return statBelow(directory, name);
      const errno = statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC);
      if (errno === 0 && stat.tellsMountPoints) return stat.toHostStat();
      if (errno === ENOENT || errno === ENOTDIR) throw errnoFailure(errno, 'statx', name);
      // What is mounted there may refuse what the directory would not.
      return statBelow(directory, name);
    },

    fileSystemUuid(fd) {
      const answer = new Uint8Array(1 + UUID_BYTES);
      // ENOTTY: an older kernel, or a filesystem without one.
      if (libc.ioctlStructure(fd, FS_IOC_GETFSUUID, answer) !== 0 || answer[0] !== UUID_BYTES)
        return undefined;
      return Buffer.from(answer.subarray(1)).toString('hex');
    },

    syncFileSystem(fd) {
      while (libc.syncfs(fd) !== 0) {
        const errno = libc.errno();
        if (errno !== EINTR) throw errnoFailure(errno, 'syncfs');
      }
    },
  };
}
