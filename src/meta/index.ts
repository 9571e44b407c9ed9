/**
 * meta: all that the store knows about files. It has tables in LMDB (layers, trees, inodes, dentries, extents, xattrs,
 * blobs) and the journal of each writable layer.
 *
 * Invariants: a row is returned only when its checksum over key and value is right. A transaction is durable when it
 * returns. An inode's extents all lie in the one layer that its record names. Only the process that holds a journal's
 * flock writes it, and replay always yields a prefix of what was appended. One `*-format.ts` file and docs/format.md
 * describe every stored byte.
 *
 * Neighbours: `sys` below does the journal's I/O (LMDB does its own); `blob` beside it knows the bytes of files but not
 * the tables; `layer` and `store` above read and change the tables.
 */
export type { BlobKind, BlobRecord, BlobState } from './blob-format.ts';
export type { ContentRecord } from './content-format.ts';
export type { CounterName } from './counter-format.ts';
export { type DentryRecord, dentryOf } from './dentry-format.ts';
export type { DroppedRecord } from './dropped-format.ts';
export { type ExternalRecord, externalFormat } from './external-format.ts';
export { BLOCKS_END, INO_END } from './fields.ts';
export { type HostIdentity, isSameDirectory } from './host-format.ts';
export { INODE_FIXED_BYTES, type InodeRecord, inodeFormat } from './inode-format.ts';
export { Journal } from './journal.ts';
export type { RecordVisitor } from './journal-scan.ts';
export { type HostSource, type LayerRecord, type LayerState, layersUnder } from './layer-format.ts';
export type {
  DentryTable,
  ExtentTable,
  InodeRuns,
  InodeTable,
  NamedDentry,
  OrphanTable,
} from './layer-tables.ts';
export { newInodeRecord } from './new-inode.ts';
export type { TableFigures } from './rows.ts';
export type { ContentTable, CounterTable, HostTable, NumberTable, TreeTable } from './store-tables.ts';
export { MetaTables } from './tables.ts';
export { tablesTransaction } from './tables-file.ts';
export type { TreeKind, TreeRecord } from './tree-format.ts';
export { type Xattrs, xattrsFormat } from './xattr-format.ts';
