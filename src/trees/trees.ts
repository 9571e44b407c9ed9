/** Decides how to reach a tree: a mounted fork through its owner, everything else by opening it here. */
import { FsError, whileBusy } from '../base/index.ts';
import { MountedTrees, type MountRecord, programsText } from '../owner/index.ts';
import {
  type SettledElsewhere,
  type StoredTree,
  type StoreEngine,
  settleTree,
  Tree,
  type TreeInfo,
  type TreeState,
} from '../store/index.ts';
import type { TreeFiles } from '../vfs/index.ts';

/** A tree to work in. */
export interface TreeHandle {
  readonly fileSystem: TreeFiles;
  readonly isReadOnly: boolean;
  close(): void;
}

export class Trees {
  readonly engine: StoreEngine;
  readonly mounted: MountedTrees;
  private readonly handles = new Map<string, TreeHandle>();

  constructor(engine: StoreEngine) {
    this.engine = engine;
    this.mounted = new MountedTrees(engine.directory, engine.system);
  }

  /**
   * The owner's record of a fork's mount; undefined for a fork that is not mounted, and for snapshots. Throws ENOENT,
   * with `operation` as its system call.
   */
  async mountOf(name: string, operation?: string): Promise<MountRecord | undefined> {
    if (!this.isElsewhere(name, operation)) return undefined;
    return await this.mounted.find(name);
  }

  /**
   * True if another process may have the fork open. False for snapshots, which any number of processes may open, and
   * for a fork that is open here, because the owner cannot have mounted it.
   */
  private isElsewhere(name: string, operation?: string): boolean {
    const { engine } = this;
    // A read-only engine has its own copy of the fork's present state, so nobody else need be asked.
    if (engine.isReadOnly) return false;
    return engine.openTreeOf(name) === undefined && engine.info(name, operation).kind === 'fork';
  }

  /**
   * A tree to read from. Opens it at the first call; later calls return the same handle until `close`. Waits for a
   * while if another process has the fork open. ENOENT; EBUSY; ENOTSUP, ENOTCONN for a mount that this process does not
   * see.
   */
  async read(name: string): Promise<TreeHandle> {
    const known = this.handles.get(name);
    if (known !== undefined) return known;
    const found = await whileBusy(async () => (await this.mountOf(name)) ?? this.engine.openTree(name));
    const handle = found instanceof Tree ? found : this.throughMount(found);
    this.handles.set(name, handle);
    return handle;
  }

  /** Like `read`, for writing. EROFS for a snapshot. */
  async write(name: string): Promise<TreeHandle> {
    const handle = await this.read(name);
    this.engine.tables.requireWritable();
    if (handle.isReadOnly) throw new FsError('EROFS');
    return handle;
  }

  private throughMount(mount: MountRecord): TreeHandle {
    requireMounted(mount);
    const files = this.mounted.open(mount, false);
    return { fileSystem: files, isReadOnly: false, close: () => files.end() };
  }

  /** Opens an earlier state of a tree, or a directory that a tree stands on; `read` then finds it by its name. */
  openState(state: TreeInfo): void {
    this.handles.set(state.name, this.engine.openState(state));
  }

  /** Closes a tree that `read` opened. */
  close(name: string): void {
    this.handles.get(name)?.close();
    this.handles.delete(name);
  }

  /**
   * Waits until no process other than the owner has the tree open. Errors are those of `read`. The returned handle is
   * closed.
   */
  async untilFree(name: string): Promise<TreeHandle> {
    const handle = await this.read(name);
    this.close(name);
    return handle;
  }

  /** Makes a fork of a tree as it is now, and leaves it closed. EINVAL, EEXIST, ENOENT, EBUSY. */
  async fork(source: string, name: string): Promise<TreeInfo> {
    const mount = await this.mountOf(source, 'fork');
    if (mount !== undefined) return await this.mounted.fork(mount, name);
    this.engine.fork(source, name).close();
    return this.engine.info(name);
  }

  /** Makes a snapshot of a tree as it is now. EINVAL, EEXIST, ENOENT, EBUSY. */
  async snapshot(source: string, name: string): Promise<TreeInfo> {
    const mount = await this.mountOf(source, 'snapshot');
    if (mount !== undefined) return await this.mounted.snapshot(mount, name);
    return this.engine.snapshot(source, name);
  }

  /**
   * Writes to the tables the present state of those of the given trees that the owner has mounted. Returns the names of
   * these. ENOENT.
   */
  async settleElsewhere(trees: Iterable<TreeState>): Promise<SettledElsewhere> {
    const names = new Set<string>();
    for (const tree of trees) if (typeof tree === 'string' && this.isElsewhere(tree)) names.add(tree);
    return names.size === 0 ? names : await this.mounted.settle(names);
  }

  /**
   * Both trees as they are now, from the tables. ENOENT; EBUSY for a fork that a process other than the owner has open.
   */
  async settle(before: TreeState, after: TreeState): Promise<[before: StoredTree, after: StoredTree]> {
    const elsewhere = await this.settleElsewhere([before, after]);
    const settled = (tree: TreeState): StoredTree => settleTree(this.engine, tree, elsewhere);
    return [settled(before), settled(after)];
  }

  /** Freezes the mounted trees among these names, or all mounted trees; returns their names. */
  async freezeElsewhere(names: readonly string[] | undefined): Promise<SettledElsewhere> {
    return this.engine.isReadOnly ? new Set() : await this.mounted.freeze(names);
  }

  /** Closes all handles and the connection to the owner. */
  async closeAll(): Promise<void> {
    try {
      for (const name of [...this.handles.keys()]) this.close(name);
    } finally {
      await this.mounted.close();
    }
  }
}

/** Throws EBUSY for a mount that was taken away from its directory but that programs still use. */
function requireMounted({ isDetached, fork, directory, users }: MountRecord): void {
  if (!isDetached) return;
  const note = `${programsText(users)} still use it`;
  throw new FsError('EBUSY', { syscall: 'umount', path: fork, dest: directory, note });
}

/** Runs `work` with the trees of a store, and closes them afterwards. */
export async function withTrees<T>(engine: StoreEngine, work: (trees: Trees) => Promise<T>): Promise<T> {
  const trees = new Trees(engine);
  try {
    return await work(trees);
  } finally {
    await trees.closeAll();
  }
}
