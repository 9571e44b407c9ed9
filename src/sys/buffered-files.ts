/** Bytes and space of open files, by node:fs alone: holes are neither found nor made, and nothing is cloned. */
import { fstatSync, readSync, writeSync } from 'node:fs';
import { FsError, SECTOR_BYTES } from '../base/index.ts';
import { allocateByWriting } from './allocate-by-writing.ts';
import { nodeFailure } from './errno.ts';
import { attempt } from './name-calls.ts';
import { checkSpan } from './spans.ts';
import type { System } from './system.ts';

function pread(fd: number, target: Uint8Array, offset: number, length: number, position: number): number {
  checkSpan(target, offset, length);
  let done = 0;
  try {
    while (done < length) {
      const count = readSync(fd, target, offset + done, length - done, position + done);
      if (count === 0) break;
      done += count;
    }
  } catch (error) {
    throw nodeFailure(error, 'pread');
  }
  return done;
}

function pwrite(fd: number, source: Uint8Array, offset: number, length: number, position: number): void {
  checkSpan(source, offset, length);
  let done = 0;
  try {
    while (done < length) {
      const count = writeSync(fd, source, offset + done, length - done, position + done);
      // write(2) to a regular file takes at least one byte or fails, so this loop ends.
      if (count === 0) throw new FsError('EIO', { syscall: 'pwrite' });
      done += count;
    }
  } catch (error) {
    throw nodeFailure(error, 'pwrite');
  }
}

function fileSize(fd: number): ReturnType<System['fileSize']> {
  const stat = attempt('fstat', undefined, undefined, () => fstatSync(fd));
  return { sizeBytes: stat.size, allocatedBytes: stat.blocks * SECTOR_BYTES };
}

export const bufferedFiles = {
  pread,
  pwrite,
  fileSize,
  // node:fs cannot tell if bytes are cached, so this returns -1: any read may have to wait for the disk.
  tryPread: (_fd, _target, _offset, length) => (length === 0 ? 0 : -1),
  allocate(fd, position, length) {
    allocateByWriting({ pread, pwrite, fileSize }, fd, position, length);
  },
  punch: () => false,
  cloneFile: () => false,
  cloneRange: () => false,
  // lseek(2) allows a file to be all data, with one hole at its end.
  seekData: (fd, position) => (position < fileSize(fd).sizeBytes ? position : undefined),
  seekHole(fd, position) {
    const { sizeBytes } = fileSize(fd);
    return position < sizeBytes ? sizeBytes : undefined;
  },
  // These are only hints, and node:fs has no calls for them.
  startWriteback: () => undefined,
  dropCache: () => undefined,
} satisfies Partial<System>;
