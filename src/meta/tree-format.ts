/**
 * Bytes of a row of the tree table (forks and snapshots by name), and nothing else. Key: see key-format.
 *
 *   u8      kind: 1 fork, 2 snapshot
 *   varint  layer: the uppermost
 *   varint  root inode
 *   i64     created, seconds; u32 nanoseconds
 *   varint  id, store-wide, never reused
 *   varint  length, then UTF-8 bytes: where the tree came from (a tree's name or a host path)
 *
 *           of an import of a directory more follows: which directory it was, see host-identity-format
 */
import type { ByteReader, ByteWriter, Ino, LayerId, Timespec } from '../base/index.ts';
import { DecodeError, nameFromString, nameToString } from '../base/index.ts';
import {
  type HostIdentity,
  readFileSystem,
  readInodeAndBirth,
  writeFileSystem,
  writeInodeAndBirth,
} from './host-identity-format.ts';
import { readTimespec, writeTimespec } from './timespec-format.ts';

export type TreeKind = 'fork' | 'snapshot';

export interface TreeRecord {
  kind: TreeKind;
  layer: LayerId;
  root: Ino;
  created: Timespec;
  /** Where the tree came from: a tree's name or a host path, as text. */
  source: string;
  /** Unique in the store, never reused. */
  id: number;
  /** Of a snapshot that was imported from a directory: which one it was. */
  imported?: HostIdentity | undefined;
}

const KINDS: readonly (TreeKind | undefined)[] = [undefined, 'fork', 'snapshot'];

export function encodeTree(writer: ByteWriter, tree: TreeRecord): void {
  writer.u8(KINDS.indexOf(tree.kind)).varint(tree.layer).varint(tree.root);
  writeTimespec(writer, tree.created);
  writer.varint(tree.id).byteString(nameFromString(tree.source));
  if (tree.imported === undefined) return;
  writeInodeAndBirth(writer, tree.imported);
  writeFileSystem(writer, tree.imported);
}

export function decodeTree(reader: ByteReader): TreeRecord {
  const kind = KINDS[reader.u8()];
  if (kind === undefined) throw new DecodeError('tree kind is unknown');
  const tree: TreeRecord = {
    kind,
    layer: reader.varint() as LayerId, // The field holds what encodeTree wrote: a layer's number.
    root: reader.varint() as Ino, // As above: an inode number.
    created: readTimespec(reader),
    id: reader.varint(),
    source: nameToString(reader.byteString()),
  };
  if (!reader.isAtEnd) tree.imported = { ...readInodeAndBirth(reader), ...readFileSystem(reader) };
  return tree;
}
