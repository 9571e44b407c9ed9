/**
 * extent: maps the blocks of a file to blocks of blobs.
 *
 * `ExtentMap` is the extent map of one inode in memory. It knows nothing of names, layers or bytes; `meta` stores its
 * chunks, `mapping` reads and writes through it. `extent-map.ts` states the invariants; fsck pass `extents` checks
 * them.
 */
export * from './data-segments.ts';
export * from './extent-map.ts';
