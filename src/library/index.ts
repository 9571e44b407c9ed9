/**
 * library: the public library (`Store`, `Fork`, `Snapshot`). An open tree can stand in for node:fs. Everything exported
 * here is public: src/index.ts exports it again.
 *
 * Invariants: the tables of descriptors are the only state of the filesystem that is kept here; every failure of the
 * core (`FsError`) reaches the caller as a plain error in Node's shape with the system call and the paths; wrong
 * arguments fail as they do in Node. Neighbours: below it vfs (the calls), store (what the library opens), transfer
 * (imports, exports), lifecycle (commits, merges), trees and owner (mounts).
 */
export type { ErrorCode, StoreErrorCode } from '../base/index.ts';
export { StoreError } from '../base/index.ts';
export type { IoMode } from '../fuse/index.ts';
export type { CacheLimits } from '../layer/index.ts';
export type { CommitReport, MergeReport } from '../lifecycle/index.ts';
export type { View } from '../mapping/index.ts';
export type { TreeInfo } from '../store/index.ts';
export type { Change } from '../survey/index.ts';
export type { ExportReport, ImportReport, TransferProgress as ImportProgress } from '../transfer/index.ts';
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
} from './library-arguments.ts';
export type { CommitOptions, ExportChangesOptions, MergeOptions, RollbackOptions } from './lifecycle.ts';
