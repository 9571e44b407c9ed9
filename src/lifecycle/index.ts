/**
 * lifecycle: what happens to a fork after work in it. Patches show its differences as text, commits write them into the
 * host directory that it came from, merges bring them into another fork.
 *
 * Invariants: a change that would be lost is reported as a conflict, unless the caller asks for the loss. A fork
 * changes as a whole or not at all. A host directory changes file by file; after a failure, another commit finishes the
 * work. Nothing outside the target is touched. Neighbours: `survey` below finds differences, `store` swaps states,
 * `files` and `transfer` know host trees; `library` and `cli` call this room.
 */
export { type CommitOptions, type CommitReport, commitOrigin, commitTree } from './commit.ts';
export type { CommitResolution } from './commit-plan.ts';
export { fileChanges } from './file-changes.ts';
export { type MergeOptions, type MergeReport, mergeTrees } from './merge.ts';
export type { MergeResolution } from './merge-plan.ts';
export { type FileDifference, fileDifference, statLines } from './patch.ts';
