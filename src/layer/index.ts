/**
 * layer: many layers seen as one tree. Lookup through the stack, copy-up, whiteouts, merged directories, the batch by
 * which an operation is journalled and applied, checkpoint and recovery.
 *
 * Invariants stand at `LayerStack`. Below it: `mapping` for the bytes of one inode, `meta` for tables and journal.
 * Above it: `vfs` turns paths and open files into lookups and batches.
 */
export * from './batch.ts';
export * from './checkpoint.ts';
export { dataRuns } from './data-runs.ts';
export { isDerived } from './derived-numbers.ts';
export * from './entry.ts';
export { dropUnrecordedTimes } from './evicting.ts';
export { followExtents, isHeldByKernel } from './extent-following.ts';
export * from './frozen-layer.ts';
export * from './holder.ts';
export { directoryIdentity, leadsThroughRamet, openDirectory } from './host-identity.ts';
export { HostLayer, type HostLayerParts } from './host-layer.ts';
export { decodeHostOrigin, type HostOrigin, isOrigin } from './host-places.ts';
export * from './inode.ts';
export * from './layer-stack.ts';
export { type BlockRange, type Loan, lend } from './live-inodes.ts';
export { listsMoreThan } from './long-directory.ts';
export * from './lower.ts';
export * from './lower-tree.ts';
export * from './overlay-marks.ts';
export * from './recovery.ts';
export * from './revival.ts';
export * from './tree-cache.ts';
export * from './union-layer.ts';
export { COMPONENTS_MAX, rootOfUnion } from './union-numbers.ts';
export * from './upper-layer.ts';
export * from './xattr-names.ts';
