/** Combines the calls into one object that passes as node:fs. */
import { constants } from 'node:fs';
import { BLOCK_SIZE } from '../base/index.ts';
import type { SpaceCounts, TreeFile, TreeFiles } from '../vfs/index.ts';
import { createCallbacks } from './callbacks.ts';
import { Descriptors } from './descriptors.ts';
import { Dirent } from './directory-entry.ts';
import { Dir } from './directory-handle.ts';
import { createPromises } from './promises.ts';
import { Stats } from './stats.ts';
import { StreamCalls } from './streams.ts';
import { SyncCalls } from './sync-calls.ts';

type HostFs = typeof import('node:fs');

/** Parts of node:fs that a NodeFs lacks, and `promises`, which NodeFs declares with a type of its own. */
type Absent =
  | 'watch'
  | 'watchFile'
  | 'unwatchFile'
  | 'openAsBlob'
  | 'lchmod'
  | 'lchmodSync'
  | 'promises'
  | 'ReadStream'
  | 'WriteStream'
  | 'FSWatcher'
  | 'StatWatcher';

/** fs.promises of a NodeFs. */
export type NodeFsPromises = Omit<HostFs['promises'], 'watch'>;

/** The fs of one open tree. Its types are Node's own, so that any code that takes node:fs accepts it. */
export interface NodeFs extends Omit<HostFs, Absent> {
  readonly promises: NodeFsPromises;
}

/** A NodeFs with its table of descriptors. */
export interface NodeFsWithDescriptors {
  readonly fs: NodeFs;
  /** The open file of a descriptor; EBADF when there is none. */
  fileOf(fd: number, syscall: string): TreeFile;
  /** Closes whatever is still open. */
  closeAll(): void;
}

type Promises = Record<string, unknown>;

/**
 * fs.promises by fs object. Until its first use, the value is the function that makes it, because most forks never use
 * it.
 */
const PROMISES = new WeakMap<object, Promises | (() => Promises)>();

/** All fs objects share this getter, so that they have the same shape, which V8 then keeps only once. */
const PROMISES_PROPERTY: PropertyDescriptor & ThisType<object> = {
  enumerable: true,
  configurable: true,
  get(): Promises | undefined {
    let known: Promises | (() => Promises) | undefined;
    let holder: object = this;
    for (let at: object | null = this; at !== null && known === undefined; at = Object.getPrototypeOf(at)) {
      holder = at;
      known = PROMISES.get(at);
    }
    if (typeof known !== 'function') return known;
    const made = known();
    PROMISES.set(holder, made);
    return made;
  },
};

function noSpace(): SpaceCounts {
  return { type: 0, bsize: BLOCK_SIZE, blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0 };
}

/**
 * An object with the functions of node:fs over one open tree. Paths that are not absolute start at '/'. `countSpace`
 * returns what statfs reports.
 */
export function createNodeFs(fileSystem: TreeFiles, countSpace = noSpace): NodeFsWithDescriptors {
  const descriptors = new Descriptors();
  const sync = new SyncCalls(fileSystem, descriptors, countSpace);
  const callbacks = createCallbacks(sync);
  const streams = new StreamCalls(callbacks);
  const publicCalls = sync.publicCalls();
  const fs = {
    ...publicCalls,
    ...callbacks,
    realpathSync: Object.assign(publicCalls.realpathSync!, { native: sync.byName('realpathNative') }),
    createReadStream: streams.createReadStream.bind(streams),
    createWriteStream: streams.createWriteStream.bind(streams),
    constants,
    F_OK: constants.F_OK,
    R_OK: constants.R_OK,
    W_OK: constants.W_OK,
    X_OK: constants.X_OK,
    Stats,
    Dirent,
    Dir,
  };
  PROMISES.set(fs, () => createPromises(fileSystem, descriptors, sync, streams));
  Object.defineProperty(fs, 'promises', PROMISES_PROPERTY);
  return {
    // The cast: the calls check their arguments at run time as Node's do; the conformance suite compares the two.
    fs: fs as unknown as NodeFs,
    fileOf: (fd, syscall) => descriptors.get(fd, syscall),
    closeAll: () => {
      for (const file of descriptors.takeAll()) fileSystem.close(file);
    },
  };
}
