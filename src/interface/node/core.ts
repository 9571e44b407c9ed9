/** What this room asks of the filesystem below it, by name: a test may stand something smaller in for the vfs. */
import type { TreeFiles } from '../../vfs/index.ts';

export type { Attributes, DirectoryEntry, TimeChange, TreeFile } from '../../vfs/index.ts';

export type CoreFileSystem = Pick<
  TreeFiles,
  | 'access'
  | 'chmod'
  | 'chmodFile'
  | 'chown'
  | 'chownFile'
  | 'close'
  | 'link'
  | 'makeDirectory'
  | 'open'
  | 'openDirectoryEntries'
  | 'read'
  | 'readDirectory'
  | 'readDirectoryNames'
  | 'readLink'
  | 'realPath'
  | 'reflink'
  | 'removeDirectory'
  | 'rename'
  | 'setFileTimes'
  | 'setTimes'
  | 'stat'
  | 'statFile'
  | 'symlink'
  | 'sync'
  | 'truncateFile'
  | 'tryRead'
  | 'tryStat'
  | 'unlink'
  | 'write'
>;

/** Space and inodes, as statfs(2) counts them. */
export interface SpaceCounts {
  /** The magic number of the filesystem's type. */
  readonly type: number;
  /** Bytes a block, the unit of the next three. */
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
}

/** What a NodeFs is given beside its tree. */
export interface NodeFsOptions {
  /** The space that the tree lives in; without it statfs says zero. */
  readonly countSpace?: () => SpaceCounts;
}
