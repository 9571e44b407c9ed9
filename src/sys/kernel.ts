/**
 * The calls of Linux that serving a mount needs beyond `System`: mounting, waiting on many descriptors, and whole
 * messages on a device. The calls for messages run for each request, so they take addresses and do not throw: they
 * return the bytes moved, or the errno as a negative number.
 */
import { closeSync } from 'node:fs';
import type { FsError } from '../base/index.ts';
import { checked, EINTR, errnoFailure } from './errno.ts';
import { type Libc, loadLibc } from './libc.ts';
import { O_NONBLOCK } from './open-flags.ts';
import { AT_EMPTY_PATH, AT_FDCWD } from './statx.ts';

export interface Kernel {
  /** read(2). Returns the number of bytes, or -errno. */
  read(fd: number, address: number, length: number): number;
  /** write(2). Returns the number of bytes, or -errno. */
  write(fd: number, address: number, length: number): number;
  /** writev(2) of `count` pairs (address, length) of 64 bits each. Returns the number of bytes, or -errno. */
  writev(fd: number, iovec: BigUint64Array, count: number): number;
  /** The address of an array's bytes, which do not move while the array lives. */
  addressOf(bytes: Uint8Array): number;
  /** A new epoll instance, epoll(7), closed on exec. */
  createEpoll(): number;
  /** Watches `fd` for input, level-triggered; `epollWait` reports it by `tag`, a number below 2^32. */
  watch(epoll: number, fd: number, tag: number): void;
  unwatch(epoll: number, fd: number): void;
  /**
   * Waits up to `timeoutMs` (-1: for ever) and puts the tags of the descriptors that are ready into `tags`. Returns
   * their number; 0 also when a signal interrupts the wait.
   */
  epollWait(epoll: number, tags: Uint32Array, timeoutMs: number): number;
  /** malloc_trim(3): gives freed memory back to the system. A no-op where the C library has no such call. */
  trimMemory(): void;
  /** sched_yield(2): lets other threads that can run on this CPU go first. */
  yieldCpu(): void;
  /**
   * A read-only view of the tree under `directory`, as a descriptor: a bind mount without a mount point, which ends
   * when the descriptor is closed. Files below it have paths `/proc/self/fd/<descriptor>/…`. EPERM without
   * CAP_SYS_ADMIN, ENOSYS before Linux 5.12.
   */
  readOnlyView(directory: string): number;
  /**
   * Makes the kernel drop unused names and inodes of the filesystem that is mounted at `directory`. The kernel does so
   * whenever a filesystem is reconfigured, even without changes (shrink_dcache_sb). EPERM without CAP_SYS_ADMIN, EINVAL
   * where nothing is mounted, ENOSYS before Linux 5.2.
   */
  dropUnusedNames(directory: string): void;
  /** FUSE_DEV_IOC_BACKING_OPEN: the id by which a FUSE device knows an open file. EPERM, EOPNOTSUPP. */
  openBacking(device: number, fd: number): number;
  closeBacking(device: number, id: number): void;
  /** Two connected Unix sockets, closed on exec. */
  socketPair(): readonly [number, number];
  /**
   * Receives one descriptor that another process sends over a socket (SCM_RIGHTS, unix(7)); it is closed on exec.
   * Undefined when the other side ends without sending a descriptor.
   */
  receiveDescriptor(socket: number): number | undefined;
  /** Makes reads and writes of an open file fail with EAGAIN instead of waiting. */
  setNonBlocking(fd: number): void;
  /** mount(2). EPERM, ENOENT, ENOTDIR, EBUSY, ENODEV. */
  mount(source: string, target: string, type: string, flags: number, options: string): void;
  /** The error for a `read`, `write` or `writev` that returned `-errno`. */
  failure(errno: number, syscall: string): FsError;
  /** umount2(2). EBUSY, EINVAL (no mount point), EPERM. */
  unmount(target: string, flags: number): void;
}

export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EVENTS_MAX = 64;

/** The calls of `Kernel` through libc, or the reason why this process cannot make them. */
export function createKernel(): Kernel | Error {
  const libc = loadLibc();
  return libc instanceof Error ? libc : kernelCalls(libc);
}

/** A C string in UTF-8. */
function cString(text: string): Uint8Array {
  return Buffer.from(`${text}\0`);
}

function kernelCalls(libc: Libc): Kernel {
  const orErrno = (count: number): number => (count < 0 ? -libc.errno() : count);
  return {
    read: (fd, address, length) => orErrno(libc.read(fd, address, length)),
    write: (fd, address, length) => orErrno(libc.write(fd, address, length)),
    writev: (fd, iovec, count) => orErrno(libc.writev(fd, iovec, count)),
    addressOf: (bytes) => libc.addressOf(bytes),
    failure: (errno, syscall) => errnoFailure(errno, syscall),
    mount(source, target, type, flags, options) {
      const mounted = libc.mount(cString(source), cString(target), cString(type), flags, cString(options));
      checked(libc, mounted, 'mount', target);
    },
    unmount: (target, flags) => void checked(libc, libc.umount2(cString(target), flags), 'umount', target),
    yieldCpu: () => void libc.sched_yield(),
    trimMemory: () => void libc.malloc_trim?.(0),
    dropUnusedNames: (directory) => dropUnusedNames(libc, directory),
    ...epollCalls(libc),
    ...backingCalls(libc),
    ...socketCalls(libc),
  };
}

/** struct epoll_event is packed on x86-64 alone: 32 bits of events, then 64 of data. */
const EVENT_WORDS = process.arch === 'x64' ? 3 : 4;
const DATA_WORD = EVENT_WORDS - 2;

function epollCalls(libc: Libc) {
  const events = new Uint32Array(EVENT_WORDS * EVENTS_MAX);
  const event = new Uint32Array(EVENT_WORDS);
  return {
    createEpoll: () => checked(libc, libc.epoll_create1(EPOLL_CLOEXEC), 'epoll_create1'),

    watch(epoll, fd, tag) {
      event.fill(0);
      event[0] = EPOLLIN;
      event[DATA_WORD] = tag;
      checked(libc, libc.epoll_ctl(epoll, EPOLL_CTL_ADD, fd, event), 'epoll_ctl');
    },

    unwatch: (epoll, fd) => void checked(libc, libc.epoll_ctl(epoll, EPOLL_CTL_DEL, fd, event), 'epoll_ctl'),

    epollWait(epoll, tags, timeoutMs) {
      const count = libc.epoll_wait(epoll, events, Math.min(EVENTS_MAX, tags.length), timeoutMs);
      if (count < 0) {
        const errno = libc.errno();
        if (errno === EINTR) return 0;
        throw errnoFailure(errno, 'epoll_wait');
      }
      for (let index = 0; index < count; index++) tags[index] = events[index * EVENT_WORDS + DATA_WORD]!;
      return count;
    },
  } satisfies Partial<Kernel>;
}

const FSCONFIG = 431;
const FSPICK = 433;
const FSPICK_CLOEXEC = 1;
const FSCONFIG_CMD_RECONFIGURE = 7;

function dropUnusedNames(libc: Libc, directory: string): void {
  const picked = libc.fspick(FSPICK, AT_FDCWD, cString(directory), FSPICK_CLOEXEC);
  const fd = checked(libc, picked, 'fspick', directory);
  try {
    const done = libc.fsconfig(FSCONFIG, fd, FSCONFIG_CMD_RECONFIGURE, null, null, 0);
    checked(libc, done, 'fsconfig', directory);
  } finally {
    closeSync(fd);
  }
}

const OPEN_TREE = 428;
const MOUNT_SETATTR = 442;
const OPEN_TREE_CLONE = 1;
const OPEN_TREE_CLOEXEC = 0o2000000;
const MOUNT_ATTR_RDONLY = 1n;
/** struct mount_attr: attr_set, attr_clr, propagation, userns_fd, 64 bits each. */
const MOUNT_ATTR_BYTES = 32;
/** _IOW(229, 1, struct fuse_backing_map: fd, flags, padding (64)) and _IOW(229, 2, uint32_t). */
const FUSE_DEV_IOC_BACKING_OPEN = 0x4010_e501;
const FUSE_DEV_IOC_BACKING_CLOSE = 0x4004_e502;

function backingCalls(libc: Libc) {
  return {
    readOnlyView(directory) {
      const flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
      const tree = libc.open_tree(OPEN_TREE, AT_FDCWD, cString(directory), flags);
      const fd = checked(libc, tree, 'open_tree', directory);
      const attributes = new BigUint64Array(MOUNT_ATTR_BYTES / 8);
      attributes[0] = MOUNT_ATTR_RDONLY;
      if (
        libc.mount_setattr(MOUNT_SETATTR, fd, cString(''), AT_EMPTY_PATH, attributes, MOUNT_ATTR_BYTES) < 0
      ) {
        const errno = libc.errno();
        closeSync(fd);
        throw errnoFailure(errno, 'mount_setattr', directory);
      }
      return fd;
    },

    openBacking(device, fd) {
      const map = new Int32Array([fd, 0, 0, 0]);
      return checked(libc, libc.ioctlStructure(device, FUSE_DEV_IOC_BACKING_OPEN, map), 'ioctl');
    },

    closeBacking(device, id) {
      const ids = new Uint32Array([id]);
      checked(libc, libc.ioctlStructure(device, FUSE_DEV_IOC_BACKING_CLOSE, ids), 'ioctl');
    },
  } satisfies Partial<Kernel>;
}

const AF_UNIX = 1;
const SOCK_STREAM_CLOEXEC = 0o2000001;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const F_GETFL = 3;
const F_SETFL = 4;

function socketCalls(libc: Libc) {
  return {
    socketPair(): readonly [number, number] {
      const pair = new Int32Array(2);
      checked(libc, libc.socketpair(AF_UNIX, SOCK_STREAM_CLOEXEC, 0, pair), 'socketpair');
      return [pair[0]!, pair[1]!];
    },

    receiveDescriptor(socket) {
      // struct cmsghdr: cmsg_len (64), cmsg_level, cmsg_type (32 each), then the descriptor, padded to 8.
      const control = Buffer.alloc(24);
      const byte = Buffer.alloc(1);
      const piece = new BigUint64Array([BigInt(libc.addressOf(byte)), 1n]);
      const pieceBytes = new Uint8Array(piece.buffer);
      // struct msghdr: name, namelen, iov, iovlen, control, controllen (64 each), flags (32, padded).
      const message = new BigUint64Array(7);
      message[2] = BigInt(libc.addressOf(pieceBytes));
      message[3] = 1n;
      message[4] = BigInt(libc.addressOf(control));
      message[5] = BigInt(control.length);
      const count = checked(libc, libc.recvmsg(socket, message, MSG_CMSG_CLOEXEC), 'recvmsg');
      const isRights = control.readInt32LE(8) === SOL_SOCKET && control.readInt32LE(12) === SCM_RIGHTS;
      return count > 0 && isRights ? control.readInt32LE(16) : undefined;
    },

    setNonBlocking(fd) {
      const flags = checked(libc, libc.fcntlNumber(fd, F_GETFL, 0), 'fcntl');
      checked(libc, libc.fcntlNumber(fd, F_SETFL, flags | O_NONBLOCK), 'fcntl');
    },
  } satisfies Partial<Kernel>;
}
