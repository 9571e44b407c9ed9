/**
 * library: one open tree as an object that passes as node:fs (`createNodeFs`), and the public library (`Store`,
 * `Fork`, `Snapshot`).
 *
 * Invariants: no filesystem state lives here but the table of descriptor numbers; every failure of the core (`FsError`)
 * leaves as a plain error in Node's shape with the system call and the paths; wrong arguments fail as with Node.
 * Neighbours: below it vfs (the calls) and store (what the library opens); beside it transfer, which
 * imports, lifecycle, which commits and merges, and owner, which mounts; above it only
 * src/index.ts.
 */
export type { ErrorCode, StoreErrorCode } from '../base/index.ts';
export { StoreError } from '../base/index.ts';
export type { IoMode } from '../fuse/index.ts';
export type { CacheLimits } from '../layer/index.ts';
export type { CommitReport, MergeReport } from '../lifecycle/index.ts';
export type { View } from '../mapping/index.ts';
export type { TreeInfo } from '../store/index.ts';
export type { Change } from '../survey/index.ts';
export type { ExportReport, ImportProgress, ImportReport } from '../transfer/index.ts';
export type { DedupeProgress, DedupeReport, FsckOptions, FsckReport, GcReport } from '../upkeep/index.ts';
export type { ExtentDestination, SameExtentResult } from './extent-same.ts';
export type { ForkMount, MountOptions, UnmountOptions } from './fork-mount.ts';
export type { NodeFs, NodeFsPromises } from './fs.ts';
export { Fork, Snapshot, Store } from './library.ts';
export type {
  ForkOptions,
  MapFileOptions,
  OpenOptions,
  StoreDedupeOptions,
  StoreImportOptions,
} from './library-options.ts';
export type { CommitOptions, ExportChangesOptions, MergeOptions, RollbackOptions } from './lifecycle.ts';
