/**
 * lifecycle: what happens to a fork after work in it: its differences as text, commits into the host directory it came
 * from, and merges into another fork.
 *
 * Invariants: no change is lost unless the caller asks for that: it is reported as a conflict; a fork changes as a
 * whole or not at all, a host directory file by file, and another commit finishes one that failed; nothing outside of
 * the target is touched. Neighbours: `survey` below finds differences, `store` swaps states, `files` and `transfer`
 * know host trees; `library` and `cli` call it.
 */
export { type CommitOptions, type CommitReport, commitOrigin, commitTree } from './commit.ts';
export type { CommitResolution } from './commit-plan.ts';
export { fileChanges } from './file-changes.ts';
export { type MergeOptions, type MergeReport, mergeTrees } from './merge.ts';
export type { MergeResolution } from './merge-plan.ts';
export { type FileDifference, fileDifference, statLines } from './patch.ts';
