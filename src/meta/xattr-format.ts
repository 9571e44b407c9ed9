/**
 * Bytes of a row of the xattr table: all extended attributes of one inode. Key: see key-format.
 *
 *   varint  count, then for each attribute, in the order in which they were set:
 *   varint  length, then the bytes of the name with its namespace (`user.x`)
 *   varint  length, then the bytes of the value
 */
import { DecodeError, NAME_BYTES_MAX } from '../base/index.ts';
import type { Format } from './fields.ts';

/** Values by name; names are byte strings with their namespace. */
export type Xattrs = Map<string, Buffer>;

export const xattrsFormat: Format<Xattrs, ReadonlyMap<string, Uint8Array>> = {
  write(writer, xattrs) {
    writer.varint(xattrs.size);
    for (const [name, value] of xattrs) writer.byteString(name).bytes(value);
  },
  read(reader) {
    const xattrs: Xattrs = new Map();
    for (let count = reader.varint(); count > 0; count--) {
      const name = reader.byteString();
      if (name === '' || name.length > NAME_BYTES_MAX || name.includes('\0'))
        throw new DecodeError('the name of an attribute is invalid');
      xattrs.set(name, reader.bytes());
    }
    return xattrs;
  },
};
