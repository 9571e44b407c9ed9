/** Asynchronous calls, made by the thread pool of Node.js. Every `System` uses them. */
import { fdatasync, read, write } from 'node:fs';
import { promisify } from 'node:util';
import { FsError } from '../base/index.ts';
import { nodeFailure } from './errno.ts';
import { checkSpan } from './spans.ts';
import type { System } from './system.ts';

const readSome = promisify(read);
const writeSome = promisify(write);
const sync = promisify(fdatasync);

export const asyncCalls = {
  async preadAsync(fd, target, offset, length, position) {
    checkSpan(target, offset, length);
    let done = 0;
    try {
      while (done < length) {
        const { bytesRead } = await readSome(fd, target, offset + done, length - done, position + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
    } catch (error) {
      throw nodeFailure(error, 'pread');
    }
    return done;
  },

  async pwriteAsync(fd, source, offset, length, position) {
    checkSpan(source, offset, length);
    let done = 0;
    try {
      while (done < length) {
        const { bytesWritten } = await writeSome(fd, source, offset + done, length - done, position + done);
        // write(2) to a regular file takes at least one byte or fails, so this loop ends.
        if (bytesWritten === 0) throw new FsError('EIO', { syscall: 'pwrite' });
        done += bytesWritten;
      }
    } catch (error) {
      throw nodeFailure(error, 'pwrite');
    }
  },

  async dataSyncAsync(fd) {
    try {
      await sync(fd);
    } catch (error) {
      throw nodeFailure(error, 'fdatasync');
    }
  },
} satisfies Partial<System>;
