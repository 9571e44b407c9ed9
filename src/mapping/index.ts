/**
 * mapping: one inode's bytes. Read, write with copy on write, cut, holes, and memory maps stitched from blobs.
 *
 * The comments of `mapping.ts` and `view.ts` state the invariants. Below: `extent` says where bytes are, `blob` holds
 * them. Above: `layer` journals the runs of a write and then installs them.
 */
export * from './budget.ts';
export { asOutOfMappings } from './file-maps.ts';
export * from './mapping.ts';
export type { PhysicalSpace } from './physical-space.ts';
export * from './view.ts';
