/**
 * Bytes of a row of the origin table. A derived layer needs the row of an inode to find the inode again.
 * docs/format.md, "origin", draws the bytes.
 *
 * In a host tree:
 *
 *   varint  inode of the host file (see `hostIno` in the codec)
 *   i64     birth, seconds; u32 nanoseconds
 *   varint  part of the host's filesystem, see `HostPart`
 *   u8      1 when the file had one name on the host, else 0
 *   bytes   byte string: path from the root of the tree
 *   u32     mode of the file when the layer first recorded something about it; 0 if the file was already gone
 *   varint  size at that time
 *   i64     mtime at that time, seconds; u32 nanoseconds
 *
 * In a union:
 *
 *   varint  component
 *   varint  inode number in the component
 *   bytes   byte string: the origin of that number if a derived layer of the component gave out the number, else empty
 */
import {
  ByteReader,
  ByteWriter,
  DecodeError,
  FsError,
  type HostIno,
  type Ino,
  isFileName,
  type Timespec,
} from '../base/index.ts';
import { INO_END } from '../meta/index.ts';

/**
 * A part of a filesystem: inode numbers are unique only within a part. 0 is the part of the tree's root; `SUBVOLUMES`
 * plus n is subvolume n; `MOUNTED` is another filesystem, mounted inside the tree; `ELSEWHERE` is any other part, which
 * has no name that outlives a mount (an overlay's lower layers, older kernels' subvolumes).
 */
export type HostPart = number;

/** Greater than any st_dev (32 bits), since origins of older versions hold an st_dev in place of the part. */
export const MOUNTED: HostPart = 2 ** 40;
export const ELSEWHERE: HostPart = MOUNTED + 1;
export const SUBVOLUMES: HostPart = 2 ** 41;

/** A host file: where it was, and its state when the layer first recorded something about it. */
export interface HostOrigin {
  readonly hostIno: HostIno;
  readonly birthSeconds: number;
  readonly birthNanoseconds: number;
  readonly part: HostPart;
  /** True if the file had a single name on the host. */
  readonly hasOneName: boolean;
  /** Path from the root of the tree, a byte string. */
  readonly path: string;
  /** Mode of the file when the layer first recorded something about it; 0 if the file was already gone. */
  readonly mode: number;
  readonly sizeBytes: number;
  readonly modified: Timespec;
}

/** An inode of a component of a union. */
export interface UnionPart {
  readonly component: number;
  readonly ino: Ino;
}

export function encodeHostOrigin(origin: HostOrigin): Uint8Array {
  const { hostIno, birthSeconds, birthNanoseconds, part, hasOneName, path } = origin;
  const { mode, sizeBytes, modified } = origin;
  const writer = new ByteWriter(96);
  writer.hostIno(hostIno).i64(birthSeconds).u32(birthNanoseconds).varint(part);
  writer.u8(hasOneName ? 1 : 0).byteString(path);
  writer.u32(mode).varint(sizeBytes).i64(modified.seconds).u32(modified.nanoseconds);
  return writer.take();
}

/** Reads an origin; EIO when the origin is damaged. */
function decoded<T>(origin: Uint8Array, read: (reader: ByteReader) => T): T {
  const reader = new ByteReader(Buffer.from(origin));
  try {
    const found = read(reader);
    if (!reader.isAtEnd) throw new DecodeError('it is too long');
    return found;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    throw new FsError('EIO', { note: `the origin of an inode is damaged: ${error.message}; run fsck` });
  }
}

function pathBelow(path: string): string {
  if (path !== '' && !path.split('/').every(isFileName)) throw new DecodeError('its path leads elsewhere');
  return path;
}

/** EIO when the origin is damaged. */
export function decodeHostOrigin(origin: Uint8Array): HostOrigin {
  return decoded(origin, (reader) => ({
    hostIno: reader.hostIno(),
    birthSeconds: reader.i64(),
    birthNanoseconds: reader.u32(),
    part: reader.varint(),
    hasOneName: reader.u8() !== 0,
    path: pathBelow(reader.byteString()),
    mode: reader.u32(),
    sizeBytes: reader.varint(),
    modified: { seconds: reader.i64(), nanoseconds: reader.u32() },
  }));
}

export function encodeUnionOrigin({ component, ino }: UnionPart, inner: Uint8Array | undefined): Uint8Array {
  const writer = new ByteWriter(64);
  writer
    .varint(component)
    .varint(ino)
    .bytes(inner ?? new Uint8Array(0));
  return writer.take();
}

/** EIO when the origin is damaged. */
export function decodeUnionOrigin(origin: Uint8Array): { readonly part: UnionPart; readonly inner: Buffer } {
  return decoded(origin, (reader) => {
    const part = { component: reader.varint(), ino: reader.varint() as Ino }; // An encoded inode number.
    if (part.ino >= INO_END) throw new DecodeError(`${part.ino} is not an inode number`);
    return { part, inner: reader.bytes() };
  });
}
