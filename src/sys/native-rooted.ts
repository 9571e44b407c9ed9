/** Calls that open and stat files below a directory, and calls on the filesystem of a descriptor. */
import type { CString } from './c-string.ts';
import { EAGAIN, EINTR, ENOENT, ENOSYS, ENOTDIR, EOPNOTSUPP, EPERM, errnoFailure } from './errno.ts';
import type { Libc } from './libc.ts';
import { openByNames, type StepCalls } from './open-by-names.ts';
import { O_CLOEXEC, O_CREAT, O_NOFOLLOW, O_PATH, O_TMPFILE } from './open-flags.ts';
import {
  AT_EMPTY_PATH,
  AT_NO_AUTOMOUNT,
  AT_STATX_DONT_SYNC,
  AT_SYMLINK_NOFOLLOW,
  StatxBuffer,
} from './statx.ts';
import type { HostStat, System } from './system.ts';
import { setUint64 } from './words.ts';

const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_XDEV = 0x01;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;
const RESOLVE_IN_ROOT = 0x10;
const RESOLVE_BELOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
/** struct open_how: flags, mode and resolve, 64 bits each. */
const OPEN_HOW_BYTES = 24;
/** How often to repeat the lookup of a path when something on the way is renamed each time. */
const RENAMED_MAX = 100;
/** The mode of new files where the caller gives none. */
const MODE_DEFAULT = 0o666;
const NOTHING = Buffer.alloc(0);
/** _IOR(0x15, 0, struct fsuuid2): a length in bytes, then 16 bytes. */
const FS_IOC_GETFSUUID = 0x80111500;
const UUID_BYTES = 16;

/** Returns the descriptor, or the errno of the failure as a negative number. */
type TryOpen = (directory: number, at: Buffer, flags: number, mode: number, resolve: number) => number;

export function rootedCalls(libc: Libc, path: CString) {
  const how = new Uint32Array(OPEN_HOW_BYTES / 4);

  function tryOpen(directory: number, at: Buffer, flags: number, mode: number, resolve: number): number {
    setUint64(how, 0, flags | O_CLOEXEC);
    // openat2(2) fails with EINVAL for a mode where no file can be created.
    setUint64(how, 2, (flags & (O_CREAT | O_TMPFILE)) === 0 ? 0 : mode & 0o7777);
    setUint64(how, 4, resolve | RESOLVE_NO_MAGICLINKS);
    const name = path.set(at, 'openat2');
    for (let renamed = 0; ; ) {
      const fd = libc.openat2(libc.numbers.openat2, directory, name, how, OPEN_HOW_BYTES);
      if (fd >= 0) return fd;
      const errno = libc.errno();
      if (errno === EAGAIN && mayLeadUp(resolve) && renamed < RENAMED_MAX) renamed++;
      else if (errno !== EINTR) return -errno;
    }
  }

  const stats = statCalls(libc, path, tryOpen);
  return { ...openCalls(libc, path, tryOpen, stats.statFile), ...stats, ...fileSystemCalls(libc) };
}

/**
 * True if a lookup may meet a '..', which here only symlinks contain. EAGAIN then means that something was renamed
 * meanwhile, so that the kernel cannot tell whether the '..' stays inside. Otherwise EAGAIN means that another program
 * has a lease on the file.
 */
function mayLeadUp(resolve: number): boolean {
  return (resolve & RESOLVE_NO_SYMLINKS) === 0;
}

function requireOpen(fd: number, at: Buffer): number {
  if (fd >= 0) return fd;
  throw errnoFailure(fd === -ENOSYS ? EOPNOTSUPP : -fd, 'openat2', at);
}

/** openat(2), repeated while signals interrupt it. Returns the descriptor, or the errno as a negative number. */
export function tryOpenIn(libc: Libc, directory: number, name: Buffer, flags: number, mode: number): number {
  for (;;) {
    const fd = libc.openat(directory, name, flags | O_CLOEXEC, mode);
    if (fd >= 0) return fd;
    const errno = libc.errno();
    if (errno !== EINTR) return -errno;
  }
}

function openCalls(libc: Libc, path: CString, tryOpen: TryOpen, statFile: System['statFile']) {
  const steps: StepCalls = {
    open(directory, name, flags, mode) {
      const fd = tryOpenIn(libc, directory, path.set(name, 'open'), flags | O_NOFOLLOW, mode);
      if (fd < 0) throw errnoFailure(-fd, 'open');
      return fd;
    },
    modeOf: (fd) => statFile(fd).mode,
    close: (fd) => void libc.close(fd),
  };

  return {
    openInRoot: (root, at, flags, mode = MODE_DEFAULT) =>
      requireOpen(tryOpen(root, at, flags, mode, RESOLVE_IN_ROOT), at),
    openBeneath: (directory, at, flags) => requireOpen(tryOpen(directory, at, flags, 0, RESOLVE_BELOW), at),

    openAt(directory, at, flags, mode = MODE_DEFAULT) {
      const fd = tryOpen(directory, at, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
      if (fd >= 0) return fd;
      // EPERM may come from a container that forbids the system calls that it does not know.
      if (fd === -ENOSYS || fd === -EPERM) return openByNames(steps, directory, at, flags, mode);
      throw errnoFailure(-fd, 'open');
    },
  } satisfies Partial<System>;
}

function statCalls(libc: Libc, path: CString, tryOpen: TryOpen) {
  const stat = new StatxBuffer();
  const statx = (directory: number, at: Buffer, flags: number): number =>
    stat.fill(libc, directory, path.set(at, 'statx'), flags | AT_NO_AUTOMOUNT);

  function statFile(fd: number, shown?: Buffer): HostStat {
    const errno = statx(fd, NOTHING, AT_EMPTY_PATH);
    if (errno !== 0) throw errnoFailure(errno, 'statx', shown);
    return stat.toHostStat();
  }

  /** Opens the name and stats the descriptor, because on opening the kernel refuses a mount point (EXDEV). */
  function statBelow(directory: number, name: Buffer): HostStat {
    const fd = requireOpen(tryOpen(directory, name, O_PATH | O_NOFOLLOW, 0, RESOLVE_BELOW), name);
    try {
      return statFile(fd, name);
    } finally {
      libc.close(fd);
    }
  }

  return {
    statFile: (fd) => statFile(fd),

    statAt(directory, name, isLocal) {
      if (!isLocal) return statBelow(directory, name);
      const errno = statx(directory, name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC);
      if (errno === 0 && stat.tellsMountPoints) return stat.toHostStat();
      if (errno === ENOENT || errno === ENOTDIR) throw errnoFailure(errno, 'statx', name);
      // The failure may come from a filesystem mounted there.
      return statBelow(directory, name);
    },
  } satisfies Partial<System>;
}

function fileSystemCalls(libc: Libc) {
  return {
    fileSystemUuid(fd) {
      const answer = new Uint8Array(1 + UUID_BYTES);
      // ENOTTY: an older kernel, or a filesystem without a UUID.
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
  } satisfies Partial<System>;
}
