/**
 * Bytes of a row of the layer table, and nothing else. Key: see key-format.
 *
 *   u8      state: 1 building, 2 writable, 3 frozen
 *   varint  parent layer, 0 for none
 *   varint  root inode
 *   varint  0; earlier versions kept a number here that nothing read
 *   varint  active blob, 0 for none
 *   varint  next inode number of the reserved range
 *   varint  end of the reserved range (exclusive)
 *   varint  generation of the journal
 *   varint  last journal sequence that is in the tables
 *   varint  depth: more than that of the parent, 0 without a parent; flattening does not renumber the layers above
 *   i64     created, seconds; u32 nanoseconds
 *   u8      1 when the next field is there, else 0
 *   i64     frozen, seconds; u32 nanoseconds
 *   varint  count, then one varint each: blobs of this layer that have no checksums yet
 *   varint  epoch in which gc found that no tree stands on the layer; 0 while one does
 *   u8      where the layer's inodes are: 0 (or nothing more) in its rows, 1 in a host directory, 2 in other layers.
 *           For 1:
 *           which directory it is, see host-identity-format: inode and birth
 *   u8      1 when copy-up takes the bytes of a file, 0 when it refers to them
 *   varint  length, then bytes: absolute path of the directory
 *           which directory it is: the filesystem
 *           For 2, a union:
 *   varint  count, then one varint each: the uppermost layers of the trees that it is made of, uppermost tree first
 */
import type { BlobId, ByteReader, ByteWriter, Ino, LayerId, Timespec } from '../base/index.ts';
import { DecodeError } from '../base/index.ts';
import {
  type HostIdentity,
  readFileSystem,
  readInodeAndBirth,
  writeFileSystem,
  writeInodeAndBirth,
} from './host-identity-format.ts';
import { readTimespec, writeTimespec } from './timespec-format.ts';

export type LayerState = 'building' | 'writable' | 'frozen';

/** A directory of the host as a layer: one at one place, where another directory is not this layer. */
export interface HostSource extends HostIdentity {
  /** Absolute, a byte string. */
  readonly path: string;
  /** Copy-up takes the bytes of a file, so that no later change of the host file matters. */
  readonly isPinned: boolean;
}

export interface LayerRecord {
  state: LayerState;
  /** The layer below this one; 0 for none. */
  parent: LayerId | 0;
  root: Ino;
  /** The blob that this layer appends to; 0 for none. */
  activeBlob: BlobId | 0;
  /** Reserved inode numbers are [inoNext, inoEnd). */
  inoNext: number;
  inoEnd: number;
  /** Of the journal. */
  generation: number;
  /** Journal records up to and including this sequence are in the tables. */
  appliedSequence: number;
  /** More than that of the parent; 0 without one. Flattening takes layers away below and does not renumber. */
  depth: number;
  created: Timespec;
  frozenAt?: Timespec | undefined;
  /** Frozen blobs of this layer whose checksums are still to be computed. */
  unsealedBlobs: BlobId[];
  /** Epoch, from 1, in which gc found that no tree stands on the layer; undefined while one does. */
  droppedEpoch?: number | undefined;
  /** The layer is a directory of the host; undefined for one whose inodes are in its rows. */
  host?: HostSource | undefined;
  /** The layer is the union of the trees that these are the uppermost layers of, uppermost tree first. */
  components?: readonly LayerId[] | undefined;
}

/** The values of the field that says where a layer's inodes are. */
const HOST = 1;
const UNION = 2;

const STATES: readonly (LayerState | undefined)[] = [undefined, 'building', 'writable', 'frozen'];

export function encodeLayer(writer: ByteWriter, layer: LayerRecord): void {
  writer
    .u8(STATES.indexOf(layer.state))
    .varint(layer.parent)
    .varint(layer.root)
    .varint(0)
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
  if (layer.host !== undefined) encodeHost(writer.u8(HOST), layer.host);
  else if (layer.components !== undefined) {
    writer.u8(UNION).varint(layer.components.length);
    for (const component of layer.components) writer.varint(component);
  }
}

export function decodeLayer(reader: ByteReader): LayerRecord {
  const state = STATES[reader.u8()];
  if (state === undefined) throw new DecodeError('layer state is unknown');
  const parent = reader.varint() as LayerId | 0; // The field holds what encodeLayer wrote: a layer's number or 0.
  const root = reader.varint() as Ino; // As above: an inode number.
  reader.varint();
  const layer: LayerRecord = {
    state,
    parent,
    root,
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
  if (reader.isAtEnd) return layer;
  const source = reader.u8();
  if (source === HOST) layer.host = decodeHost(reader);
  else if (source === UNION) layer.components = decodeComponents(reader);
  else throw new DecodeError(`layer source ${source} is unknown`);
  return layer;
}

function decodeComponents(reader: ByteReader): LayerId[] {
  const components: LayerId[] = [];
  for (let count = reader.varint(); count > 0; count--) {
    components.push(reader.varint() as LayerId); // The field holds what encodeLayer wrote: a layer's number.
  }
  return components;
}

/** The layers that a layer stands on, or is made of. */
export function layersUnder({ parent, components }: LayerRecord): readonly LayerId[] {
  if (components !== undefined) return components;
  return parent === 0 ? [] : [parent];
}

function encodeHost(writer: ByteWriter, host: HostSource): void {
  writeInodeAndBirth(writer, host);
  writer.u8(host.isPinned ? 1 : 0).byteString(host.path);
  writeFileSystem(writer, host);
}

function decodeHost(reader: ByteReader): HostSource {
  const directory = readInodeAndBirth(reader);
  const isPinned = reader.u8() !== 0;
  const path = reader.byteString();
  return { ...directory, ...readFileSystem(reader), isPinned, path };
}
