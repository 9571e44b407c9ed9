/** The interface of the mount server, as the owner process uses it. */
import type { Tree } from '../store/index.ts';

/** How the kernel reads and caches the files of a mount; see docs/mounts.md. */
export type IoMode = 'cached' | 'shared' | 'direct';

export interface ServeOptions {
  /** Default: `cached`. */
  readonly io?: IoMode;
  /** Lets other users use the mount as well. Default: false. */
  readonly allowOther?: boolean;
  /** True if reads leave access times alone, so that a fork that is only read stores nothing. Default: false. */
  readonly noAtime?: boolean;
  /** The first column of /proc/mounts. Default: `ramet:` and the tree's name. */
  readonly source?: string;
}

/** A tree of this process that is mounted. */
export interface Mount {
  readonly tree: Tree;
  /** Absolute path of the mount point. */
  readonly directory: string;
  readonly io: IoMode;
  /** `major:minor`, the kernel's number of the mounted device; undefined if it is unknown. */
  readonly deviceNumber: string | undefined;
  /** Number of inodes of the tree that the kernel keeps. */
  readonly nodeCount: number;
  /** Resolves when the kernel has let go of the mount, however it was unmounted. The tree stays open. */
  readonly ended: Promise<void>;
  /**
   * True when the watchdog or a user has aborted the connection. Then every request gets ENOTCONN. The mount stays in
   * its place until somebody unmounts it, so that no program takes the directory under it for the tree.
   */
  readonly isAborted: boolean;
  /**
   * Makes the kernel write back the bytes that programs stored through memory maps. Call it before freezing the tree,
   * so that the snapshot has them.
   */
  sync(): Promise<void>;
  /**
   * Resolves when the mount is gone from `directory`; `ended` resolves when its last user has let go. EBUSY while files
   * in the mount are open or a process works in it, unless `isLazy`; EBUSY also while another filesystem is mounted
   * over it. Leaves other mounts at the directory alone.
   */
  unmount(options?: { readonly isLazy?: boolean }): Promise<void>;
}

/** Serves any number of mounts from the thread that it was made in. */
export interface MountServer {
  /**
   * Mounts an open tree (a snapshot read-only) and serves it. ENOENT, ENOTDIR (mount point), EBUSY (the tree is mounted
   * already, or this server has another tree mounted there), ENOTEMPTY, EPERM, ENODEV (no /dev/fuse), EACCES (this
   * process may not open /dev/fuse).
   */
  mount(tree: Tree, directory: string, options?: ServeOptions): Promise<Mount>;
  /** Gives back now what idle mounts give back later: the kernel's inodes and names, and memory of this process. */
  trim(): Promise<void>;
  /** Unmounts everything (lazily where busy) and ends the threads. */
  close(): Promise<void>;
}
