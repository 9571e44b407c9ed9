/** createReadStream and createWriteStream: Node's own streams, which take the fs to work on as an option. */
import type { ReadStream, WriteStream } from 'node:fs';
import { createReadStream, createWriteStream } from 'node:fs';
import type { Call } from './calls.ts';

/** The part of a FileHandle that a stream needs. */
interface StreamHandle {
  readonly fd: number;
  close(): Promise<void>;
}

/** The callback functions by name. Node's file streams call some of them. */
type StreamFs = Readonly<Record<string, Call>>;

/** The options of both kinds of stream. Only `encoding` needs a type here; Node gets `fs` among the other options. */
interface StreamOptions {
  readonly encoding?: BufferEncoding;
}

/** The options of a stream, given as an object or as an encoding, with `fs` added. */
function withFs(options: unknown, fs: StreamFs): StreamOptions {
  const given = typeof options === 'string' ? { encoding: options, fs } : { ...Object(options), fs };
  // The cast: Node checks every option itself.
  return given as StreamOptions;
}

/** The FileHandle in the option `fd`, if there is one. */
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

  /**
   * A stream over an open handle. The stream closes the file through the handle, so that the handle knows that the file
   * is closed.
   */
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
