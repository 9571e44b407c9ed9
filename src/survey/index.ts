/**
 * survey: what trees are made of and how they differ: diff, changed paths, disk usage, pages, ranges in host files, and
 * the blocks that a new version can share with an earlier one.
 *
 * Invariants: only `settleOnHost` writes to trees. The room sees only what is stored in the tables, so `settleTree`
 * makes a checkpoint of a tree first. Neighbours: `store` below, whose trees this room reads without opening them;
 * `transfer`, `lifecycle`, the library and the command above.
 */
export type { Change } from './change.ts';
export { type ChangedPaths, changedPaths, diffTrees } from './diff.ts';
export { type DuReport, storeUsage, type TreeUsage } from './du.ts';
export { type BlocksToStore, EarlierVersion } from './earlier-version.ts';
export { recordedOnHost, settleOnHost } from './host-ranges.ts';
export { type ChangedPart, InodeComparison } from './inode-comparison.ts';
export { filePages, type PageReport, type PageRun, pageReportTitle, type SettledFile } from './pages.ts';
export { TreePaths } from './tree-paths.ts';
