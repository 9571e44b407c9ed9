/** The interface of the mount server, as the owner process uses it. */
import type { Tree } from '../store/index.ts';

/** How the kernel reads and caches the files of a mount; see docs/mounts.md. */
export type IoMode = 'cached' | 'shared' | 'direct';

export interface ServeOptions {
  /** Default: `cached`. */
  readonly io?: IoMode;
  /** Lets users enter other than the one that mounts. Default: false. */
  readonly allowOther?: boolean;
  /** Reads leave access times alone: a fork that is only read stores nothing. Default: false. */
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
  /** `major:minor`, the kernel's number of the mounted device; undefined where it is unknown. */
  readonly deviceNumber: string | undefined;
  /** How many of its inodes the kernel keeps. */
  readonly nodeCount: number;
  /** Resolves when the kernel has let go of the mount, however it was unmounted. The tree stays open. */
  readonly ended: Promise<void>;
  /**
   * True where its connection was aborted, by the watchdog or by hand. It stays in its place until it is unmounted, so
   * that no program takes the directory below it for the tree: every request gets ENOTCONN.
   */
  readonly isAborted: boolean;
  /**
   * Makes the kernel write the bytes that programs stored through maps. Called before the tree is frozen, so that the
   * snapshot has them.
   */
  sync(): Promise<void>;
  /**
   * Returns when it is unmounted here; `ended` resolves when the last of its users has let go. EBUSY while files in it
   * are open or a process works in it, unless `isLazy`; EBUSY also while another filesystem is mounted over it. Other
   * mounts at the directory are left alone.
   */
  unmount(options?: { readonly isLazy?: boolean }): Promise<void>;
}

/** Serves any number of mounts from the thread that it was made in. */
export interface MountServer {
  /**
   * Mounts an open tree (a snapshot: read-only) and serves it. ENOENT, ENOTDIR (mount point), EBUSY (the tree is
   * mounted, or another one of this server is mounted there), ENOTEMPTY, EPERM, ENODEV (no /dev/fuse), EACCES (it may
   * not be opened).
   */
  mount(tree: Tree, directory: string, options?: ServeOptions): Promise<Mount>;
  /** Gives back now what idle mounts give back later: the kernel's inodes and names, and memory of this process. */
  trim(): Promise<void>;
  /** Unmounts everything (lazily where busy) and ends the threads. */
  close(): Promise<void>;
}
