/** Paths below a directory that nothing leads out of, and the filesystem that a descriptor lies on. */
import type { CString } from './c-string.ts';
import { EAGAIN, EINTR, ENOSYS, EOPNOTSUPP, errnoFailure } from './errno.ts';
import type { Libc } from './libc.ts';
import type { HostCalls } from './parts.ts';
import {
  AT_EMPTY_PATH,
  AT_NO_AUTOMOUNT,
  AT_SYMLINK_NOFOLLOW,
  STATX_BASIC_STATS,
  STATX_BTIME,
  StatxBuffer,
} from './statx.ts';
import type { HostStat } from './system.ts';
import { setUint64 } from './words.ts';

/** openat2(2) knows no default: what node:fs adds to every open is named here. */
const O_CLOEXEC = 0o2000000;
const O_CREAT = 0o100;
/** O_TMPFILE without the O_DIRECTORY that comes with it. */
const O_TMPFILE = 0o20000000;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_XDEV = 0x01;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;
const RESOLVE_IN_ROOT = 0x10;
/** struct open_how: flags, mode and resolve, 64 bits each. */
const OPEN_HOW_BYTES = 24;
const MODE_DEFAULT = 0o666;
const NOTHING = Buffer.alloc(0);

type RootedCalls = Pick<HostCalls, 'openInRoot' | 'openBeneath' | 'statAt' | 'statFile' | 'syncFileSystem'>;

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

  function statx(directory: number, at: Buffer, flags: number): HostStat {
    const name = path.set(at, 'statx');
    const mask = STATX_BASIC_STATS | STATX_BTIME;
    while (libc.statx(directory, name, flags | AT_NO_AUTOMOUNT, mask, stat.words) !== 0) {
      const errno = libc.errno();
      if (errno !== EINTR) throw errnoFailure(errno, 'statx', at);
    }
    return stat.toHostStat();
  }

  return {
    openInRoot: (root, at, flags, mode = MODE_DEFAULT) => open(root, at, flags, mode, RESOLVE_IN_ROOT),
    openBeneath: (directory, at, flags) =>
      open(directory, at, flags, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV),
    statAt: (directory, name) => statx(directory, name, AT_SYMLINK_NOFOLLOW),
    statFile: (fd) => statx(fd, NOTHING, AT_EMPTY_PATH),

    syncFileSystem(fd) {
      while (libc.syncfs(fd) !== 0) {
        const errno = libc.errno();
        if (errno !== EINTR) throw errnoFailure(errno, 'syncfs');
      }
    },
  };
}
