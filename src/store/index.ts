/**
 * store: opens, wires and owns everything: trees by name, layers, leases, sealing, gc, fsck.
 *
 * Invariants stand at `StoreEngine`. Below it: `vfs` and all the rest. Above it: the interfaces, which hold no state
 * of the filesystem.
 */
export { type CacheLimits, TreeCache } from '../layer/index.ts';
export type { Change } from './change.ts';
export type { DedupeOptions, DedupeProgress, DedupeReport } from './dedupe.ts';
export { type ChangedPaths, changedPaths, diffTrees, type TreeState } from './diff.ts';
export { type DuReport, storeUsage, type TreeUsage } from './du.ts';
export { type BlocksToStore, EarlierVersion } from './earlier-version.ts';
export * from './engine.ts';
export type { FsckOptions, FsckReport } from './fsck.ts';
export type { FsckPass } from './fsck-findings.ts';
export type { GcReport } from './gc.ts';
export { recordedOnHost, settleOnHost } from './host-ranges.ts';
export { isHostPath } from './host-source.ts';
export { type ChangedPart, InodeComparison } from './inode-comparison.ts';
export * from './layer-builder.ts';
export { FORMAT_VERSION, StoreLayout } from './layout.ts';
export { filePages, type PageReport, type PageRun, pageReportTitle, type SettledFile } from './pages.ts';
export {
  commonState,
  dropOpen,
  forkOver,
  forkState,
  freeName,
  hostState,
  renameSnapshot,
  replaceTree,
  stateFrom,
} from './states.ts';
export type { StoreCounts, StoreOptions } from './store-options.ts';
export { type SettledElsewhere, StoredTree, settleTree } from './stored-tree.ts';
export { Tree, type TreeInfo } from './tree.ts';
export { TreePaths } from './tree-paths.ts';
export { uppermostOf } from './union-rows.ts';
