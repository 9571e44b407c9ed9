/**
 * libc, loaded through koffi: the only place that names C functions. Addresses are passed as `intptr_t`, which koffi
 * takes as plain numbers; structures are typed arrays, which it passes without copying.
 *
 * fcntl(2), ioctl(2), openat(2) and syscall(2) are variadic in C. They are declared with fixed arguments here, which
 * every architecture in ARCHITECTURES passes in the same registers.
 */
import { createRequire } from 'node:module';
import type { Address } from '../base/index.ts';

type Koffi = typeof import('koffi');
/** Memory that a call reads or writes while it runs. */
type Scratch = NodeJS.TypedArray;

export interface CallNumbers {
  readonly getdents64: number;
  readonly mknodat: number;
  // The same on every architecture, like all calls since Linux 5.1.
  readonly openat2: 437;
  readonly fchmodat2: 452;
}

/** C functions as in their man pages. Where nothing else is noted, -1 is a failure and `errno()` says which. */
export interface Libc {
  pread(fd: number, target: number, length: number, position: number): number;
  pwrite(fd: number, source: number, length: number, position: number): number;
  preadv2(fd: number, iovec: Scratch, count: number, position: number, flags: number): number;
  fallocate(fd: number, mode: number, position: number, length: number): number;
  lseek(fd: number, position: number, whence: number): number;
  flock(fd: number, operation: number): number;
  /** ioctl(2) with a number as its argument. */
  ioctlNumber(fd: number, request: number, argument: number): number;
  /** ioctl(2) with a structure as its argument. */
  ioctlStructure(fd: number, request: number, argument: Scratch): number;
  /** Returns 0 or the error number. */
  posix_fadvise(fd: number, position: number, length: number, advice: number): number;
  sync_file_range(fd: number, position: number, length: number, flags: number): number;
  statx(directory: number, path: Scratch, flags: number, mask: number, target: Scratch): number;
  flistxattr(fd: number, target: Scratch | null, length: number): number;
  fgetxattr(fd: number, name: Scratch, target: Scratch | null, length: number): number;
  listxattr(path: Scratch, target: Scratch | null, length: number): number;
  getxattr(path: Scratch, name: Scratch, target: Scratch | null, length: number): number;
  llistxattr(path: Scratch, target: Scratch | null, length: number): number;
  lgetxattr(path: Scratch, name: Scratch, target: Scratch | null, length: number): number;
  setxattr(path: Scratch, name: Scratch, value: Scratch, length: number, flags: number): number;
  fsetxattr(fd: number, name: Scratch, value: Scratch, length: number, flags: number): number;
  utimensat(directory: number, path: Scratch, times: Scratch, flags: number): number;
  futimens(fd: number, times: Scratch): number;
  chmod(path: Scratch, mode: number): number;
  fchmod(fd: number, mode: number): number;
  fchownat(directory: number, path: Scratch, uid: number, gid: number, flags: number): number;
  readlinkat(directory: number, path: Scratch, target: Scratch, length: number): number;
  mkdirat(directory: number, path: Scratch, mode: number): number;
  symlinkat(target: Scratch, directory: number, path: Scratch): number;
  linkat(from: number, existing: Scratch, directory: number, path: Scratch, flags: number): number;
  renameat(from: number, existing: Scratch, directory: number, path: Scratch): number;
  unlinkat(directory: number, path: Scratch, flags: number): number;
  openat(directory: number, path: Scratch, flags: number, mode: number): number;
  mmap(
    address: number,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    position: number,
  ): Address;
  munmap(address: number, length: number): number;
  mincore(address: number, length: number, target: Scratch): number;
  madvise(address: number, length: number, advice: number): number;
  clock_gettime(clock: number, target: Scratch): number;
  read(fd: number, target: number, length: number): number;
  write(fd: number, source: number, length: number): number;
  writev(fd: number, iovec: Scratch, count: number): number;
  epoll_create1(flags: number): number;
  epoll_ctl(epoll: number, operation: number, fd: number, event: Scratch): number;
  epoll_wait(epoll: number, events: Scratch, countMax: number, timeoutMs: number): number;
  sched_yield(): number;
  /** Undefined where libc is not glibc. */
  readonly malloc_trim: ((padBytes: number) => number) | undefined;
  socketpair(domain: number, type: number, protocol: number, target: Scratch): number;
  recvmsg(fd: number, message: Scratch, flags: number): number;
  unshare(flags: number): number;
  /** fcntl(2) with a number as its argument. */
  fcntlNumber(fd: number, command: number, argument: number): number;
  mount(source: Scratch, target: Scratch, type: Scratch, flags: number, options: Scratch | null): number;
  umount2(target: Scratch, flags: number): number;
  getpagesize(): number;
  /** syscall(SYS_getdents64, fd, target, length), for which not every libc has a function. */
  getdents64(number: number, fd: number, target: Scratch, length: number): number;
  /** syscall(SYS_mknodat, directory, path, mode, dev); older versions of glibc have no mknod symbol. */
  mknodat(number: number, directory: number, path: Scratch, mode: number, dev: number): number;
  /** syscall(SYS_open_tree, directory, path, flags), open_tree(2). */
  open_tree(number: number, directory: number, path: Scratch, flags: number): number;
  /** syscall(SYS_mount_setattr, directory, path, flags, attributes, length), mount_setattr(2). */
  mount_setattr(
    number: number,
    directory: number,
    path: Scratch,
    flags: number,
    attributes: Scratch,
    length: number,
  ): number;
  /** syscall(SYS_fspick, directory, path, flags), fspick(2). */
  fspick(number: number, directory: number, path: Scratch, flags: number): number;
  /** syscall(SYS_fsconfig, fd, command, key, value, aux), fsconfig(2), for commands without a key. */
  fsconfig(number: number, fd: number, command: number, key: null, value: null, aux: number): number;
  /** syscall(SYS_fchmodat2, directory, path, mode, flags). */
  fchmodat2(number: number, directory: number, path: Scratch, mode: number, flags: number): number;
  /** syscall(SYS_openat2, directory, path, how, size): no libc has a function yet. */
  openat2(number: number, directory: number, path: Scratch, how: Scratch, size: number): number;
  syncfs(fd: number): number;
  tcgetpgrp(fd: number): number;
  tcsetpgrp(fd: number, group: number): number;
  /** signal(2), only with SIG_DFL (0) or SIG_IGN (1), never with a function. */
  signal(signal: number, handler: 0 | 1): number;
  getsockopt(fd: number, level: number, name: number, target: Scratch, length: Scratch): number;
  close(fd: number): number;

  /** errno of the last call made on this thread. */
  errno(): number;
  /** The address of an array's bytes, which stays the same while the array lives. */
  addressOf(bytes: Uint8Array): number;
  /** An ArrayBuffer over memory that the JavaScript engine did not allocate. */
  view(address: number, length: number): ArrayBuffer;
  /** The numbers of this architecture for calls made through syscall(2). */
  readonly numbers: CallNumbers;
}

/** The system call numbers of asm-generic/unistd.h. */
const GENERIC: CallNumbers = { getdents64: 61, mknodat: 33, openat2: 437, fchmodat2: 452 };
/** 64-bit and little-endian architectures, which share the numbers of asm-generic/{fcntl,ioctl,mman}.h. */
const ARCHITECTURES: Readonly<Record<string, CallNumbers>> = {
  x64: { getdents64: 217, mknodat: 259, openat2: 437, fchmodat2: 452 },
  arm64: GENERIC,
  riscv64: GENERIC,
  loong64: GENERIC,
};

/** File names of libc: that of glibc, then those of musl. */
const LIBRARY_NAMES = [
  'libc.so.6',
  'libc.musl-x86_64.so.1',
  'libc.musl-aarch64.so.1',
  'libc.musl-riscv64.so.1',
  'libc.so',
];

let loaded: Libc | Error | undefined;

/** libc, or the reason why this process cannot use it. The first answer is kept. */
export function loadLibc(): Libc | Error {
  loaded ??= tryLoad();
  return loaded;
}

function tryLoad(): Libc | Error {
  const numbers = ARCHITECTURES[process.arch];
  if (process.platform !== 'linux' || numbers === undefined)
    return new Error(`system calls are not declared for ${process.platform}/${process.arch}`);
  try {
    // Loaded here instead of imported, because this module must load also where koffi has no binary for the machine.
    const koffi: Koffi = createRequire(import.meta.url)('koffi');
    return declare(koffi, openLibrary(koffi), numbers);
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function openLibrary(koffi: Koffi): ReturnType<Koffi['load']> {
  let failure: unknown;
  for (const name of LIBRARY_NAMES) {
    try {
      return koffi.load(name);
    } catch (error) {
      failure ??= error;
    }
  }
  throw failure;
}

type Define = (prototype: string) => ReturnType<ReturnType<Koffi['load']>['func']>;

/** The functions on names and attributes of files. */
function declareNames(define: Define) {
  return {
    statx: define('int statx(int directory, void *path, int flags, unsigned int mask, void *target)'),
    flistxattr: define('int64_t flistxattr(int fd, void *target, size_t length)'),
    fgetxattr: define('int64_t fgetxattr(int fd, void *name, void *target, size_t length)'),
    listxattr: define('int64_t listxattr(void *path, void *target, size_t length)'),
    getxattr: define('int64_t getxattr(void *path, void *name, void *target, size_t length)'),
    llistxattr: define('int64_t llistxattr(void *path, void *target, size_t length)'),
    lgetxattr: define('int64_t lgetxattr(void *path, void *name, void *target, size_t length)'),
    setxattr: define('int setxattr(void *path, void *name, void *value, size_t length, int flags)'),
    fsetxattr: define('int fsetxattr(int fd, void *name, void *value, size_t length, int flags)'),
    utimensat: define('int utimensat(int directory, void *path, void *times, int flags)'),
    futimens: define('int futimens(int fd, void *times)'),
    chmod: define('int chmod(void *path, unsigned int mode)'),
    fchmod: define('int fchmod(int fd, unsigned int mode)'),
    fchownat: define(
      'int fchownat(int directory, void *path, unsigned int uid, unsigned int gid, int flags)',
    ),
    readlinkat: define('int64_t readlinkat(int directory, void *path, void *target, size_t length)'),
    mkdirat: define('int mkdirat(int directory, void *path, unsigned int mode)'),
    symlinkat: define('int symlinkat(void *target, int directory, void *path)'),
    linkat: define('int linkat(int from, void *existing, int directory, void *path, int flags)'),
    renameat: define('int renameat(int from, void *existing, int directory, void *path)'),
    unlinkat: define('int unlinkat(int directory, void *path, int flags)'),
    openat: define('int openat(int directory, void *path, int flags, unsigned int mode)'),
  };
}

/** The functions on processes, terminals and the peers of sockets. */
function declareProcesses(define: Define) {
  return {
    unshare: define('int unshare(int flags)'),
    tcgetpgrp: define('int tcgetpgrp(int fd)'),
    tcsetpgrp: define('int tcsetpgrp(int fd, int group)'),
    signal: define('intptr_t signal(int signal, intptr_t handler)'),
    getsockopt: define('int getsockopt(int fd, int level, int name, void *target, void *length)'),
  };
}

function declare(koffi: Koffi, library: ReturnType<Koffi['load']>, numbers: CallNumbers): Libc {
  const define = (prototype: string) => library.func(prototype);
  const defineOptional = (prototype: string) => {
    try {
      return define(prototype);
    } catch {
      return undefined;
    }
  };
  return {
    pread: define('int64_t pread(int fd, intptr_t target, size_t length, int64_t position)'),
    pwrite: define('int64_t pwrite(int fd, intptr_t source, size_t length, int64_t position)'),
    preadv2: define('int64_t preadv2(int fd, void *iovec, int count, int64_t position, int flags)'),
    fallocate: define('int fallocate(int fd, int mode, int64_t position, int64_t length)'),
    lseek: define('int64_t lseek(int fd, int64_t position, int whence)'),
    flock: define('int flock(int fd, int operation)'),
    ioctlNumber: define('int ioctl(int fd, unsigned long request, int64_t argument)'),
    ioctlStructure: define('int ioctl(int fd, unsigned long request, void *argument)'),
    posix_fadvise: define('int posix_fadvise(int fd, int64_t position, int64_t length, int advice)'),
    sync_file_range: define(
      'int sync_file_range(int fd, int64_t position, int64_t length, unsigned int flags)',
    ),
    ...declareNames(define),
    ...declareProcesses(define),
    mmap: define(
      'intptr_t mmap(intptr_t address, size_t length, int protection, int flags, int fd, int64_t position)',
    ),
    munmap: define('int munmap(intptr_t address, size_t length)'),
    mincore: define('int mincore(intptr_t address, size_t length, void *target)'),
    madvise: define('int madvise(intptr_t address, size_t length, int advice)'),
    clock_gettime: define('int clock_gettime(int clock, void *target)'),
    read: define('int64_t read(int fd, intptr_t target, size_t length)'),
    write: define('int64_t write(int fd, intptr_t source, size_t length)'),
    writev: define('int64_t writev(int fd, void *iovec, int count)'),
    epoll_create1: define('int epoll_create1(int flags)'),
    epoll_ctl: define('int epoll_ctl(int epoll, int operation, int fd, void *event)'),
    sched_yield: define('int sched_yield()'),
    malloc_trim: defineOptional('int malloc_trim(size_t padBytes)'),
    epoll_wait: define('int epoll_wait(int epoll, void *events, int countMax, int timeoutMs)'),
    socketpair: define('int socketpair(int domain, int type, int protocol, void *target)'),
    recvmsg: define('int64_t recvmsg(int fd, void *message, int flags)'),
    fcntlNumber: define('int fcntl(int fd, int command, int64_t argument)'),
    mount: define('int mount(void *source, void *target, void *type, unsigned long flags, void *options)'),
    umount2: define('int umount2(void *target, int flags)'),
    getpagesize: define('int getpagesize()'),
    getdents64: define('int64_t syscall(int64_t number, int64_t fd, void *target, int64_t length)'),
    mknodat: define(
      'int64_t syscall(int64_t number, int64_t directory, void *path, int64_t mode, int64_t dev)',
    ),
    open_tree: define('int64_t syscall(int64_t number, int64_t directory, void *path, int64_t flags)'),
    mount_setattr: define(
      'int64_t syscall(int64_t number, int64_t directory, void *path, int64_t flags, void *attributes, int64_t length)',
    ),
    fspick: define('int64_t syscall(int64_t number, int64_t directory, void *path, int64_t flags)'),
    fsconfig: define(
      'int64_t syscall(int64_t number, int64_t fd, int64_t command, void *key, void *value, int64_t aux)',
    ),
    fchmodat2: define(
      'int64_t syscall(int64_t number, int64_t directory, void *path, int64_t mode, int64_t flags)',
    ),
    openat2: define(
      'int64_t syscall(int64_t number, int64_t directory, void *path, void *how, int64_t size)',
    ),
    close: define('int close(int fd)'),
    syncfs: define('int syncfs(int fd)'),
    errno: () => koffi.errno(),
    addressOf: (bytes) => Number(koffi.address(bytes)),
    view: (address, length) => koffi.view(address, length),
    numbers,
  };
}
