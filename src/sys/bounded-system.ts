/**
 * A `System` for a thread that must never wait for ever for a filesystem that another program serves (FUSE, NFS and the
 * like). Such a filesystem may never answer, or may itself be waiting for this thread. A separate thread
 * (`BoundedCalls`) makes the calls on the files of such a filesystem. A call fails with ETIMEDOUT if no answer comes in
 * time.
 *
 * Calls on local filesystems, and all calls of the store itself, go straight to the native system.
 */
import { BoundedCalls } from './bounded-calls.ts';
import { HostMounts } from './host-mounts.ts';
import type { HostStat, System } from './system.ts';

const READ_BYTES_MAX = 1024 * 1024;

export interface BoundedSystem extends System {
  /** True while a thread is in a call that may never return. This process then cannot exit and must be killed. */
  readonly isStuck: boolean;
}

/** `inner` is the native system; no call waits longer than `limitMs`. */
export function createBoundedSystem(inner: System, limitMs: number): BoundedSystem {
  const mounts = new HostMounts(inner);
  /** Descriptors of files that another program serves. Only the separate thread can use them. */
  const served = new Set<number>();
  const closeLate = (method: string, value: unknown): void => {
    if (method.startsWith('open') && typeof value === 'number') calls.send('close', [value]);
  };
  const calls = new BoundedCalls(limitMs, closeLate);
  const reads = new BoundedCalls(limitMs, () => undefined, calls);

  function isServed(path: Buffer): boolean {
    return !mounts.isLocal(path.toString('latin1'));
  }

  function keep(fd: number): number {
    served.add(fd);
    return fd;
  }

  return {
    ...inner,
    get isStuck() {
      return calls.isStuck || reads.isStuck;
    },
    ...servedHost(inner, calls, served),

    statHost(path, followLinks) {
      if (!isServed(path)) return inner.statHost(path, followLinks);
      return calls.call('statHost', [path, followLinks]) as HostStat;
    },
    openHost(path, flags, mode) {
      if (!isServed(path)) return inner.openHost(path, flags, mode);
      return keep(calls.call('openHost', [path, flags, mode]) as number);
    },
    openBeneath(directory, path, flags) {
      if (!served.has(directory)) return inner.openBeneath(directory, path, flags);
      return keep(calls.call('openBeneath', [directory, path, flags]) as number);
    },
    close(fd) {
      // Closing the last descriptor of a file is a request to its server too.
      if (served.delete(fd)) calls.send('close', [fd]);
      else inner.close(fd);
    },

    pread(fd, target, offset, length, position) {
      if (!served.has(fd)) return inner.pread(fd, target, offset, length, position);
      return readServed(calls, fd, target.subarray(offset, offset + length), position, true);
    },
    tryPread(fd, target, offset, length, position) {
      if (!served.has(fd)) return inner.tryPread(fd, target, offset, length, position);
      return readServed(calls, fd, target.subarray(offset, offset + length), position, false);
    },
    async preadAsync(fd, target, offset, length, position) {
      if (!served.has(fd)) return await inner.preadAsync(fd, target, offset, length, position);
      // Does not use libuv's thread pool: it has few threads, and all other mounts need them.
      const got = (await reads.callAsync('readOpened', [fd, length, position])) as Uint8Array;
      target.set(got, offset);
      return got.length;
    },
    // The store cannot share blocks with another filesystem.
    cloneFile: (source, target) => !served.has(source) && inner.cloneFile(source, target),
    cloneRange: (source, from, length, target, to) =>
      !served.has(source) && inner.cloneRange(source, from, length, target, to),
  };
}

/** Does what `pread` does if `mayWait` is true, otherwise what `tryPread` does. */
function readServed(
  calls: BoundedCalls,
  fd: number,
  target: Uint8Array,
  position: number,
  mayWait: boolean,
): number {
  let done = 0;
  while (done < target.length) {
    const length = Math.min(target.length - done, READ_BYTES_MAX);
    const got = calls.call('readBytes', [fd, length, position + done, mayWait]) as Uint8Array | undefined;
    if (got === undefined) return -1;
    target.set(got, done);
    done += got.length;
    if (got.length < length) break;
  }
  return done;
}

/** The calls whose first argument is a descriptor and which open nothing that `served` would have to record. */
function servedHost(inner: System, calls: BoundedCalls, served: ReadonlySet<number>) {
  const bytesOf = (value: Uint8Array): Buffer => Buffer.from(value.buffer, value.byteOffset, value.length);
  const asked = <Args extends [fd: number, ...unknown[]], Value>(
    method: keyof System,
    plain: (...args: Args) => Value,
  ) => {
    // The cast: the thread makes the same call, so it returns the same type.
    return (...args: Args) => (served.has(args[0]) ? (calls.call(method, args) as Value) : plain(...args));
  };
  return {
    fileSystemUuid: asked('fileSystemUuid', inner.fileSystemUuid),
    readDirectory: asked('readDirectory', inner.readDirectory),
    seekData: asked('seekData', inner.seekData),
    seekHole: asked('seekHole', inner.seekHole),
    // Calls that are made for every name or every read do without `asked`, which allocates an array for each call.
    statFile: (fd) => (served.has(fd) ? (calls.call('statFile', [fd]) as HostStat) : inner.statFile(fd)),
    statAt: (directory, name, isLocal) =>
      served.has(directory)
        ? (calls.call('statAt', [directory, name, isLocal]) as HostStat)
        : inner.statAt(directory, name, isLocal),
    readLinkAt: (directory, name) =>
      served.has(directory)
        ? bytesOf(calls.call('readLinkAt', [directory, name]) as Uint8Array)
        : inner.readLinkAt(directory, name),
    readFileXattrs(fd) {
      if (!served.has(fd)) return inner.readFileXattrs(fd);
      const xattrs = calls.call('readFileXattrs', [fd]) as Map<string, Uint8Array>;
      return new Map([...xattrs].map(([name, value]) => [name, bytesOf(value)]));
    },
  } satisfies Partial<System>;
}
