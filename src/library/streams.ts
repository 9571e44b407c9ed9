/** createReadStream and createWriteStream: Node's own streams, which take the fs to work on as an option. */
import type { ReadStream, WriteStream } from 'node:fs';
import { createReadStream, createWriteStream } from 'node:fs';
import type { Call } from './calls.ts';

/** What a stream needs of a FileHandle. */
interface StreamHandle {
  readonly fd: number;
  close(): Promise<void>;
}

/** The callback forms by name; Node's file streams make some of these calls. */
type StreamFs = Readonly<Record<string, Call>>;

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

/** The FileHandle that an option `fd` may be. */
function handleOf(options: unknown): StreamHandle | undefined {
  if (typeof options !== 'object' || options === null || !('fd' in options)) return undefined;
  // The cast: an fd that is an object is a FileHandle of this fs; Node then checks the `fd` in it.
  return typeof options.fd === 'object' && options.fd !== null ? (options.fd as StreamHandle) : undefined;
}

export class StreamCalls {
  private readonly callbacks: StreamFs;

  constructor(callbacks: StreamFs) {
    this.callbacks = callbacks;
  }

  createReadStream(path: unknown, options?: unknown): ReadStream {
    const handle = handleOf(options);
    if (handle !== undefined) return this.readHandle(handle, Object(options));
    // The cast: Node checks the path itself, with its own errors.
    return createReadStream(path as string, withFs(options ?? {}, this.callbacks));
  }

  createWriteStream(path: unknown, options?: unknown): WriteStream {
    const handle = handleOf(options);
    if (handle !== undefined) return this.writeHandle(handle, Object(options));
    // The cast: as in createReadStream.
    return createWriteStream(path as string, withFs(options ?? {}, this.callbacks));
  }

  /** A stream over an open handle, which it closes through the handle, so that the handle knows. */
  readHandle(handle: StreamHandle, options: object = {}): ReadStream {
    return createReadStream('', this.onHandle(handle, options));
  }

  writeHandle(handle: StreamHandle, options: object = {}): WriteStream {
    return createWriteStream('', this.onHandle(handle, options));
  }

  private onHandle(handle: StreamHandle, options: object): StreamOptions {
    const closeHandle = (_fd: unknown, callback: unknown): void => {
      // The cast: Node's streams pass a callback here.
      const done = callback as (error: unknown) => void;
      handle.close().then(() => done(null), done);
    };
    return withFs({ ...options, fd: handle.fd }, { ...this.callbacks, close: closeHandle });
  }
}
