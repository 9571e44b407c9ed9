/**
 * A mounted fork: its layer belongs to the owner process, and this process reaches the tree through the mount point,
 * like any other program.
 */
import { isFsError, StoreError, whileBusy } from '../base/index.ts';
import type { IoMode } from '../fuse/index.ts';
import {
  detachDeadMount,
  isDeadMount,
  MountedFileSystem,
  type MountRecord,
  mountHere,
  OwnerClient,
} from '../owner/index.ts';
import type { StoreEngine } from '../store/index.ts';
import type { SpaceCounts } from '../vfs/index.ts';
import { createNodeFs, type NodeFs, type NodeFsWithDescriptors } from './fs.ts';
import { checkOptions, UNMOUNT } from './library-arguments.ts';
import { treeFailure } from './tree-calls.ts';

/** How long to wait until a killed owner process has ended. */
const ENDING_MS = 10_000;

export interface MountOptions {
  /** How the kernel caches files. Default: `cached`. */
  readonly io?: IoMode;
  /** Lets other users use the mount. */
  readonly allowOther?: boolean;
  /** Reading does not change access times, so a fork that is only read stores nothing. */
  readonly noAtime?: boolean;
}

export interface UnmountOptions {
  /** Unmounts even while programs use the mount: they go on, and the fork is busy until the last of them ends. */
  readonly lazy?: boolean;
}

interface MountParts {
  readonly engine: StoreEngine;
  readonly name: string;
  readonly countSpace: () => SpaceCounts;
  readonly onEnd: (mount: ForkMount) => void;
}

/** A mounted fork. It is unmounted when it is disposed of, when its store is closed, and when the process ends. */
export class ForkMount {
  /** Absolute path of the mount point. */
  readonly directory: string;
  readonly io: IoMode;
  readonly #engine: StoreEngine;
  readonly #name: string;
  readonly #client: OwnerClient;
  readonly #files: MountedFileSystem;
  readonly #calls: NodeFsWithDescriptors;
  readonly #onEnd: (mount: ForkMount) => void;
  #isMounted = true;

  /** @internal */
  constructor(client: OwnerClient, record: MountRecord, parts: MountParts) {
    this.directory = record.directory;
    this.io = record.io;
    this.#engine = parts.engine;
    this.#name = parts.name;
    this.#client = client;
    this.#files = new MountedFileSystem(parts.engine.system, record, false);
    this.#calls = createNodeFs(this.#files, parts.countSpace);
    this.#onEnd = parts.onEnd;
  }

  /** @internal The tree through its mount point. */
  get files(): MountedFileSystem {
    return this.#files;
  }

  /** @internal The tree through its mount point, as node:fs. */
  get fs(): NodeFs {
    return this.#calls.fs;
  }

  /** @internal Makes a fork of the tree as it is now, but does not open it. */
  async fork(name: string): Promise<void> {
    await this.#ask('fork', name, () => this.#client.request('fork', { source: this.#name, name }));
  }

  /** @internal */
  async snapshot(name: string): Promise<void> {
    await this.#ask('snapshot', name, () => this.#client.request('snapshot', { source: this.#name, name }));
  }

  async #ask(operation: string, name: string, request: () => Promise<unknown>): Promise<void> {
    try {
      await request();
    } catch (error) {
      throw treeFailure(operation, name, error);
    }
  }

  /**
   * Unmounts the fork, and closes the open descriptors of its fs. Afterwards the fork's handle owns its layer again.
   * EBUSY while programs use the mount or descriptors are open, unless `lazy`.
   */
  async unmount(options: UnmountOptions = {}): Promise<void> {
    checkOptions(options, UNMOUNT);
    if (!this.#isMounted) return;
    const isLazy = options.lazy === true;
    if (isLazy) this.#calls.closeAll();
    // An open root would keep the mount busy.
    this.#files.end();
    try {
      await this.#client.request('unmount', { target: this.directory, isLazy });
    } catch (error) {
      // EINVAL: somebody else has unmounted the fork. ENOTCONN: the owner was killed.
      const isGone = isFsError(error, 'EINVAL') || isFsError(error, 'ENOTCONN');
      const isDead = isDeadMount(this.directory);
      if (!isGone && !isDead) {
        this.#files.begin();
        throw treeFailure('umount', this.#name, error);
      }
      if (isDead) detachDeadMount(this.directory);
      await this.#untilFree();
    }
    this.#end();
  }

  /**
   * Waits until the fork is free. When the owner was killed, the kernel may release the owner's lock on the fork last.
   */
  async #untilFree(): Promise<void> {
    try {
      await whileBusy(() => this.#engine.openTree(this.#name, false).close(), ENDING_MS);
    } catch (error) {
      // Ignored: the next use of the fork fails in the same way.
      if (!isFsError(error) && !(error instanceof StoreError)) throw error;
    }
  }

  #end(): void {
    this.#isMounted = false;
    this.#calls.closeAll();
    this.#client.close();
    this.#onEnd(this);
  }

  /** @internal Unmounts in any case: if the mount is busy, the connection ends, and the owner then unmounts lazily. */
  async abandon(): Promise<void> {
    if (!this.#isMounted) return;
    this.#calls.closeAll();
    try {
      await this.unmount();
    } catch {
      this.#files.end();
      this.#end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unmount();
  }
}

/** Mounts a fork that this process has just closed. The text of an error says what to do. */
export async function mountFork(
  parts: MountParts,
  directory: string,
  { io, allowOther, noAtime }: MountOptions,
): Promise<ForkMount> {
  const client = await OwnerClient.connectOrStart(parts.engine.directory);
  try {
    const wanted = { fork: parts.name, directory, io, allowOther, noAtime, isHeld: true };
    return new ForkMount(client, await mountHere(client, wanted), parts);
  } catch (error) {
    // The owner unmounts when the connection ends.
    client.close();
    throw error;
  }
}
