/** Bytes and space of open files, by node:fs alone: no hole is found, made or cloned. */
import { fstatSync, readSync, writeSync } from 'node:fs';
import { FsError, SECTOR_BYTES } from '../base/index.ts';
import { allocateByWriting } from './allocate-by-writing.ts';
import { nodeFailure } from './errno.ts';
import { attempt } from './name-calls.ts';
import type { FileCalls } from './parts.ts';
import { checkSpan } from './spans.ts';

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

function fileSize(fd: number): { readonly sizeBytes: number; readonly allocatedBytes: number } {
  const stat = attempt('fstat', undefined, undefined, () => fstatSync(fd));
  return { sizeBytes: stat.size, allocatedBytes: stat.blocks * SECTOR_BYTES };
}

function sizeBytesOf(fd: number): number {
  return fileSize(fd).sizeBytes;
}

export const bufferedFiles: FileCalls = {
  pread,
  pwrite,
  fileSize,
  // Nothing tells whether bytes are cached, so any read may have to wait for the disk.
  tryPread: (_fd, _target, _offset, length) => (length === 0 ? 0 : -1),
  allocate(fd, position, length) {
    allocateByWriting(bufferedFiles, fd, position, length);
  },
  punch: () => false,
  cloneFile: () => false,
  cloneRange: () => false,
  // lseek(2) allows a file to be all data, with one hole at its end.
  seekData: (fd, position) => (position < sizeBytesOf(fd) ? position : undefined),
  seekHole(fd, position) {
    const sizeBytes = sizeBytesOf(fd);
    return position < sizeBytes ? sizeBytes : undefined;
  },
  startWriteback() {
    // node:fs has no such call, and need not.
  },
  dropCache() {
    // node:fs does not reach the page cache. Nothing depends on it: to drop is a hint.
  },
};
