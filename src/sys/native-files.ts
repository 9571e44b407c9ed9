/** Bytes and space of open files, by libc. */
import { FsError } from '../base/index.ts';
import { allocateByWriting } from './allocate-by-writing.ts';
import { EAGAIN, EINTR, EINVAL, ENOSYS, ENOTTY, ENXIO, EOPNOTSUPP, EXDEV, errnoFailure } from './errno.ts';
import type { Libc } from './libc.ts';
import { nameCalls } from './name-calls.ts';
import { LastAddress, NativeReads } from './native-reads.ts';
import { checkSpan } from './spans.ts';
import { AT_EMPTY_PATH, STATX_BLOCKS, STATX_SIZE, StatxBuffer } from './statx.ts';
import type { System } from './system.ts';
import { setUint64 } from './words.ts';

const RWF_NOWAIT = 0x8;
const FALLOC_FL_KEEP_SIZE = 0x1;
const FALLOC_FL_PUNCH_HOLE = 0x2;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;
const POSIX_FADV_DONTNEED = 4;
const SYNC_FILE_RANGE_WRITE = 2;
/** _IOW(0x94, 9, int) and _IOW(0x94, 13, struct file_clone_range), ioctl_ficlone(2). */
const FICLONE = 0x40049409;
const FICLONERANGE = 0x4020940d;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

type Transfer = (fd: number, address: number, length: number, position: number) => number;

/** One read or write, repeated while signals interrupt it. Returns how many bytes were moved. */
function transfer(
  libc: Libc,
  call: Transfer,
  name: string,
  fd: number,
  address: number,
  length: number,
  position: number,
): number {
  for (;;) {
    const count = call(fd, address, length, position);
    if (count >= 0) return count;
    const errno = libc.errno();
    if (errno !== EINTR) throw errnoFailure(errno, name);
  }
}

function transferCalls(libc: Libc, reads: NativeReads) {
  const last = new LastAddress(libc);
  return {
    pread: reads.by((fd, address, length, position) =>
      transfer(libc, libc.pread, 'pread', fd, address, length, position),
    ),

    pwrite(fd, source, offset, length, position) {
      checkSpan(source, offset, length);
      const at = last.of(source) + offset;
      let done = 0;
      while (done < length) {
        const count = transfer(libc, libc.pwrite, 'pwrite', fd, at + done, length - done, position + done);
        // write(2) to a regular file takes at least one byte or fails, so this loop ends.
        if (count === 0) throw new FsError('EIO', { syscall: 'pwrite' });
        done += count;
      }
    },
  } satisfies Partial<System>;
}

function tryPread(libc: Libc, reads: NativeReads): System['tryPread'] {
  /** struct iovec: address, length; each a little-endian 64-bit number in two halves. */
  const iovec = new Uint32Array(4);

  /** How many bytes were read; -1 if the page cache lacks them, or kernel or filesystem cannot tell. */
  function readCached(fd: number, address: number, length: number, position: number): number {
    setUint64(iovec, 0, address);
    setUint64(iovec, 2, length);
    for (;;) {
      const count = libc.preadv2(fd, iovec, 1, position, RWF_NOWAIT);
      if (count >= 0) return count;
      const errno = libc.errno();
      if (errno === EAGAIN || errno === EOPNOTSUPP || errno === ENOSYS) return -1;
      if (errno !== EINTR) throw errnoFailure(errno, 'preadv2');
    }
  }

  return reads.by(readCached);
}

/** fallocate(2), repeated while signals interrupt it. Returns 0 or the errno. */
function fallocate(libc: Libc, fd: number, mode: number, position: number, length: number): number {
  for (;;) {
    if (libc.fallocate(fd, mode, position, length) === 0) return 0;
    const errno = libc.errno();
    if (errno !== EINTR) return errno;
  }
}

function isUnsupported(errno: number): boolean {
  return errno === EOPNOTSUPP || errno === ENOSYS;
}

function spaceCalls(libc: Libc, transfers: Pick<System, 'pread' | 'pwrite'>) {
  const stat = new StatxBuffer();
  const empty = new Uint8Array(1);

  function fileSize(fd: number): ReturnType<System['fileSize']> {
    const errno = stat.fill(libc, fd, empty, AT_EMPTY_PATH, STATX_SIZE | STATX_BLOCKS);
    if (errno !== 0) throw errnoFailure(errno, 'statx');
    return { sizeBytes: stat.sizeBytes, allocatedBytes: stat.allocatedBytes };
  }

  return {
    allocate(fd, position, length) {
      if (length === 0) return;
      const before = fileSize(fd).sizeBytes;
      const errno = fallocate(libc, fd, 0, position, length);
      if (errno === 0) return;
      if (isUnsupported(errno)) {
        allocateByWriting({ ...transfers, fileSize }, fd, position, length);
        return;
      }
      // A filesystem that filled up on the way may have grown the file, so cut the file back.
      if (fileSize(fd).sizeBytes > before) nameCalls.truncate(fd, before);
      throw errnoFailure(errno, 'fallocate');
    },

    punch(fd, position, length) {
      if (length === 0) return true;
      const errno = fallocate(libc, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, position, length);
      if (errno !== 0 && !isUnsupported(errno)) throw errnoFailure(errno, 'fallocate');
      return errno === 0;
    },

    fileSize,

    // Errors of the call do not matter, because fdatasync(2) reports every write that failed.
    startWriteback(fd, position, length) {
      libc.sync_file_range(fd, position, length, SYNC_FILE_RANGE_WRITE);
    },

    dropCache(fd) {
      const errno = libc.posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
      if (errno !== 0) throw errnoFailure(errno, 'posix_fadvise');
    },
  } satisfies Partial<System>;
}

/** True if a clone is impossible here: other filesystem, no support, or a range that is not whole blocks. */
function isCloneRefused(errno: number): boolean {
  return isUnsupported(errno) || errno === EXDEV || errno === EINVAL || errno === ENOTTY;
}

function cloneCalls(libc: Libc) {
  /** struct file_clone_range: src_fd, src_offset, src_length, dest_offset; 64 bits each. */
  const range = new Uint32Array(8);

  function outcome(result: number, name: string): boolean {
    if (result === 0) return true;
    const errno = libc.errno();
    if (isCloneRefused(errno)) return false;
    throw errnoFailure(errno, name);
  }

  return {
    cloneFile: (source, target) => outcome(libc.ioctlNumber(target, FICLONE, source), 'ioctl FICLONE'),

    cloneRange(source, sourcePosition, length, target, targetPosition) {
      // The kernel takes length 0 for "to the end of the source".
      if (length === 0) return true;
      setUint64(range, 0, source);
      setUint64(range, 2, sourcePosition);
      setUint64(range, 4, length);
      setUint64(range, 6, targetPosition);
      return outcome(libc.ioctlStructure(target, FICLONERANGE, range), 'ioctl FICLONERANGE');
    },
  } satisfies Partial<System>;
}

function seekCalls(libc: Libc) {
  function seek(fd: number, position: number, whence: number): number | undefined {
    const found = libc.lseek(fd, position, whence);
    if (found >= 0) return found;
    const errno = libc.errno();
    if (errno === ENXIO) return undefined;
    throw errnoFailure(errno, 'lseek');
  }

  return {
    seekData: (fd, position) => seek(fd, position, SEEK_DATA),
    seekHole: (fd, position) => seek(fd, position, SEEK_HOLE),
  } satisfies Partial<System>;
}

export function nativeFiles(libc: Libc) {
  const reads = new NativeReads(libc);
  const transfers = transferCalls(libc, reads);
  return {
    ...transfers,
    tryPread: tryPread(libc, reads),
    ...spaceCalls(libc, transfers),
    ...cloneCalls(libc),
    ...seekCalls(libc),
  };
}

/** flock(2): the lock belongs to the open file description and goes when its last descriptor is closed. */
export function nativeLocks(libc: Libc) {
  /** True when the operation has succeeded; false if `operation` does not wait and another process holds the lock. */
  function flock(fd: number, operation: number): boolean {
    for (;;) {
      if (libc.flock(fd, operation) === 0) return true;
      const errno = libc.errno();
      if (errno === EAGAIN) return false;
      if (errno !== EINTR) throw errnoFailure(errno, 'flock');
    }
  }

  return {
    tryLock: (fd) => flock(fd, LOCK_EX | LOCK_NB),
    lock: (fd) => void flock(fd, LOCK_EX),
    unlock: (fd) => void flock(fd, LOCK_UN),
  } satisfies Partial<System>;
}
