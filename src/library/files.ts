/** Opening, reading and writing by descriptor: open, close, read, write, readv, writev, truncate, sync. */

import type { TreeFile, TreeFiles } from '../vfs/index.ts';
import {
  bytesOf,
  checkInteger,
  checkObject,
  checkReadRange,
  checkText,
  checkTextEncoding,
  checkView,
  checkViews,
  checkWriteRange,
  fileMode,
  readPosition,
  writePosition,
} from './arguments.ts';
import { Calls } from './calls.ts';
import { notOpen } from './descriptors.ts';
import { failAsNode, failureOf, invalidArgumentValue, systemFailure } from './errors.ts';
import { openFlags, READ_WRITE } from './flags.ts';
import { bytePath } from './paths.ts';

export interface RangeOptions {
  readonly offset?: unknown;
  readonly length?: unknown;
  readonly position?: unknown;
}

const NO_RANGE: RangeOptions = {};

/** The size of the buffer that `read` makes when the caller gives none. */
export const DEFAULT_READ_BYTES = 16384;

/** The part of a view to read into or to write from. */
export interface TransferRange {
  readonly offset: number;
  readonly length: number;
  readonly position: number | null;
}

/** Opens a file by path, as one step of a call. Failures name open(2) and the path. */
export function openFile(fileSystem: TreeFiles, path: unknown, flags: number, mode: number): TreeFile {
  const bytes = bytePath(path);
  try {
    return fileSystem.open(bytes, flags, mode);
  } catch (error) {
    throw failureOf(error, 'open', path);
  }
}

/** Checks a length to truncate to, which must be an integer. Undefined and negative numbers mean 0. */
export function truncateLength(length: unknown): number {
  if (length === undefined) return 0;
  checkInteger(length, 'len');
  return Math.max(0, length);
}

/** The range of a write, given as options or as single arguments; Node is lax about length and position here. */
export function writeRange(
  buffer: ArrayBufferView,
  offsetOrOptions: unknown,
  length: unknown,
  position: unknown,
): TransferRange {
  let from = offsetOrOptions;
  let count = length;
  let at = position;
  if (typeof offsetOrOptions === 'object') {
    const options: RangeOptions = offsetOrOptions ?? NO_RANGE;
    from = options.offset;
    count = options.length;
    at = options.position;
  }
  if (from === undefined || from === null) from = 0;
  checkInteger(from, 'offset', 0);
  if (typeof count !== 'number') count = buffer.byteLength - from;
  // The cast: the line above leaves nothing but a number.
  checkWriteRange(from, count as number, buffer.byteLength);
  return { offset: from, length: count as number, position: writePosition(at) };
}

export class DescriptorCalls extends Calls {
  openSync(path: unknown, flags?: unknown, mode?: unknown): number {
    bytePath(path);
    const file = openFile(this.fileSystem, path, openFlags(flags), fileMode(mode, 'mode', 0o666));
    return this.descriptors.add(file);
  }

  closeSync(fd: unknown): void {
    const file = this.descriptors.take(fd, 'close');
    try {
      this.fileSystem.close(file);
    } catch (error) {
      throw failureOf(error, 'close');
    }
  }

  /** Takes (fd, buffer, offset, length, position), (fd, buffer, options) or (fd, buffer). */
  readSync(fd: unknown, buffer: unknown, offset?: unknown, length?: unknown, position?: unknown): number {
    const file = this.descriptors.find(fd);
    checkView(buffer);
    // biome-ignore lint/complexity/noArguments: a missing length and an undefined one mean different things to Node.
    if (arguments.length <= 3 || typeof offset === 'object') {
      return this.readWithOptions(file, buffer, offset);
    }
    const from = offset ?? 0;
    checkInteger(from, 'offset', 0);
    // The cast: as in Node, `| 0` turns any value into an int32.
    const count = (length as number) | 0;
    if (count === 0) return 0;
    return this.readInto(file, buffer, from, count, position);
  }

  private readWithOptions(file: TreeFile | undefined, buffer: ArrayBufferView, options: unknown): number {
    if (options !== undefined && options !== null) checkObject(options, 'options');
    const range: RangeOptions = options ?? NO_RANGE;
    const from = range.offset ?? 0;
    checkInteger(from, 'offset', 0);
    // The cast: as in readSync.
    const count = ((range.length === undefined ? buffer.byteLength - from : range.length) as number) | 0;
    if (count === 0) return 0;
    return this.readInto(file, buffer, from, count, range.position);
  }

  private readInto(
    file: TreeFile | undefined,
    buffer: ArrayBufferView,
    offset: number,
    length: number,
    position: unknown,
  ): number {
    if (buffer.byteLength === 0) {
      throw invalidArgumentValue('buffer', buffer, 'is empty and cannot be written');
    }
    checkReadRange(offset, length, buffer.byteLength);
    const at = position === null ? null : readPosition(position);
    if (file === undefined) return notOpen('read');
    try {
      return this.fileSystem.read(file, bytesOf(buffer), offset, length, at);
    } catch (error) {
      throw failureOf(error, 'read');
    }
  }

  readvSync(fd: unknown, buffers: unknown, position?: unknown): number {
    const found = this.descriptors.find(fd);
    checkViews(buffers);
    const file = found ?? notOpen('read');
    // libuv refuses to read into no buffers (uv_fs_read).
    if (buffers.length === 0) throw systemFailure('EINVAL', 'read');
    let at = typeof position === 'number' && position >= 0 ? position : null;
    let total = 0;
    for (const buffer of buffers) {
      if (buffer.byteLength === 0) continue;
      const count = this.fileSystem.read(file, bytesOf(buffer), 0, buffer.byteLength, at);
      total += count;
      if (at !== null) at += count;
      if (count < buffer.byteLength) break;
    }
    return total;
  }

  /** Takes (fd, buffer, offset, length, position), (fd, buffer, options) or (fd, text, position, encoding). */
  writeSync(fd: unknown, data: unknown, offset?: unknown, length?: unknown, position?: unknown): number {
    if (ArrayBuffer.isView(data)) {
      const found = this.descriptors.find(fd);
      const range = writeRange(data, offset, length, position);
      const file = found ?? notOpen('write');
      return this.writeFrom(file, bytesOf(data), range.offset, range.length, range.position);
    }
    const found = this.descriptors.find(fd);
    checkText(data, 'buffer');
    const encoding = checkTextEncoding(data, length);
    const bytes = Buffer.from(data, encoding);
    const file = found ?? notOpen('write');
    return this.writeFrom(file, bytes, 0, bytes.length, writePosition(offset));
  }

  private writeFrom(
    file: TreeFile,
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number | null,
  ): number {
    try {
      return this.fileSystem.write(file, bytes, offset, length, position);
    } catch (error) {
      throw failureOf(error, 'write');
    }
  }

  writevSync(fd: unknown, buffers: unknown, position?: unknown): number {
    const found = this.descriptors.find(fd);
    checkViews(buffers);
    if (buffers.length === 0) return 0;
    const file = found ?? notOpen('write');
    let at = writePosition(position);
    let total = 0;
    for (const buffer of buffers) {
      const count = this.writeFrom(file, bytesOf(buffer), 0, buffer.byteLength, at);
      total += count;
      if (at !== null) at += count;
      if (count < buffer.byteLength) break;
    }
    return total;
  }

  ftruncateSync(fd: unknown, length?: unknown): void {
    const size = truncateLength(length);
    this.fileSystem.truncateFile(this.descriptors.get(fd, 'ftruncate'), size);
  }

  /** Takes a path or a descriptor. By path it calls open and ftruncate, and an error names the one that failed. */
  truncateSync(path: unknown, length?: unknown): void {
    if (typeof path === 'number') {
      this.ftruncateSync(path, length);
      return;
    }
    const file = openFile(this.fileSystem, path, READ_WRITE, 0o666);
    try {
      this.fileSystem.truncateFile(file, truncateLength(length));
    } finally {
      this.fileSystem.close(file);
    }
  }

  fsyncSync(fd: unknown): void {
    this.fileSystem.sync(this.descriptors.get(fd, 'fsync'), false);
  }

  fdatasyncSync(fd: unknown): void {
    this.fileSystem.sync(this.descriptors.get(fd, 'fdatasync'), true);
  }
}

failAsNode(DescriptorCalls.prototype, {
  readvSync: ['read'],
  ftruncateSync: ['ftruncate'],
  truncateSync: ['ftruncate'],
  fsyncSync: ['fsync'],
  fdatasyncSync: ['fdatasync'],
});
