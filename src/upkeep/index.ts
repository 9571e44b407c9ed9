/**
 * upkeep: what keeps a store small and sound: garbage collection, dedupe, and fsck with its scrub.
 *
 * Invariants: the content of trees never changes; only gc frees space, and only space that no living process relies on;
 * fsck repairs nothing. Neighbours: `store` below, whose engine every function here takes; the library and the command
 * above. Sealing and flattening belong to `store`: an open store does them in the background.
 */
export { type DedupeOptions, type DedupeProgress, type DedupeReport, dedupeStore } from './dedupe.ts';
export { checkStore, type FsckOptions, type FsckReport } from './fsck.ts';
export type { FsckPass } from './fsck-findings.ts';
export { collectGarbage, type GcReport } from './gc.ts';
