/**
 * Bytes of a row of the layer table, and nothing else. Key: see key-format.
 *
 *   u8      state: 1 building, 2 writable, 3 frozen
 *   varint  parent layer, 0 for none
 *   varint  root inode
 *   varint  st_dev of the tree this layer is the upper of
 *   varint  active blob, 0 for none
 *   varint  next inode number of the reserved range
 *   varint  end of the reserved range (exclusive)
 *   varint  generation of the journal
 *   varint  last journal sequence that is in the tables
 *   varint  depth: how many layers stand below this one
 *   i64     created, seconds; u32 nanoseconds
 *   u8      1 when the next field is there, else 0
 *   i64     frozen, seconds; u32 nanoseconds
 *   varint  count, then one varint each: blobs of this layer that have no checksums yet
 *   varint  epoch in which gc found that no tree stands on the layer; 0 while one does
 */
import type { BlobId, ByteReader, ByteWriter, Ino, LayerId, Timespec } from '../base/index.ts';
import { DecodeError } from '../base/index.ts';

export type LayerState = 'building' | 'writable' | 'frozen';

export interface LayerRecord {
  state: LayerState;
  /** The layer below this one; 0 for none. */
  parent: LayerId | 0;
  root: Ino;
  /** st_dev, one number for each fork. */
  dev: number;
  /** The blob that this layer appends to; 0 for none. */
  activeBlob: BlobId | 0;
  /** Reserved inode numbers are [inoNext, inoEnd). */
  inoNext: number;
  inoEnd: number;
  /** Of the journal. */
  generation: number;
  /** Journal records up to and with this sequence are in the tables. */
  appliedSequence: number;
  /** How many layers stand below this one. */
  depth: number;
  created: Timespec;
  frozenAt?: Timespec | undefined;
  /** Frozen blobs of this layer whose checksums are still to be computed. */
  unsealedBlobs: BlobId[];
  /** Epoch, from 1, in which gc found that no tree stands on the layer; undefined while one does. */
  droppedEpoch?: number | undefined;
}

const STATES: readonly (LayerState | undefined)[] = [undefined, 'building', 'writable', 'frozen'];

export function writeTimespec(writer: ByteWriter, time: Timespec): void {
  writer.i64(time.seconds).u32(time.nanoseconds);
}

export function readTimespec(reader: ByteReader): Timespec {
  return { seconds: reader.i64(), nanoseconds: reader.u32() };
}

export function encodeLayer(writer: ByteWriter, layer: LayerRecord): void {
  writer
    .u8(STATES.indexOf(layer.state))
    .varint(layer.parent)
    .varint(layer.root)
    .varint(layer.dev)
    .varint(layer.activeBlob)
    .varint(layer.inoNext)
    .varint(layer.inoEnd)
    .varint(layer.generation)
    .varint(layer.appliedSequence)
    .varint(layer.depth);
  writeTimespec(writer, layer.created);
  writer.u8(layer.frozenAt === undefined ? 0 : 1);
  if (layer.frozenAt !== undefined) writeTimespec(writer, layer.frozenAt);
  writer.varint(layer.unsealedBlobs.length);
  for (const blob of layer.unsealedBlobs) writer.varint(blob);
  writer.varint(layer.droppedEpoch ?? 0);
}

export function decodeLayer(reader: ByteReader): LayerRecord {
  const state = STATES[reader.u8()];
  if (state === undefined) throw new DecodeError('layer state is unknown');
  const layer: LayerRecord = {
    state,
    parent: reader.varint() as LayerId | 0, // The field holds what encodeLayer wrote: a layer's number or 0.
    root: reader.varint() as Ino, // As above: an inode number.
    dev: reader.varint(),
    activeBlob: reader.varint() as BlobId | 0, // As above: a blob's number or 0.
    inoNext: reader.varint(),
    inoEnd: reader.varint(),
    generation: reader.varint(),
    appliedSequence: reader.varint(),
    depth: reader.varint(),
    created: readTimespec(reader),
    unsealedBlobs: [],
  };
  if (reader.u8() !== 0) layer.frozenAt = readTimespec(reader);
  const count = reader.varint();
  for (let index = 0; index < count; index++) {
    layer.unsealedBlobs.push(reader.varint() as BlobId); // As above: a blob's number.
  }
  const droppedEpoch = reader.varint();
  if (droppedEpoch > 0) layer.droppedEpoch = droppedEpoch;
  return layer;
}
