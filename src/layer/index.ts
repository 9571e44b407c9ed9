/**
 * layer: shows many layers as one tree. Has lookup through the stack, copy-up, whiteouts, merged directories,
 * checkpoint, recovery, and the batch that journals and applies an operation.
 *
 * `LayerStack` states the invariants. Below: `lower` for the layers that do not change, `mapping` for the bytes of one
 * inode, `meta` for tables and journal. Above: `vfs` turns paths and open files into lookups and batches.
 */
export * from './batch.ts';
export * from './checkpoint.ts';
export { type BlockRange, copyUp, type Loan, lend } from './copy-up.ts';
export * from './inode.ts';
export * from './layer-stack.ts';
export { mayChange } from './live-inodes.ts';
export * from './recovery.ts';
export type { StackKeeper, StackParts } from './stack-state.ts';
export * from './tree-cache.ts';
export * from './undropping.ts';
export * from './upper-layer.ts';
