/** What a server of mounts offers. */
import type { Tree } from '../store/index.ts';

/** How the kernel reads and caches the files of a mount; see docs/mounts.md. */
export type IoMode = 'cached' | 'shared' | 'direct';

export interface ServeOptions {
  /** Default: `cached`. */
  readonly io?: IoMode;
  /** Users other than the one that mounts may enter. Default: false. */
  readonly allowOther?: boolean;
  /** Reading leaves the times of access alone: a fork that is only read stores nothing. Default: false. */
  readonly noAtime?: boolean;
  /** The first column of /proc/mounts, for example `ramet:try-1`. */
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
   * It has ended because its connection was aborted, by the watchdog or by hand. It stays in its place until it is
   * unmounted, so that no program takes the directory below it for the tree: every request gets ENOTCONN.
   */
  readonly isAborted: boolean;
  /**
   * Has the kernel write what programs stored through maps of its files. Called before the tree is frozen, so that the
   * snapshot has all that was stored before.
   */
  sync(): Promise<void>;
  /**
   * Returns when it is unmounted here; the kernel lets go of it, `ended`, when the last of its users has. EBUSY while
   * files in it are open or a process works in it, unless `isLazy`; EBUSY also while another filesystem is mounted over
   * it. What else is mounted at the directory is left alone.
   */
  unmount(options?: { readonly isLazy?: boolean }): Promise<void>;
}

/** Serves any number of mounts from the thread that it was made in. */
export interface MountServer {
  readonly mounts: readonly Mount[];
  /**
   * Mounts an open tree (a snapshot: read-only) and serves it. The promise resolves once the kernel and the server
   * have agreed. ENOENT, ENOTDIR (mount point), EBUSY (it is a mount point already, of this server), ENOTEMPTY,
   * EPERM, ENODEV (no /dev/fuse), EACCES (it may not be opened).
   */
  mount(tree: Tree, directory: string, options?: ServeOptions): Promise<Mount>;
  /**
   * Has mounts give back now what idle ones give back later: the kernel's inodes and names, and the memory of this
   * process.
   */
  trim(): Promise<void>;
  /** Unmounts everything (lazily where it is busy) and ends the threads. */
  close(): Promise<void>;
}
