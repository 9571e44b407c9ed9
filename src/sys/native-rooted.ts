/** Paths below a directory that nothing leads out of, and the filesystem that a descriptor lies on. */
import type { CString } from './c-string.ts';
import { EAGAIN, EINTR, ENOSYS, EOPNOTSUPP, errnoFailure } from './errno.ts';
import type { Libc } from './libc.ts';
import type { HostCalls } from './parts.ts';
import { setUint64 } from './words.ts';

/** openat2(2) knows no default: what node:fs adds to every open is named here. */
const O_CLOEXEC = 0o2000000;
const O_CREAT = 0o100;
/** O_TMPFILE without the O_DIRECTORY that comes with it. */
const O_TMPFILE = 0o20000000;
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_IN_ROOT = 0x10;
/** struct open_how: flags, mode and resolve, 64 bits each. */
const OPEN_HOW_BYTES = 24;
const MODE_DEFAULT = 0o666;

export function rootedCalls(libc: Libc, path: CString): Pick<HostCalls, 'openInRoot' | 'syncFileSystem'> {
  const how = new Uint32Array(OPEN_HOW_BYTES / 4);
  return {
    openInRoot(root, at, flags, mode = MODE_DEFAULT) {
      setUint64(how, 0, flags | O_CLOEXEC);
      // A mode without a file to make is EINVAL.
      setUint64(how, 2, (flags & (O_CREAT | O_TMPFILE)) === 0 ? 0 : mode & 0o7777);
      setUint64(how, 4, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
      const name = path.set(at, 'openat2');
      for (;;) {
        const fd = libc.openat2(libc.numbers.openat2, root, name, how, OPEN_HOW_BYTES);
        if (fd >= 0) return fd;
        const errno = libc.errno();
        // EAGAIN: something was renamed while '..' was looked up, so that it could not be told whether it stays inside.
        if (errno === EINTR || errno === EAGAIN) continue;
        throw errnoFailure(errno === ENOSYS ? EOPNOTSUPP : errno, 'openat2', at);
      }
    },

    syncFileSystem(fd) {
      while (libc.syncfs(fd) !== 0) {
        const errno = libc.errno();
        if (errno !== EINTR) throw errnoFailure(errno, 'syncfs');
      }
    },
  };
}
