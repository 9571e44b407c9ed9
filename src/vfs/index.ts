/**
 * vfs: what Linux's system calls do with paths, open files and permission, over the layers of one tree.
 *
 * Invariants: an open file belongs to the tree's inode, not to a layer; every change is one journal record, made on
 * behalf of a `Caller`. The functions of this room work on inodes and on places in directories. `FileSystem` resolves
 * paths and open files to inodes and places. Its field `byInode` (an `InodeCalls`) makes the same calls by inode and
 * name, for FUSE. Below it: `layer`. Above it: `store`, which opens trees.
 */
export type { Attributes, SpaceCounts, TimeChange } from './attributes.ts';
export { type Caller, type Credentials, trustedCaller } from './caller.ts';
export type { SameExtent, SameTarget } from './extent-same.ts';
export { FileSystem } from './file-system.ts';
export { type AttributeChanges, InodeCalls } from './inode-calls.ts';
export { hintedPath, knownPath } from './inode-path.ts';
export { type DirectoryEntry, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from './namespace.ts';
export type { OpenFile } from './open-file.ts';
export { R_OK, W_OK, X_OK } from './permission.ts';
export { hasSetId } from './privileges.ts';
export type { TreeFile, TreeFiles } from './tree-files.ts';
export { XATTR_VALUE_BYTES_MAX, xattrRefusal } from './xattr-names.ts';
export { xattrValueLack } from './xattr-values.ts';
export { XATTR_CREATE, XATTR_REPLACE } from './xattrs.ts';
