/**
 * Copies files between trees by sharing blocks, in the owner. Through mount points that is impossible, because the
 * kernel never passes a copy between two mounts to their server.
 */
import { FsError } from '../base/index.ts';
import type { StoreEngine, Tree } from '../store/index.ts';
import { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } from '../sys/index.ts';
import type { FileSystem } from '../vfs/index.ts';
import type { MountTable } from './mount-table.ts';
import type { CloneParameters } from './protocol.ts';

/**
 * How long a snapshot stays open after a copy. It is often needed again, because a copy of a directory asks for one
 * file after another.
 */
const KEEP_OPEN_MS = 1_000;

export class Cloning {
  private readonly engine: StoreEngine;
  private readonly mounts: MountTable;
  /** The snapshot of the last copy, kept open. A fork is not kept open, because other processes would find it busy. */
  private snapshot: Tree | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(engine: StoreEngine, mounts: MountTable) {
    this.engine = engine;
    this.mounts = mounts;
  }

  /**
   * Creates `targetPath` in a mounted tree, as a file that shares the blocks of `sourcePath`. The kernel is not
   * notified, so `targetPath` must be a name that nobody can have looked up: the client renames it through the mount.
   * EXDEV for blocks that cannot be shared, because a fork has not frozen them yet.
   */
  async clone({ source, sourcePath, target, targetPath }: CloneParameters): Promise<void> {
    await this.mounts.sync(source);
    const into = this.mounts.treeOf(target);
    if (into === undefined)
      throw new FsError('EINVAL', { syscall: 'clone', path: target, note: 'it is not mounted' });
    const cloneFrom = ({ fileSystem }: Tree): void =>
      cloneFile(fileSystem, sourcePath, into.fileSystem, targetPath);
    const mounted = this.mounts.treeOf(source);
    if (mounted !== undefined) cloneFrom(mounted);
    else if (this.engine.info(source).kind === 'snapshot') cloneFrom(this.openSnapshot(source));
    else {
      const tree = this.engine.openTree(source, false);
      try {
        cloneFrom(tree);
      } finally {
        tree.close();
      }
    }
  }

  private openSnapshot(name: string): Tree {
    let { snapshot } = this;
    if (snapshot === undefined || snapshot.info.id !== this.engine.info(name).id) {
      this.close();
      snapshot = this.engine.openTree(name);
      this.snapshot = snapshot;
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.close(), KEEP_OPEN_MS).unref();
    return snapshot;
  }

  private close(): void {
    clearTimeout(this.timer);
    this.snapshot?.close();
    this.snapshot = undefined;
  }
}

function cloneFile(source: FileSystem, sourcePath: string, target: FileSystem, targetPath: string): void {
  const from = source.open(sourcePath, O_RDONLY, 0);
  try {
    const to = target.open(targetPath, O_WRONLY | O_CREAT | O_EXCL, 0o600);
    try {
      target.reflink(from, to, source);
    } catch (error) {
      target.unlink(targetPath);
      throw error;
    } finally {
      target.close(to);
    }
  } finally {
    source.close(from);
  }
}
