/**
 * Bytes of a row of the layer table. Key: see key-format.
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
 *   varint  depth: greater than that of every layer below, 0 if there is none; flattening does not renumber
 *   i64     created, seconds; u32 nanoseconds
 *   u8      1 when the next field is there, else 0
 *   i64     frozen, seconds; u32 nanoseconds
 *   varint  count, then one varint each: blobs of this layer that have no checksums yet
 *   varint  epoch in which gc found that no tree stands on the layer; 0 while one does
 *   u8      where the layer's inodes are: 0 (or the end of the row) in its rows, 1 in a host directory, 2 in layers.
 *           For 1:
 *           identity of the directory, see host-format: inode and birth
 *   u8      1 when copy-up copies the bytes of a file, 0 when it refers to them
 *   varint  length, then bytes: absolute path of the directory
 *           identity of the directory: filesystem and subvolume
 *           For 2, a union:
 *   varint  count, then one varint each: the uppermost layer of each tree, uppermost tree first
 */
import { type BlobId, DecodeError, type Ino, type LayerId, type Timespec } from '../base/index.ts';
import {
  byteString,
  COUNTED_END,
  checked,
  type Format,
  flag,
  layerNumber,
  list,
  numberIn,
  oneOf,
  optional,
  record,
  rootIno,
  timespec,
  varint,
} from './fields.ts';
import { fileSystemFormat, type HostIdentity, inodeAndBirth } from './host-format.ts';

export type LayerState = 'building' | 'writable' | 'frozen';

/** A directory of the host as a layer. Another directory at the same path is another layer. */
export interface HostSource extends HostIdentity {
  /** Absolute, a byte string. */
  readonly path: string;
  /** True if copy-up copies the bytes of a file, so that later changes of the host file do not matter. */
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
  /** Generation of the journal. */
  generation: number;
  /** Journal records up to this sequence are in the tables. */
  appliedSequence: number;
  /** Greater than that of every layer below; 0 if there is none. Flattening does not renumber the layers above. */
  depth: number;
  created: Timespec;
  frozenAt?: Timespec | undefined;
  /** Frozen blobs of this layer whose checksums are still to be computed. */
  unsealedBlobs: BlobId[];
  /** Epoch, from 1, in which gc found that no tree stands on the layer; undefined while one does. */
  droppedEpoch?: number | undefined;
  /** The host directory that the layer shows; undefined for any other layer. */
  host?: HostSource | undefined;
  /** For a union: the uppermost layer of each of its trees, uppermost tree first. */
  components?: readonly LayerId[] | undefined;
}

/** Values of the field that says where a layer's inodes are. */
const HOST = 1;
const UNION = 2;

/** The root inode, and the unused varint after it. */
const rootFormat: Format<Ino> = {
  write: (writer, root) => void writer.varint(root).varint(0),
  read(reader) {
    const root = rootIno.read(reader);
    reader.varint();
    return root;
  },
};

/** 0 stands for undefined. */
const epochFormat: Format<number | undefined> = {
  write: (writer, epoch) => void writer.varint(epoch ?? 0),
  read: (reader) => reader.varint() || undefined,
};

const fields = record<Omit<LayerRecord, 'host' | 'components'>>({
  state: oneOf('layer state', 'building', 'writable', 'frozen'),
  parent: numberIn('parent', 0, COUNTED_END),
  root: rootFormat,
  activeBlob: varint(),
  inoNext: numberIn('inode number', 0, COUNTED_END),
  inoEnd: numberIn('inode number', 0, COUNTED_END),
  generation: varint(),
  appliedSequence: varint(),
  depth: varint(),
  created: timespec,
  frozenAt: optional(timespec),
  unsealedBlobs: list(varint()),
  droppedEpoch: epochFormat,
});

const hostFields = record<Omit<HostSource, 'fileSystemUuid' | 'subvolume'>>({
  ...inodeAndBirth,
  isPinned: flag,
  path: checked(byteString, (path) =>
    path.startsWith('/') && !path.includes('\0') ? undefined : 'the path of its directory is not absolute',
  ),
});

const componentsFormat = checked(list(layerNumber), ({ length }) =>
  length > 0 ? undefined : 'a union has no trees',
);

export const layerFormat: Format<LayerRecord> = {
  write(writer, layer) {
    fields.write(writer, layer);
    if (layer.host !== undefined) {
      hostFields.write(writer.u8(HOST), layer.host);
      fileSystemFormat.write(writer, layer.host);
    } else if (layer.components !== undefined) componentsFormat.write(writer.u8(UNION), layer.components);
  },
  read(reader) {
    const layer: LayerRecord = fields.read(reader);
    if (reader.isAtEnd) return layer;
    const source = reader.u8();
    if (source === HOST) layer.host = { ...hostFields.read(reader), ...fileSystemFormat.read(reader) };
    else if (source === UNION) layer.components = componentsFormat.read(reader);
    else throw new DecodeError(`layer source ${source} is unknown`);
    return layer;
  },
};

/** The layers directly below a layer: its parent, or the components of a union. */
export function layersUnder({ parent, components }: LayerRecord): readonly LayerId[] {
  if (components !== undefined) return components;
  return parent === 0 ? [] : [parent];
}
