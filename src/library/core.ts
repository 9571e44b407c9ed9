/** What this room needs of the filesystem below it, by name: a test may put something smaller in its place. */
import type { SpaceCounts, TreeFiles } from '../vfs/index.ts';

export type { Attributes, DirectoryEntry, SpaceCounts, TimeChange, TreeFile } from '../vfs/index.ts';

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

/** What a NodeFs is given beside its tree. */
export interface NodeFsOptions {
  /** The space that the tree lives in; without it statfs says zero. */
  readonly countSpace?: () => SpaceCounts;
}
