/**
 * The payload of a journal record: the effects of one operation, which apply together or not at all. docs/format.md
 * describes it in "Journal". An effect states the result, not the change, so replaying it twice, or over a state that
 * has it already, gives the same result.
 *
 *     u8 1 (runs)    varint ino, varint n, n × (varint logical, varint count, varint blob (0 = hole), varint physical)
 *     u8 2 (inode)   varint ino, bytes: inode record as in the inode table
 *     u8 3 (name)    varint directory ino, byte string name, varint ino (0 = no such name), u8 kind
 *     u8 4 (xattrs)  varint ino, varint n, n × (byte string name, bytes value)
 *     u8 5 (origin)  varint ino, bytes: what the derived layer at the base needs to find the inode
 *     u8 6 (external)  varint blob, bytes: a host file as in the external table
 *
 * Origins and external blobs come first, because other effects may need them. Runs come before the record of the same
 * inode, because they change the map that the old record names.
 */
import type { BlobId, BlockIndex, Ino, Name, Run } from '../base/index.ts';
import { ByteReader, ByteWriter, DecodeError, isFileName } from '../base/index.ts';
import {
  BLOCKS_END,
  dentryOf,
  type ExternalRecord,
  externalFormat,
  INO_END,
  INODE_FIXED_BYTES,
  type InodeRecord,
  inodeFormat,
  type Xattrs,
  xattrsFormat,
} from '../meta/index.ts';

const RUNS = 1;
const INODE = 2;
const NAME = 3;
const XATTRS = 4;
const ORIGIN = 5;
const EXTERNAL = 6;

export function encodeRuns(writer: ByteWriter, ino: Ino, runs: readonly Run[]): void {
  writer.u8(RUNS).varint(ino).varint(runs.length);
  for (const run of runs) writer.varint(run.logical).varint(run.count).varint(run.blob).varint(run.physical);
}

export function encodeOrigin(writer: ByteWriter, ino: Ino, origin: Uint8Array): void {
  writer.u8(ORIGIN).varint(ino).bytes(origin);
}

export function encodeExternalEffect(writer: ByteWriter, blob: BlobId, external: ExternalRecord): void {
  const row = new ByteWriter();
  externalFormat.write(row, external);
  writer.u8(EXTERNAL).varint(blob).bytes(row.view());
}

export function encodeInodeEffect(writer: ByteWriter, ino: Ino, record: InodeRecord): void {
  writer
    .u8(INODE)
    .varint(ino)
    .varint(INODE_FIXED_BYTES + record.target.length);
  inodeFormat.write(writer, record);
}

export function encodeName(writer: ByteWriter, directory: Ino, name: Name, ino: number, kind: number): void {
  writer.u8(NAME).varint(directory).byteString(name).varint(ino).u8(kind);
}

export function encodeXattrs(writer: ByteWriter, ino: Ino, xattrs: ReadonlyMap<string, Uint8Array>): void {
  xattrsFormat.write(writer.u8(XATTRS).varint(ino), xattrs);
}

export interface EffectVisitor {
  runs(ino: Ino, runs: readonly Run[]): void;
  inode(ino: Ino, record: InodeRecord): void;
  name(directory: Ino, name: Name, ino: Ino, kind: number): void;
  xattrs(ino: Ino, xattrs: Xattrs): void;
  origin(ino: Ino, origin: Uint8Array): void;
  external(blob: BlobId, external: ExternalRecord): void;
}

/** Reads the effects of one record in order. DecodeError for a malformed payload. */
export function decodeEffects(payload: Buffer, visitor: EffectVisitor): void {
  const reader = new ByteReader(payload);
  while (!reader.isAtEnd) {
    const effect = reader.u8();
    const ino = reader.varint() as Ino;
    if (effect !== EXTERNAL && ino >= INO_END) throw new DecodeError(`${ino} is not an inode number`);
    if (effect === RUNS) visitor.runs(ino, decodeRuns(reader));
    else if (effect === INODE) visitor.inode(ino, inodeFormat.read(new ByteReader(reader.bytes())));
    else if (effect === NAME) {
      const name = reader.byteString();
      if (!isFileName(name)) throw new DecodeError('a name is not a file name');
      const named = dentryOf(reader.varint(), reader.u8());
      visitor.name(ino, name, named.ino, named.kind);
    } else if (effect === XATTRS) visitor.xattrs(ino, xattrsFormat.read(reader));
    else if (effect === ORIGIN) visitor.origin(ino, reader.bytes());
    // Here the first number is a blob's, not an inode's.
    else if (effect === EXTERNAL)
      visitor.external(Number(ino) as BlobId, externalFormat.read(new ByteReader(reader.bytes())));
    else throw new DecodeError(`unknown effect ${effect}`);
  }
}

function decodeRuns(reader: ByteReader): Run[] {
  const runs: Run[] = [];
  for (let count = reader.varint(); count > 0; count--) {
    const run = {
      logical: reader.varint() as BlockIndex,
      count: reader.varint(),
      blob: reader.varint() as BlobId,
      physical: reader.varint() as BlockIndex,
    };
    // A hole may reach any distance past the end of the file.
    const last = run.blob === 0 ? 0 : Math.max(run.logical, run.physical) + run.count;
    if (run.count === 0 || last > BLOCKS_END) throw new DecodeError('a run is empty or too long');
    runs.push(run);
  }
  return runs;
}
