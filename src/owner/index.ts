/**
 * owner: the background process of a store, which serves all its mounts. `OwnerClient` finds this process, starts it if
 * it does not run, and asks it over a socket; `Owner` is the process's own side, and `main.ts` its program.
 *
 * Invariants: a store has one owner at most (a lock file decides); the owner never looks at a path that may lie on one
 * of its mounts; unless a mount is kept, it ends with the last connection that holds it; no state of the filesystem
 * lives here. Neighbours: below, store (trees) and fuse (mounts); above, trees, library and cli.
 */
export type { IoMode } from '../fuse/index.ts';
export { OwnerClient, type OwnerClientOptions } from './client.ts';
export { parsedLine, readableLine, readLog } from './log-line.ts';
export { holdHere, mountHere } from './mount-here.ts';
export {
  checkMountPoint,
  deadMountOf,
  detachDeadMount,
  isDeadMount,
  ownMountPath,
  realMountPath,
} from './mount-point.ts';
export { programsText } from './mount-users.ts';
export { MountedFileSystem } from './mounted-file-system.ts';
export { MountedTrees } from './mounted-trees.ts';
export { OwnerPlace } from './owner-place.ts';
export { IO_MODES, type MountRecord, type OwnerStatus, type UnmountReport } from './protocol.ts';
