/** createReadStream and createWriteStream: Node's own streams, which take the fs to work on as an option. */
import type { ReadStream, WriteStream } from 'node:fs';
import { createReadStream, createWriteStream } from 'node:fs';

/** What a stream needs of a FileHandle. */
export interface StreamHandle {
  readonly fd: number;
  close(): Promise<void>;
}

/** The callback calls that Node's file streams make. */
export interface StreamFs {
  open(...args: unknown[]): unknown;
  close(...args: unknown[]): unknown;
  read(...args: unknown[]): unknown;
  write(...args: unknown[]): unknown;
  writev(...args: unknown[]): unknown;
  fsync(...args: unknown[]): unknown;
}

/** Options that both kinds of stream take, as far as types are needed here; `fs` is passed along with them. */
interface StreamOptions {
  readonly encoding?: BufferEncoding;
}

/** Options given as an object or as an encoding, with the fs to use put in. */
function withFs(options: unknown, fs: StreamFs): StreamOptions {
  const given = typeof options === 'string' ? { encoding: options, fs } : { ...Object(options), fs };
  // The cast: Node checks every option itself.
  return given as StreamOptions;
}

export class StreamCalls {
  /** The callback forms; set once they exist, since they are built from the calls of which these are a part. */
  fs: StreamFs | undefined;

  private get callbacks(): StreamFs {
    if (this.fs === undefined) throw new Error('internal: streams were used before the fs was complete');
    return this.fs;
  }

  createReadStream(path: unknown, options?: unknown): ReadStream {
    if (
      typeof options === 'object' &&
      options !== null &&
      'fd' in options &&
      typeof options.fd === 'object'
    ) {
      // The cast: an fd that is an object is a FileHandle of this fs; Node then checks the `fd` in it.
      if (options.fd !== null) return this.readHandle(options.fd as StreamHandle, options);
    }
    // The cast: Node checks the path itself, with its own errors.
    return createReadStream(path as string, withFs(options ?? {}, this.callbacks));
  }

  createWriteStream(path: unknown, options?: unknown): WriteStream {
    if (
      typeof options === 'object' &&
      options !== null &&
      'fd' in options &&
      typeof options.fd === 'object'
    ) {
      // The cast: as in createReadStream.
      if (options.fd !== null) return this.writeHandle(options.fd as StreamHandle, options);
    }
    // The cast: as in createReadStream.
    return createWriteStream(path as string, withFs(options ?? {}, this.callbacks));
  }

  /** A stream over an open handle, which it closes through the handle, so that the handle knows. */
  readHandle(handle: StreamHandle, options: object = {}): ReadStream {
    const fs = this.fsOfHandle(handle);
    return createReadStream('', withFs({ ...options, fd: handle.fd }, fs));
  }

  writeHandle(handle: StreamHandle, options: object = {}): WriteStream {
    const fs = this.fsOfHandle(handle);
    return createWriteStream('', withFs({ ...options, fd: handle.fd }, fs));
  }

  private fsOfHandle(handle: StreamHandle): StreamFs {
    const closeHandle = (_fd: unknown, callback: unknown): void => {
      // The cast: Node's streams pass a callback here.
      const done = callback as (error: unknown) => void;
      handle.close().then(() => done(null), done);
    };
    return { ...this.callbacks, close: closeHandle };
  }
}
