/** `FileHandle` of fs.promises: an open file whose calls return promises. */
import { EventEmitter } from 'node:events';
import type { ReadStream, WriteStream } from 'node:fs';
import type { Interface } from 'node:readline';
import { createInterface } from 'node:readline';
import {
  bytesOf,
  checkInteger,
  checkObject,
  checkReadRange,
  checkText,
  checkTextEncoding,
  checkView,
  checkViews,
  fileMode,
} from './arguments.ts';
import type { AsyncCalls } from './async-calls.ts';
import { invalidArgumentValue } from './errors.ts';
import { DEFAULT_READ_BYTES, type RangeOptions, truncateLength, writeRange } from './files.ts';
import type { BigIntStats, Stats } from './stats.ts';

interface ReadOptions extends RangeOptions {
  readonly buffer?: unknown;
}

/**
 * The position of a read: `position` if it is a safe integer and not negative, else null, which stands for the file's
 * own position. Node's FileHandle does the same.
 */
function handlePosition(position: unknown): number | null {
  const number = typeof position === 'bigint' ? Number(position) : position;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : null;
}

export class FileHandle extends EventEmitter {
  readonly #calls: AsyncCalls;
  #descriptor: number;

  constructor(calls: AsyncCalls, fd: number) {
    super();
    this.#calls = calls;
    this.#descriptor = fd;
  }

  /** The descriptor, which the synchronous calls of the same fs take too; -1 once closed. */
  get fd(): number {
    return this.#descriptor;
  }

  /** How many calls have begun and may still touch the file; `close` waits for them, as in Node. */
  #busy = 0;
  #idle: (() => void) | undefined;

  private open(syscall: string): number {
    if (this.#descriptor !== -1) return this.#descriptor;
    throw Object.assign(new Error('file closed'), { code: 'EBADF', syscall });
  }

  async #using<T>(work: Promise<T>): Promise<T> {
    this.#busy++;
    try {
      return await work;
    } finally {
      this.#busy--;
      if (this.#busy === 0) this.#idle?.();
    }
  }

  /** Takes (buffer, offset, length, position), (buffer, options), (options) or (). */
  async read(
    bufferOrOptions?: unknown,
    offsetOrOptions?: unknown,
    length?: unknown,
    position?: unknown,
  ): Promise<{ bytesRead: number; buffer: ArrayBufferView }> {
    const fd = this.open('read');
    let buffer = bufferOrOptions;
    let range: ReadOptions = { offset: offsetOrOptions, length, position };
    if (!ArrayBuffer.isView(buffer)) {
      if (buffer !== undefined && buffer !== null) checkObject(buffer, 'options');
      // The cast: an object, null or undefined; the members are checked below.
      range = (buffer ?? {}) as ReadOptions;
      buffer = range.buffer ?? Buffer.alloc(DEFAULT_READ_BYTES);
      checkView(buffer);
    } else if (typeof offsetOrOptions === 'object' && offsetOrOptions !== null) range = offsetOrOptions;
    // The cast: both branches above leave a view.
    const view = buffer as ArrayBufferView;
    const from = range.offset ?? 0;
    checkInteger(from, 'offset', 0);
    // The cast: the range check below throws for anything but a number of bytes.
    const count = (range.length ?? view.byteLength - from) as number;
    if (count === 0) return { bytesRead: 0, buffer: view };
    if (view.byteLength === 0) throw invalidArgumentValue('buffer', view, 'is empty and cannot be written');
    checkReadRange(from, count, view.byteLength);
    const at = handlePosition(range.position);
    const bytesRead = await this.#using(this.#calls.readDescriptor(fd, bytesOf(view), from, count, at));
    return { bytesRead, buffer: view };
  }

  async readv(
    buffers: unknown,
    position?: unknown,
  ): Promise<{ bytesRead: number; buffers: ArrayBufferView[] }> {
    const fd = this.open('readv');
    checkViews(buffers);
    return { bytesRead: this.#calls.sync.descriptor.readvSync(fd, buffers, position), buffers };
  }

  /** Takes (buffer, offset, length, position), (buffer, options) or (text, position, encoding). */
  async write(
    data: unknown,
    offset?: unknown,
    length?: unknown,
    position?: unknown,
  ): Promise<{ bytesWritten: number; buffer: unknown }> {
    const fd = this.open('write');
    if (ArrayBuffer.isView(data)) {
      if (data.byteLength === 0) return { bytesWritten: 0, buffer: data };
      const range = writeRange(data, offset, length, position);
      const bytesWritten = this.#calls.sync.descriptor.writeSync(
        fd,
        data,
        range.offset,
        range.length,
        range.position,
      );
      return { bytesWritten, buffer: data };
    }
    checkText(data, 'buffer');
    checkTextEncoding(data, length);
    return { bytesWritten: this.#calls.sync.descriptor.writeSync(fd, data, offset, length), buffer: data };
  }

  async writev(
    buffers: unknown,
    position?: unknown,
  ): Promise<{ bytesWritten: number; buffers: ArrayBufferView[] }> {
    const fd = this.open('writev');
    checkViews(buffers);
    return { bytesWritten: this.#calls.sync.descriptor.writevSync(fd, buffers, position), buffers };
  }

  async readFile(options?: unknown): Promise<string | Buffer> {
    return this.#using(this.#calls.readDescriptorFile(this.open('readFile'), options));
  }

  async writeFile(data: unknown, options?: unknown): Promise<void> {
    await this.#using(this.#calls.writeDescriptorFile(this.open('writeFile'), data, options));
  }

  async appendFile(data: unknown, options?: unknown): Promise<void> {
    await this.#using(this.#calls.writeDescriptorFile(this.open('writeFile'), data, options));
  }

  async stat(options?: { bigint?: boolean }): Promise<Stats | BigIntStats> {
    return this.#calls.sync.attributes.fstatSync(this.open('fstat'), options);
  }

  async truncate(length?: unknown): Promise<void> {
    this.#calls.sync.descriptor.ftruncateSync(this.open('ftruncate'), truncateLength(length));
  }

  async chmod(mode: unknown): Promise<void> {
    this.#calls.sync.attributes.fchmodSync(this.open('fchmod'), fileMode(mode, 'mode'));
  }

  async chown(uid: unknown, gid: unknown): Promise<void> {
    this.#calls.sync.attributes.fchownSync(this.open('fchown'), uid, gid);
  }

  async utimes(atime: unknown, mtime: unknown): Promise<void> {
    this.#calls.sync.attributes.futimesSync(this.open('futimes'), atime, mtime);
  }

  async sync(): Promise<void> {
    this.#calls.sync.descriptor.fsyncSync(this.open('fsync'));
  }

  async datasync(): Promise<void> {
    this.#calls.sync.descriptor.fdatasyncSync(this.open('fdatasync'));
  }

  createReadStream(options?: object): ReadStream {
    return this.#calls.streams.readHandle(this, options);
  }

  createWriteStream(options?: object): WriteStream {
    return this.#calls.streams.writeHandle(this, options);
  }

  readLines(options?: object): Interface {
    return createInterface({
      input: this.createReadStream(options),
      crlfDelay: Number.POSITIVE_INFINITY,
    });
  }

  /** Refuses new calls at once, waits for those that have begun, then closes. Closing twice is no error. */
  async close(): Promise<void> {
    if (this.#descriptor === -1) return;
    const fd = this.#descriptor;
    this.#descriptor = -1;
    this.emit('close');
    if (this.#busy > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    this.#calls.sync.descriptor.closeSync(fd);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
