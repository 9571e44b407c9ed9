/**
 * extent: which blocks of which blobs a file is made of.
 *
 * `ExtentMap` is the extent map of one inode in memory. It knows nothing of names, layers or bytes; `meta` stores its
 * chunks, `mapping` reads and writes through it. Invariants stand there and are checked by fsck pass `extents`.
 */
export * from './data-segments.ts';
export * from './extent-map.ts';
