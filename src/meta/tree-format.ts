/**
 * Bytes of a row of the tree table (forks and snapshots by name), and nothing else. Key: see key-format.
 *
 *   u8      kind: 1 fork, 2 snapshot
 *   varint  layer: the uppermost
 *   varint  root inode
 *   i64     created, seconds; u32 nanoseconds
 *   varint  id, store-wide, never reused
 *   varint  length, then UTF-8 bytes: where the tree came from (a tree's name or a host path)
 */
import type { ByteReader, ByteWriter, Ino, LayerId, Timespec } from '../base/index.ts';
import { DecodeError, nameFromString, nameToString } from '../base/index.ts';
import { readTimespec, writeTimespec } from './layer-format.ts';

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
}

const KINDS: readonly (TreeKind | undefined)[] = [undefined, 'fork', 'snapshot'];

export function encodeTree(writer: ByteWriter, tree: TreeRecord): void {
  writer.u8(KINDS.indexOf(tree.kind)).varint(tree.layer).varint(tree.root);
  writeTimespec(writer, tree.created);
  writer.varint(tree.id).byteString(nameFromString(tree.source));
}

export function decodeTree(reader: ByteReader): TreeRecord {
  const kind = KINDS[reader.u8()];
  if (kind === undefined) throw new DecodeError('tree kind is unknown');
  return {
    kind,
    layer: reader.varint() as LayerId, // The field holds what encodeTree wrote: a layer's number.
    root: reader.varint() as Ino, // As above: an inode number.
    created: readTimespec(reader),
    id: reader.varint(),
    source: nameToString(reader.byteString()),
  };
}
