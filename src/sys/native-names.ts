/** Calls on names in an open directory, through libc. No call looks up a path. */
import { PATH_BYTES_MAX } from '../base/index.ts';
import { CString } from './c-string.ts';
import { checked, errnoFailure } from './errno.ts';
import type { Libc } from './libc.ts';
import { AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW, StatxBuffer } from './statx.ts';
import type { System } from './system.ts';

/** Flag of unlinkat(2). */
const AT_REMOVEDIR = 0x200;

/** `name` is the buffer into which each call puts the name that it is about. */
export function namedCalls(libc: Libc, name: CString) {
  const stat = new StatxBuffer();
  /** The second name of calls that take two. */
  const other = new CString(name.bytes.length, 'ENAMETOOLONG');
  const target = Buffer.alloc(PATH_BYTES_MAX);

  const check = (result: number, syscall: string): void => void checked(libc, result, syscall);

  return {
    lstatAt(directory, at) {
      const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
      const errno = stat.fill(libc, directory, name.set(at, 'lstat'), flags);
      if (errno !== 0) throw errnoFailure(errno, 'lstat');
      return stat.toHostStat();
    },

    readLinkAt(directory, at) {
      const bytes = name.set(at, 'readlink');
      const length = checked(libc, libc.readlinkat(directory, bytes, target, target.length), 'readlink', at);
      return Buffer.from(target.subarray(0, length));
    },
    makeDirectoryAt: (directory, at, mode) =>
      check(libc.mkdirat(directory, name.set(at, 'mkdir'), mode), 'mkdir'),
    symlinkAt: (target, directory, at) =>
      check(libc.symlinkat(other.set(target, 'symlink'), directory, name.set(at, 'symlink')), 'symlink'),
    linkAt: (from, existing, directory, at) =>
      check(libc.linkat(from, other.set(existing, 'link'), directory, name.set(at, 'link'), 0), 'link'),
    renameAt: (from, existing, directory, at) =>
      check(libc.renameat(from, other.set(existing, 'rename'), directory, name.set(at, 'rename')), 'rename'),
    unlinkAt: (directory, at) => check(libc.unlinkat(directory, name.set(at, 'unlink'), 0), 'unlink'),
    removeDirectoryAt: (directory, at) =>
      check(libc.unlinkat(directory, name.set(at, 'rmdir'), AT_REMOVEDIR), 'rmdir'),
    makeNodeAt: (directory, at, mode, rdev) =>
      check(libc.mknodat(libc.numbers.mknodat, directory, name.set(at, 'mknod'), mode, rdev), 'mknod'),
  } satisfies Partial<System>;
}
