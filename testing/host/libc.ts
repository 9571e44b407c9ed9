/**
 * System calls that node:fs does not have, for tests and benchmarks of mounts. They are declared here apart from
 * `src/sys`, so that Ramet is not judged by its own calls. Linux, 64 bits, little-endian.
 *
 * Every failure is an Error with `code`, like those of node:fs. Variadic functions (fcntl, ioctl, open) are declared
 * with fixed arguments, which the calling conventions of x64 and arm64 pass in the same registers.
 */
import { createRequire } from 'node:module';
import { getSystemErrorName } from 'node:util';

type Koffi = typeof import('koffi');

/** The C functions, as in their man pages. Addresses are plain numbers. */
export interface Libc {
  open(path: Uint8Array, flags: number, mode: number): number;
  close(fd: number): number;
  read(fd: number, target: number, length: number): number;
  pread(fd: number, target: number, length: number, position: number): number;
  pwrite(fd: number, source: number, length: number, position: number): number;
  fsync(fd: number): number;
  unlink(path: Uint8Array): number;
  statx(directory: number, path: Uint8Array, flags: number, mask: number, target: Uint8Array): number;
  lseek(fd: number, position: number | bigint, whence: number): number;
  fallocate(fd: number, mode: number, position: number, length: number): number;
  flock(fd: number, operation: number): number;
  fcntlNumber(fd: number, command: number, argument: number): number;
  fcntlStructure(fd: number, command: number, argument: Uint8Array): number;
  /** Returns the error number itself. */
  posix_fadvise(fd: number, position: number, length: number, advice: number): number;
  copy_file_range(
    source: number,
    from: null,
    target: number,
    to: null,
    length: number,
    flags: number,
  ): number;
  renameat2(from: number, path: string, to: number, target: string, flags: number): number;
  linkat(from: number, path: string, to: number, target: string, flags: number): number;
  fsetxattr(fd: number, name: string, value: Uint8Array, length: number, flags: number): number;
  fgetxattr(fd: number, name: string, target: Uint8Array, length: number): number;
  lsetxattr(path: string, name: string, value: Uint8Array, length: number, flags: number): number;
  lgetxattr(path: string, name: string, target: Uint8Array, length: number): number;
  lremovexattr(path: string, name: string): number;
  llistxattr(path: string, target: Uint8Array, length: number): number;
  name_to_handle_at(
    directory: number,
    path: string,
    handle: Uint8Array,
    mountId: Uint8Array,
    flags: number,
  ): number;
  open_by_handle_at(mount: number, handle: Uint8Array, flags: number): number;
  inotify_init1(flags: number): number;
  inotify_add_watch(fd: number, path: string, mask: number): number;
  memfd_create(name: string, flags: number): number;
  mmap(address: number, length: number, protection: number, flags: number, fd: number, at: number): number;
  munmap(address: number, length: number): number;
  msync(address: number, length: number, flags: number): number;
  madvise(address: number, length: number, advice: number): number;
  /** getdents64(2). */
  getdents(fd: number, target: Uint8Array, length: number): number;
  errno(): number;
  /** The address of an array's bytes. Only for arrays that do not move: `allocateFixed` makes them. */
  addressOf(bytes: Uint8Array): number;
}

const PROTOTYPES: Readonly<Record<Exclude<keyof Libc, 'errno' | 'addressOf' | 'getdents'>, string>> = {
  open: 'int open(void *path, int flags, int mode)',
  close: 'int close(int fd)',
  read: 'int64_t read(int fd, intptr_t target, size_t length)',
  pread: 'int64_t pread(int fd, intptr_t target, size_t length, int64_t position)',
  pwrite: 'int64_t pwrite(int fd, intptr_t source, size_t length, int64_t position)',
  fsync: 'int fsync(int fd)',
  unlink: 'int unlink(void *path)',
  statx: 'int statx(int directory, void *path, int flags, unsigned int mask, void *target)',
  lseek: 'int64_t lseek(int fd, int64_t position, int whence)',
  fallocate: 'int fallocate(int fd, int mode, int64_t position, int64_t length)',
  flock: 'int flock(int fd, int operation)',
  fcntlNumber: 'int fcntl(int fd, int command, int64_t argument)',
  fcntlStructure: 'int fcntl(int fd, int command, void *argument)',
  posix_fadvise: 'int posix_fadvise(int fd, int64_t position, int64_t length, int advice)',
  copy_file_range:
    'int64_t copy_file_range(int source, void *from, int target, void *to, size_t length, unsigned int flags)',
  renameat2: 'int renameat2(int from, const char *path, int to, const char *target, unsigned int flags)',
  linkat: 'int linkat(int from, const char *path, int to, const char *target, int flags)',
  fsetxattr: 'int fsetxattr(int fd, const char *name, void *value, size_t length, int flags)',
  fgetxattr: 'int64_t fgetxattr(int fd, const char *name, void *target, size_t length)',
  lsetxattr: 'int lsetxattr(const char *path, const char *name, void *value, size_t length, int flags)',
  lgetxattr: 'int64_t lgetxattr(const char *path, const char *name, void *target, size_t length)',
  lremovexattr: 'int lremovexattr(const char *path, const char *name)',
  llistxattr: 'int64_t llistxattr(const char *path, void *target, size_t length)',
  name_to_handle_at:
    'int name_to_handle_at(int directory, const char *path, void *handle, void *mount, int flags)',
  open_by_handle_at: 'int open_by_handle_at(int mount, void *handle, int flags)',
  inotify_init1: 'int inotify_init1(int flags)',
  inotify_add_watch: 'int inotify_add_watch(int fd, const char *path, uint32_t mask)',
  memfd_create: 'int memfd_create(const char *name, unsigned int flags)',
  mmap: 'intptr_t mmap(intptr_t address, size_t length, int protection, int flags, int fd, int64_t at)',
  munmap: 'int munmap(intptr_t address, size_t length)',
  msync: 'int msync(intptr_t address, size_t length, int flags)',
  madvise: 'int madvise(intptr_t address, size_t length, int advice)',
};

const ESTALE = 116;

/** syscall(SYS_getdents64, fd, target, length), for which older versions of glibc have no function. */
const GETDENTS64_PROTOTYPE = 'int64_t syscall(int64_t number, int64_t fd, void *target, int64_t length)';
/** SYS_getdents64 by architecture. */
const GETDENTS64: Readonly<Record<string, number>> = { x64: 217, arm64: 61 };

let loaded: Libc | Error | undefined;

function load(): Libc | Error {
  const number = GETDENTS64[process.arch];
  if (process.platform !== 'linux' || number === undefined)
    return new Error(`system calls are not declared for ${process.platform}/${process.arch}`);
  try {
    // Not imported at the top: koffi has no binary for some machines, and the tests there must be able to say so.
    const koffi: Koffi = createRequire(import.meta.url)('koffi');
    const library = koffi.load('libc.so.6');
    const calls = Object.entries(PROTOTYPES).map(([name, prototype]) => [name, library.func(prototype)]);
    const getdents64 = library.func(GETDENTS64_PROTOTYPE);
    const own = {
      getdents: (fd: number, target: Uint8Array, length: number): number =>
        getdents64(number, fd, target, length),
      errno: () => koffi.errno(),
      addressOf: (bytes: Uint8Array) => Number(koffi.address(bytes)),
    };
    // PROTOTYPES has every other member of Libc by name, and declares it as Libc does.
    return { ...(Object.fromEntries(calls) as Libc), ...own };
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** The `skip` option of a test: false if this process can make these calls, else the reason why it cannot. */
export function whyNoLibc(): false | string {
  loaded ??= load();
  return loaded instanceof Error ? loaded.message : false;
}

export function libc(): Libc {
  loaded ??= load();
  if (loaded instanceof Error) throw loaded;
  return loaded;
}

/** An error like those of node:fs, for the call that just failed on this thread. */
export function systemError(syscall: string, errno = libc().errno()): Error {
  // libuv has no name for a stale handle.
  const code = errno === ESTALE ? 'ESTALE' : getSystemErrorName(-errno);
  return Object.assign(new Error(`${code}: ${syscall}`), { code, syscall, errno: -errno });
}

/** Returns the result of a call, or throws its error if it is negative. */
export function check(result: number, syscall: string): number {
  if (result < 0) throw systemError(syscall);
  return result;
}

/** An array whose bytes never move, because it is too large for V8's own heap. */
export function allocateFixed(length: number): Buffer {
  return Buffer.allocUnsafeSlow(Math.max(length, 4096)).subarray(0, length);
}

/** A path as a C string, with a zero byte at the end. */
export function pathBytes(path: string): Buffer {
  const text = Buffer.from(path);
  const bytes = allocateFixed(text.length + 1);
  text.copy(bytes);
  bytes[text.length] = 0;
  return bytes;
}

export const RENAME_NOREPLACE = 1;
export const RENAME_EXCHANGE = 2;
export const RENAME_WHITEOUT = 4;
const AT_FDCWD = -100;

/** renameat2(2) of paths. */
export function renameWith(flags: number, from: string, to: string): void {
  check(libc().renameat2(AT_FDCWD, from, AT_FDCWD, to, flags), 'renameat2');
}

export interface DirectoryEntry {
  readonly name: string;
  readonly ino: number;
  /** DT_* of readdir(3). */
  readonly kind: number;
  /** The position after this entry, for lseek(2), as telldir(3) gives it. All 64 bits may be in use. */
  readonly next: bigint;
}

/** The next entries of an open directory, including '.' and '..'; none at its end. */
export function readDirectory(fd: number, lengthBytes = 32_768): DirectoryEntry[] {
  const chunk = allocateFixed(lengthBytes);
  const length = libc().getdents(fd, chunk, lengthBytes);
  check(length, 'getdents64');
  const entries: DirectoryEntry[] = [];
  // struct linux_dirent64: ino u64, offset i64, record length u16, type u8, name.
  for (let at = 0; at < length; at += chunk.readUInt16LE(at + 16)) {
    const name = chunk.toString('utf8', at + 19, chunk.indexOf(0, at + 19));
    const next = chunk.readBigInt64LE(at + 8);
    entries.push({ name, ino: Number(chunk.readBigUInt64LE(at)), kind: chunk[at + 18]!, next });
  }
  return entries;
}
