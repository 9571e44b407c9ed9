/**
 * meta: what the store knows about files: tables in LMDB (layers, trees, inodes, dentries, extents, xattrs,
 * blobs) and the journal of each writable layer.
 *
 * Invariants: a row is returned only when its checksum over key and value is right. A transaction is durable when it
 * returns. Extents are complete in the layer that holds the inode's record. A journal is written by the one
 * process that holds its flock, and what replay yields is always a prefix of what was appended. Every stored
 * byte is described in one `*-format.ts` file and in docs/format.md.
 *
 * Neighbours: `sys` below (the journal's I/O; LMDB does its own); `blob` beside it knows the bytes of files
 * and nothing of tables; `extent`, `layer` and `store` above read and change the tables.
 */
export type { BlobKind, BlobRecord, BlobState } from './blob-format.ts';
export type { ContentRecord } from './content-format.ts';
export type { CounterName } from './counter-format.ts';
export type { DentryRecord } from './dentry-format.ts';
export type { HostTable, OriginTable } from './derived-tables.ts';
export type { DroppedRecord } from './dropped-format.ts';
export { decodeExternal, type ExternalRecord, encodeExternal } from './external-format.ts';
export { type HostIdentity, isSameDirectory } from './host-identity-format.ts';
export { decodeInode, encodeInode, INODE_FIXED_BYTES, type InodeRecord } from './inode-format.ts';
export { Journal, type ReplayResult } from './journal.ts';
export type { RecordVisitor } from './journal-scan.ts';
export { type HostSource, type LayerRecord, type LayerState, layersUnder } from './layer-format.ts';
export type {
  DentryTable,
  ExtentTable,
  InodeRuns,
  InodeTable,
  NamedDentry,
  OrphanTable,
  XattrTable,
} from './layer-tables.ts';
export { type NewInode, newInodeRecord } from './new-inode.ts';
export type { TableFigures } from './rows.ts';
export type {
  ContentTable,
  CounterTable,
  NumberTable,
  TreeTable,
} from './store-tables.ts';
export { type LayerKey, MetaTables } from './tables.ts';
export type { TreeKind, TreeRecord } from './tree-format.ts';
export type { Xattrs } from './xattr-format.ts';
