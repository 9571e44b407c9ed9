/**
 * survey: what trees are made of and how they differ: diff, changed paths, space, pages, ranges that lie on the host,
 * and what of an earlier version a new one can share.
 *
 * Invariants: nothing is changed but what `settleOnHost` takes over, and nothing that the tables have not stored is
 * seen (`settleTree` brings it in first). Neighbours: `store` below, whose trees it reads without opening them;
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
