/**
 * layer: many layers seen as one tree. Lookup through the stack, copy-up, whiteouts, merged directories, the batch by
 * which an operation is journalled and applied, checkpoint and recovery.
 *
 * Invariants stand at `LayerStack`. Below it: `mapping` for the bytes of one inode, `meta` for tables and journal.
 * Above it: `vfs` turns paths and open files into lookups and batches.
 */
export * from './batch.ts';
export * from './checkpoint.ts';
export * from './entry.ts';
export { followExtents, isHeldByKernel } from './extent-following.ts';
export * from './frozen-layer.ts';
export * from './holder.ts';
export * from './inode.ts';
export * from './layer-stack.ts';
export * from './recovery.ts';
export * from './revival.ts';
export * from './tree-cache.ts';
export * from './upper-layer.ts';
