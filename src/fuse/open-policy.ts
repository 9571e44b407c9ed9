/** How each mode of a mount answers opens. */
import type { BlobId, Ino } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { Fopen } from './abi.ts';

/** The answer to an open: the fields of OPEN_OUT. */
export interface OpenAnswer {
  readonly handle: number;
  /** Flags of `Fopen`. */
  readonly flags: number;
  /** With PASSTHROUGH: the kernel's id of the host file that it reads and maps. */
  readonly backing?: number;
}

/** A policy leaves out the calls for which it has nothing to do. */
export interface OpenPolicy {
  /**
   * Answers an open with the `flags` of open(2). Returns undefined if the kernel need not send opens. ETXTBSY when the
   * file must not be opened for writing now.
   */
  open(inode: Inode, flags: number): OpenAnswer | undefined;
  /** Answers the open of a file that was just created, and is open for writing. */
  created(inode: Inode): OpenAnswer;
  openDirectory(inode: Inode): OpenAnswer | undefined;
  /** The kernel has closed an open file. `handle` is the one from the answer to the open. */
  release?(ino: Ino, handle: number): void;
  /** Throws ETXTBSY when the size of the file must not change now. */
  requireResizable?(inode: Inode): void;
  /** Open files that the kernel reads directly from a blob, each with that blob. */
  passedThrough?(): Iterable<readonly [Ino, BlobId]>;
  end?(): void;
}

/** The kernel keeps its cache of the directory. */
export const KEPT_DIRECTORY: OpenAnswer = { handle: 0, flags: Fopen.KEEP_CACHE | Fopen.CACHE_DIR };
/** The kernel keeps its cache of the file. */
export const KEPT_FILE: OpenAnswer = { handle: 0, flags: Fopen.KEEP_CACHE };
const DIRECT_FILE: OpenAnswer = { handle: 0, flags: Fopen.DIRECT_IO | Fopen.PARALLEL_DIRECT_WRITES };

/** Mode `cached`: the kernel caches every file and directory, and sends no opens. */
export const CACHED_OPENS: OpenPolicy = {
  open: () => undefined,
  created: () => KEPT_FILE,
  openDirectory: () => undefined,
};

/** Mode `direct`: the kernel caches no bytes, and reads and writes of several threads do not wait for one another. */
export const DIRECT_OPENS: OpenPolicy = {
  open: () => DIRECT_FILE,
  created: () => DIRECT_FILE,
  openDirectory: () => KEPT_DIRECTORY,
};
