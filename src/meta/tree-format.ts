/**
 * Bytes of a row of the tree table (forks and snapshots by name). Key: see key-format.
 *
 *   u8      kind: 1 fork, 2 snapshot
 *   varint  uppermost layer
 *   varint  root inode
 *   i64     created, seconds; u32 nanoseconds
 *   varint  id, store-wide, never reused
 *   varint  length, then UTF-8 bytes: where the tree came from (a tree's name or a host path)
 *
 *           only in a tree imported from a directory: the identity of that directory, see host-format
 */
import { type Ino, type LayerId, nameFromString, nameToString, type Timespec } from '../base/index.ts';
import { byteString, type Format, layerNumber, oneOf, record, rootIno, timespec, varint } from './fields.ts';
import { fileSystemFormat, type HostIdentity, inodeAndBirth } from './host-format.ts';

export type TreeKind = 'fork' | 'snapshot';

export interface TreeRecord {
  kind: TreeKind;
  layer: LayerId;
  root: Ino;
  created: Timespec;
  /** Where the tree came from: a tree's name or a host path. */
  source: string;
  /** Unique in the store, never reused. */
  id: number;
  /** Identity of the host directory that a snapshot was imported from; undefined for any other tree. */
  imported?: HostIdentity | undefined;
}

const text: Format<string> = {
  write: (writer, value) => byteString.write(writer, nameFromString(value)),
  read: (reader) => nameToString(byteString.read(reader)),
};

const fields = record<Omit<TreeRecord, 'imported'>>({
  kind: oneOf('tree kind', 'fork', 'snapshot'),
  layer: layerNumber,
  root: rootIno,
  created: timespec,
  id: varint(),
  source: text,
});

const importedFields = record<Pick<HostIdentity, 'ino' | 'birth'>>(inodeAndBirth);

export const treeFormat: Format<TreeRecord> = {
  write(writer, tree) {
    fields.write(writer, tree);
    if (tree.imported === undefined) return;
    importedFields.write(writer, tree.imported);
    fileSystemFormat.write(writer, tree.imported);
  },
  read(reader) {
    const tree: TreeRecord = fields.read(reader);
    if (!reader.isAtEnd) tree.imported = { ...importedFields.read(reader), ...fileSystemFormat.read(reader) };
    return tree;
  },
};
