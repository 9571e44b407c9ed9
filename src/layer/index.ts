/**
 * layer: many layers seen as one tree. Lookup through the stack, copy-up, whiteouts, merged directories, the batch by
 * which an operation is journalled and applied, checkpoint and recovery.
 *
 * Invariants stand at `LayerStack`. Below it: `lower` for the layers that do not change, `mapping` for the bytes of one
 * inode, `meta` for tables and journal. Above it: `vfs` turns paths and open files into lookups and batches.
 */
export * from './batch.ts';
export * from './checkpoint.ts';
export { type BlockRange, copyUp, type Loan, lend } from './copy-up.ts';
export { dropUnrecordedTimes } from './evicting.ts';
export { followExtents, isHeldByKernel } from './extent-following.ts';
export * from './inode.ts';
export * from './layer-stack.ts';
export { mayChange } from './live-inodes.ts';
export { listsMoreThan } from './long-directory.ts';
export * from './recovery.ts';
export type { StackKeeper, StackParts } from './stack-state.ts';
export * from './tree-cache.ts';
export * from './undropping.ts';
export * from './upper-layer.ts';
