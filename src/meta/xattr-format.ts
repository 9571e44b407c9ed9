/**
 * Bytes of a row of the xattr table, and nothing else: all extended attributes of one inode. Key: see key-format.
 *
 *   varint  count, then for each attribute in the order it was set:
 *   varint  length, then the bytes of the name with its namespace (`user.x`)
 *   varint  length, then the bytes of the value
 */
import type { ByteReader, ByteWriter } from '../base/index.ts';

/** Values by name; names are byte strings with their namespace. */
export type Xattrs = Map<string, Buffer>;

export function encodeXattrs(writer: ByteWriter, xattrs: ReadonlyMap<string, Uint8Array>): void {
  writer.varint(xattrs.size);
  for (const [name, value] of xattrs) writer.byteString(name).bytes(value);
}

export function decodeXattrs(reader: ByteReader): Xattrs {
  const xattrs: Xattrs = new Map();
  const count = reader.varint();
  for (let index = 0; index < count; index++) {
    const name = reader.byteString();
    xattrs.set(name, reader.bytes());
  }
  return xattrs;
}
