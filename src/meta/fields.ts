/** The fields that rows of several tables are made of. A format writes a value to a row and reads it back. */
import { type ByteReader, type ByteWriter, DecodeError, type HostIno, type Timespec } from '../base/index.ts';

export interface Format<Row, Given = Row> {
  write(writer: ByteWriter, row: Given): void;
  read(reader: ByteReader): Row;
}

const VARINT: Format<number> = {
  write: (writer, value) => void writer.varint(value),
  read: (reader) => reader.varint(),
};

/** A varint; `N` is the kind of number. */
export function varint<N extends number>(): Format<N> {
  return VARINT as Format<N>; // A row holds what was written to it: numbers of that kind.
}

export const hostIno: Format<HostIno> = {
  write: (writer, ino) => void writer.hostIno(ino),
  read: (reader) => reader.hostIno(),
};

export const byteString: Format<string> = {
  write: (writer, value) => void writer.byteString(value),
  read: (reader) => reader.byteString(),
};

/** Bytes with their length before them. */
export const bytes: Format<Buffer, Uint8Array> = {
  write: (writer, value) => void writer.bytes(value),
  read: (reader) => reader.bytes(),
};

/** A u8: 1 for true. */
export const flag: Format<boolean> = {
  write: (writer, value) => void writer.u8(value ? 1 : 0),
  read: (reader) => reader.u8() !== 0,
};

/** i64 seconds since the epoch, negative before it; u32 nanoseconds. */
export const timespec: Format<Timespec> = {
  write: (writer, { seconds, nanoseconds }) => void writer.i64(seconds).u32(nanoseconds),
  read: (reader) => ({ seconds: reader.i64(), nanoseconds: reader.u32() }),
};

/** A u8: 1 for the first of `names`. */
export function oneOf<Name extends string>(what: string, ...names: readonly Name[]): Format<Name> {
  return {
    write: (writer, name) => void writer.u8(names.indexOf(name) + 1),
    read(reader) {
      const name = names[reader.u8() - 1];
      if (name === undefined) throw new DecodeError(`${what} is unknown`);
      return name;
    },
  };
}

/** A u8, 1 when the value follows, else 0. */
export function optional<T>(format: Format<T>): Format<T | undefined> {
  return {
    write(writer, value) {
      flag.write(writer, value !== undefined);
      if (value !== undefined) format.write(writer, value);
    },
    read: (reader) => (flag.read(reader) ? format.read(reader) : undefined),
  };
}

/** A varint count, then that many values. */
export function list<T>(format: Format<T>): Format<T[], readonly T[]> {
  return {
    write(writer, values) {
      writer.varint(values.length);
      for (const value of values) format.write(writer, value);
    },
    read(reader) {
      const values: T[] = [];
      for (let count = reader.varint(); count > 0; count--) values.push(format.read(reader));
      return values;
    },
  };
}

/** Fields in the order in which they are listed. */
export function record<Row extends object>(
  fields: {
    readonly [Key in keyof Row]-?: Format<Row[Key]>;
  },
): Format<Row> {
  // The keys of an object literal are those of its type.
  const keys = Object.keys(fields) as (keyof Row)[];
  return {
    write(writer, row) {
      for (const key of keys) fields[key].write(writer, row[key]);
    },
    read(reader) {
      const row: Partial<Row> = {};
      for (const key of keys) row[key] = fields[key].read(reader);
      return row as Row; // Every field was read.
    },
  };
}
