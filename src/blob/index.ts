/**
 * blob: physical space. A blob is a host file; a physical address is (blob id, block). The host's page cache holds the
 * blobs' pages, and is the only cache of data.
 *
 * `BlobSpace` reads bytes of any blob, wherever they are (`BlobBytes`): in the store's own files (`StoredBytes`, with
 * their windows and checksums), or in files of the host (`ExternalFiles`). It also lists and removes the store's
 * own files.
 * `ActiveBlob` is the blob that a writable layer allocates from and writes to; `BlobWriter` makes a blob from start to
 * end, for import; `Sealing` computes the checksums of a frozen blob.
 *
 * Invariants: the live bytes of a sealed blob never change, and its file is never cut; a block is verified against its
 * checksum when this process first reads it; space is allocated before it is written or mapped; a freed block is
 * neither reused nor punched before a durable commit mark covers the change that freed it. `fsck` checks that every
 * extent lies inside a blob that exists; its pass `sums` checks that live blocks match their checksums.
 *
 * Neighbours: base and sys below. Store knows which blobs exist, which layer each belongs to and which blocks are live,
 * from the tables in meta; this room knows only files.
 */
export { ActiveBlob, type PhysicalRun } from './active-blob.ts';
export type { BlobSpaceLimits } from './blob-files.ts';
export { blobPath } from './blob-path.ts';
export { BlobSpace, type BlobSpaceCounts } from './blob-space.ts';
export { BlobWriter } from './blob-writer.ts';
export { DamagedBlobError } from './damage.ts';
export { type ExternalPlace, type ExternalSource, type ExternalState, isExternal } from './external-files.ts';
export { Sealing } from './sealing.ts';
export { loadSums } from './sum-file.ts';
export { sumBytes } from './sum-format.ts';
