/**
 * Calls that fs.promises and FileHandle share: reads that let other work go on before they wait for the disk, and reads
 * and writes of whole files by descriptor.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { TreeFile, TreeFiles } from '../vfs/index.ts';
import type { CommonOptions } from './arguments.ts';
import { optionsOf } from './arguments.ts';
import { Calls } from './calls.ts';
import { checkReadableSize, dataBytes, decode, sizeToRead } from './contents.ts';
import type { Descriptors } from './descriptors.ts';
import { failureOf } from './errors.ts';
import type { StreamCalls } from './streams.ts';
import type { SyncCalls } from './sync-calls.ts';

/** Files are read in pieces of this size. A piece that is not cached is read in a later turn of the event loop. */
const PIECE_BYTES = 512 * 1024;
/** Files of unknown size are read in pieces of this size. */
const UNKNOWN_SIZE_BYTES = 64 * 1024;

export function checkNotAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  const error = new Error('The operation was aborted', { cause: signal.reason });
  error.name = 'AbortError';
  throw Object.assign(error, { code: 'ABORT_ERR' });
}

function isIterable(data: unknown): data is Iterable<unknown> | AsyncIterable<unknown> {
  return (
    typeof data === 'object' &&
    data !== null &&
    !ArrayBuffer.isView(data) &&
    (Symbol.asyncIterator in data || Symbol.iterator in data)
  );
}

/** Throws the errors that a whole-file write finds before it opens anything. */
export function checkData(data: unknown, { encoding, signal }: CommonOptions): void {
  if (!isIterable(data)) dataBytes(data, encoding);
  checkNotAborted(signal);
}

export class AsyncCalls extends Calls {
  readonly sync: SyncCalls;
  readonly streams: StreamCalls;

  constructor(fileSystem: TreeFiles, descriptors: Descriptors, sync: SyncCalls, streams: StreamCalls) {
    super(fileSystem, descriptors);
    this.sync = sync;
    this.streams = streams;
  }

  /** Like read(2). Reads cached data at once, other data in a later turn of the event loop. */
  async readDescriptor(
    fd: unknown,
    target: Uint8Array,
    offset: number,
    length: number,
    position: number | null,
  ): Promise<number> {
    const file = this.descriptors.get(fd, 'read');
    try {
      return await this.readPatiently(file, target, offset, length, position);
    } catch (error) {
      throw failureOf(error, 'read');
    }
  }

  private async readPatiently(
    file: TreeFile,
    target: Uint8Array,
    offset: number,
    length: number,
    position: number | null,
  ): Promise<number> {
    const at = position ?? file.position;
    const count = this.fileSystem.tryRead(file, target, offset, length, at);
    if (count >= 0) {
      if (position === null) file.position = at + count;
      return count;
    }
    await nextTurn();
    return this.fileSystem.read(file, target, offset, length, position);
  }

  /** readFile of an open file, from its position on. */
  async readDescriptorFile(fd: unknown, options: unknown): Promise<string | Buffer> {
    const given = optionsOf(options);
    checkNotAborted(given.signal);
    return this.readWhole(this.descriptors.get(fd, 'read'), given);
  }

  async readWhole(file: TreeFile, options: CommonOptions): Promise<string | Buffer> {
    try {
      const sizeBytes = sizeToRead(this.fileSystem, file);
      checkReadableSize(sizeBytes);
      const bytes =
        sizeBytes === 0
          ? await this.readUntilEnd(file, options.signal)
          : await this.readSize(file, sizeBytes, options.signal);
      return decode(bytes, options.encoding);
    } catch (error) {
      throw failureOf(error, 'read');
    }
  }

  private async readSize(
    file: TreeFile,
    sizeBytes: number,
    signal: AbortSignal | undefined,
  ): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(sizeBytes);
    let count = 0;
    while (count < sizeBytes) {
      const length = Math.min(PIECE_BYTES, sizeBytes - count);
      const more = await this.readPatiently(file, bytes, count, length, null);
      checkNotAborted(signal);
      if (more === 0) return bytes.subarray(0, count);
      count += more;
    }
    return bytes;
  }

  private async readUntilEnd(file: TreeFile, signal: AbortSignal | undefined): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (;;) {
      const piece = Buffer.allocUnsafe(UNKNOWN_SIZE_BYTES);
      const count = await this.readPatiently(file, piece, 0, piece.length, null);
      checkNotAborted(signal);
      if (count === 0) return Buffer.concat(pieces);
      pieces.push(piece.subarray(0, count));
    }
  }

  /** writeFile into an open file, at its position. `data` may be an iterable of pieces, asynchronous or not. */
  async writeDescriptorFile(fd: unknown, data: unknown, options: unknown): Promise<void> {
    const given = optionsOf(options);
    checkData(data, given);
    await this.writeWhole(this.descriptors.get(fd, 'write'), data, given);
  }

  async writeWhole(file: TreeFile, data: unknown, options: CommonOptions): Promise<void> {
    checkNotAborted(options.signal);
    if (!isIterable(data)) {
      this.writeOut(file, dataBytes(data, options.encoding), false);
      return;
    }
    for await (const piece of data) {
      checkNotAborted(options.signal);
      this.writeOut(file, dataBytes(piece, options.encoding), false);
    }
    checkNotAborted(options.signal);
  }
}
