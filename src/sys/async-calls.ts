/** Calls that the thread pool of Node.js makes while this thread goes on; the same in every system. */
import { fdatasync, read, write } from 'node:fs';
import { FsError } from '../base/index.ts';
import { nodeFailure } from './errno.ts';
import type { AsyncCalls } from './parts.ts';
import { checkSpan } from './spans.ts';

/** One write(2); the bytes written. */
function writeSome(
  fd: number,
  source: Uint8Array,
  offset: number,
  length: number,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, source, offset, length, position, (error, count) => {
      if (error !== null) reject(nodeFailure(error, 'pwrite'));
      // write(2) to a regular file takes at least one byte or fails, so this loop ends.
      else if (count === 0 && length > 0) reject(new FsError('EIO', { syscall: 'pwrite' }));
      else resolve(count);
    });
  });
}

/** One read(2); the bytes read, 0 at the end of the file. */
function readSome(
  fd: number,
  target: Uint8Array,
  offset: number,
  length: number,
  position: number,
): Promise<number> {
  return new Promise((resolve, reject) => {
    read(fd, target, offset, length, position, (error, count) =>
      error === null ? resolve(count) : reject(nodeFailure(error, 'pread')),
    );
  });
}

export const asyncCalls: AsyncCalls = {
  async preadAsync(fd, target, offset, length, position) {
    checkSpan(target, offset, length);
    let done = 0;
    while (done < length) {
      const count = await readSome(fd, target, offset + done, length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  },

  async pwriteAsync(fd, source, offset, length, position) {
    checkSpan(source, offset, length);
    let done = 0;
    while (done < length) done += await writeSome(fd, source, offset + done, length - done, position + done);
  },

  dataSyncAsync: (fd) =>
    new Promise((resolve, reject) => {
      fdatasync(fd, (error) => (error === null ? resolve() : reject(nodeFailure(error, 'fdatasync'))));
    }),
};
