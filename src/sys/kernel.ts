/**
 * What serving a mount asks of Linux beyond `System`: mounting, waiting on many descriptors, and whole messages on a
 * device. These are calls of the thread that serves, so they take addresses and return numbers, and throw nothing that
 * belongs to every day: a message call returns the bytes moved, or the errno as a negative number.
 */
import type { FsError } from '../base/index.ts';
import { errnoFailure } from './errno.ts';
import { type Libc, loadLibc } from './libc.ts';

export interface Kernel {
  /** read(2). Bytes, or -errno. */
  read(fd: number, address: number, length: number): number;
  /** write(2). Bytes, or -errno. */
  write(fd: number, address: number, length: number): number;
  /** writev(2) of `count` pairs (address, length) of 64 bits. Bytes, or -errno. */
  writev(fd: number, iovec: BigUint64Array, count: number): number;
  /** Where the bytes of an array lie. They do not move while the array lives. */
  addressOf(bytes: Uint8Array): number;
  /** A new epoll instance, epoll(7), closed on exec. */
  createEpoll(): number;
  /** Watches `fd` for input, level-triggered; `epollWait` tells `tag`, a number below 2^32. */
  watch(epoll: number, fd: number, tag: number): void;
  unwatch(epoll: number, fd: number): void;
  /**
   * Waits up to `timeoutMs` (-1: for ever) and puts the tags of what is ready into `tags`. Returns how many; 0 also when a
   * signal came.
   */
  epollWait(epoll: number, tags: Uint32Array, timeoutMs: number): number;
  /** mount(2). EPERM, ENOENT, ENOTDIR, EBUSY, ENODEV. */
  mount(source: string, target: string, type: string, flags: number, options: string): void;
  /** The error of a message call that returned `-errno`. */
  failure(errno: number, syscall: string): FsError;
  /** umount2(2). EBUSY, EINVAL (no mount point), EPERM. */
  unmount(target: string, flags: number): void;
}

export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

const EINTR = 4;
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLLIN = 1;
const EVENTS_MAX = 64;

/** The kernel's calls by libc, or the reason why this process cannot have them. */
export function createKernel(): Kernel | Error {
  const libc = loadLibc();
  return libc instanceof Error ? libc : kernelCalls(libc);
}

/** A string as C has it. Paths may hold any byte but 0: they are passed as UTF-8. */
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
      if (libc.mount(cString(source), cString(target), cString(type), flags, cString(options)) !== 0)
        throw errnoFailure(libc.errno(), 'mount', target);
    },
    unmount(target, flags) {
      if (libc.umount2(cString(target), flags) !== 0) throw errnoFailure(libc.errno(), 'umount', target);
    },
    ...epollCalls(libc),
  };
}

/** struct epoll_event is packed on x86-64 alone: 32 bits of events, then 64 of data. */
const EVENT_WORDS = process.arch === 'x64' ? 3 : 4;
const DATA_WORD = EVENT_WORDS - 2;

function epollCalls(libc: Libc): Pick<Kernel, 'createEpoll' | 'watch' | 'unwatch' | 'epollWait'> {
  const events = new Uint32Array(EVENT_WORDS * EVENTS_MAX);
  const event = new Uint32Array(EVENT_WORDS);
  return {
    createEpoll() {
      const epoll = libc.epoll_create1(EPOLL_CLOEXEC);
      if (epoll < 0) throw errnoFailure(libc.errno(), 'epoll_create1');
      return epoll;
    },

    watch(epoll, fd, tag) {
      event.fill(0);
      event[0] = EPOLLIN;
      event[DATA_WORD] = tag;
      if (libc.epoll_ctl(epoll, EPOLL_CTL_ADD, fd, event) !== 0) throw errnoFailure(libc.errno(), 'epoll_ctl');
    },

    unwatch(epoll, fd) {
      if (libc.epoll_ctl(epoll, EPOLL_CTL_DEL, fd, event) !== 0) throw errnoFailure(libc.errno(), 'epoll_ctl');
    },

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
  };
}
