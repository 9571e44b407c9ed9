/**
 * lifecycle: what happens to a fork after it was worked in: its differences as text, commits into the host directory
 * it came from, merges into another fork, and the way back.
 *
 * Invariants: what could lose anybody's change is refused and reported unless asked for; a fork is changed wholly or
 * not at all, a host directory file by file, and then a further commit finishes it; nothing outside of a target is
 * reached. Neighbours: `survey` below finds differences, `store` swaps states, `files` and `transfer` know host trees;
 * `library` and `cli` call it.
 */
export { type CommitOptions, type CommitReport, commitOrigin, commitTree } from './commit.ts';
export type { CommitConflict, CommitResolution } from './commit-plan.ts';
export { fileChanges } from './file-changes.ts';
export { type MergeOptions, type MergeReport, mergeTrees } from './merge.ts';
export type { ConflictKind, MergeConflict, MergeResolution } from './merge-plan.ts';
export { type FileDifference, fileDifference, statLines } from './patch.ts';
