/** What a server of mounts offers. */
import type { Tree } from '../store/index.ts';

/** How the kernel reads and caches the files of a mount; see docs/mounts.md. */
export type IoMode = 'cached' | 'shared' | 'direct';

export interface ServeOptions {
  /** `cached` unless told. */
  readonly io?: IoMode;
  /** Other users than the one that mounts may enter. False unless told. */
  readonly allowOther?: boolean;
  /** Reading leaves the times of access alone: a fork that is only read stores nothing. False unless told. */
  readonly noAtime?: boolean;
  /** What the first column of /proc/mounts says, for example `ramet:try-1`. */
  readonly source?: string;
}

/** A tree of this process that is mounted. */
export interface Mount {
  readonly tree: Tree;
  /** Absolute path of the mount point. */
  readonly directory: string;
  readonly io: IoMode;
  /** `major:minor`, the kernel's number of what is mounted; undefined where that cannot be told. */
  readonly deviceNumber: string | undefined;
  /** Inodes that the kernel keeps of it. */
  readonly nodeCount: number;
  /** Resolves when the kernel has let go of the mount, by whomever it was unmounted. The tree stays open. */
  readonly ended: Promise<void>;
  /**
   * It has ended because its connection was aborted, by the watchdog or by hand. It stays in its place until it is
   * unmounted, so that nobody takes the directory below it for the tree: all that asks for anything gets ENOTCONN.
   */
  readonly isAborted: boolean;
  /**
   * Has the kernel write what programs stored through maps of its files. Whoever freezes the tree does it first, so
   * that the snapshot has what was stored before.
   */
  sync(): Promise<void>;
  /**
   * Returns when it is unmounted here; the kernel lets go of it, `ended`, when the last of its users has. EBUSY while
   * files in it are open or it is somebody's working directory, unless `isLazy`; EBUSY also while another filesystem
   * is mounted over it. What else is mounted at the directory is left alone.
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
   * Has mounts give back now what they would when they were idle for long: the kernel's inodes and names, and the
   * memory of this process.
   */
  trim(): Promise<void>;
  /** Unmounts everything (lazily where it is busy) and ends the threads. */
  close(): Promise<void>;
}
