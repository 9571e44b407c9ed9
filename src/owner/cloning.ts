/**
 * Copies of files between trees that the owner has open, which share their blocks. Through mount points they could not:
 * the kernel passes no copy between two mounts on.
 */
import { FsError } from '../base/index.ts';
import type { StoreEngine, Tree } from '../store/index.ts';
import { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } from '../sys/index.ts';
import type { FileSystem } from '../vfs/index.ts';
import type { MountTable } from './mount-table.ts';
import type { CloneParameters } from './protocol.ts';

/** A copy of a directory asks for one file after the other. */
const KEEP_OPEN_MS = 1_000;

export class Cloning {
  private readonly engine: StoreEngine;
  private readonly mounts: MountTable;
  /** The snapshot that was copied from last. A fork is not kept: it would be in use for others. */
  private snapshot: Tree | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(engine: StoreEngine, mounts: MountTable) {
    this.engine = engine;
    this.mounts = mounts;
  }

  /**
   * Makes `targetPath` in a mounted tree a file that shares the blocks of `sourcePath`. The name must be one that
   * nobody can have looked up, since the kernel is not told of it: the client renames it through the mount. EXDEV where
   * blocks cannot be shared: those that a fork has not frozen yet are its own.
   */
  async clone({ source, sourcePath, target, targetPath }: CloneParameters): Promise<void> {
    await this.mounts.sync(source);
    const into = this.mounts.treeOf(target);
    if (into === undefined)
      throw new FsError('EINVAL', { syscall: 'clone', path: target, note: 'it is not mounted' });
    const mounted = this.mounts.treeOf(source);
    if (mounted !== undefined) {
      cloneFile(mounted.fileSystem, sourcePath, into.fileSystem, targetPath);
    } else if (this.engine.info(source).kind === 'snapshot') {
      cloneFile(this.openSnapshot(source).fileSystem, sourcePath, into.fileSystem, targetPath);
    } else {
      const tree = this.engine.openTree(source, false);
      try {
        cloneFile(tree.fileSystem, sourcePath, into.fileSystem, targetPath);
      } finally {
        tree.close();
      }
    }
  }

  private openSnapshot(name: string): Tree {
    if (this.snapshot?.info.id !== this.engine.info(name).id) {
      this.close();
      this.snapshot = this.engine.openTree(name);
    }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.close(), KEEP_OPEN_MS).unref();
    // The line above has opened it where it was not.
    return this.snapshot as Tree;
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
