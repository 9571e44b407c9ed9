/** The fields that rows of several tables are made of. A format writes a value to a row and reads it back. */
import {
  type ByteReader,
  type ByteWriter,
  DecodeError,
  type HostIno,
  type Ino,
  isFileName,
  type LayerId,
  type Timespec,
} from '../base/index.ts';

export interface Format<Row, Given = Row> {
  write(writer: ByteWriter, row: Given): void;
  read(reader: ByteReader): Row;
}

const VARINT: Format<number> = {
  write: (writer, value) => void writer.varint(value),
  read: (reader) => reader.varint(),
};

/** A varint. `N` is the branded type of the number. */
export function varint<N extends number>(): Format<N> {
  return VARINT as Format<N>; // A row holds what was written to it: numbers of that kind.
}

/**
 * A format that checks rows as they are read, because a row that Ramet never writes is damaged, or was made by others.
 * `problemOf` returns what is wrong with a row, or undefined.
 */
export function checked<Row, Given>(
  format: Format<Row, Given>,
  problemOf: (row: Row) => string | undefined,
): Format<Row, Given> {
  return {
    write: (writer, row) => format.write(writer, row),
    read(reader) {
      const row = format.read(reader);
      const problem = problemOf(row);
      if (problem !== undefined) throw new DecodeError(problem);
      return row;
    },
  };
}

/** A varint in [first, end); `N` is the branded type of the number, `what` its name in errors. */
export function numberIn<N extends number>(what: string, first: number, end: number): Format<N> {
  return checked(varint<N>(), (value) =>
    value < first || value >= end ? `${what} ${value} is not in [${first}, ${end})` : undefined,
  );
}

/** Inode numbers that the store gives out are below 2^48, derived numbers below 2^49 (`derived-numbers` in `lower`). */
export const INO_END = 2 ** 49;
/** Layer numbers, and other numbers that counters give out, are below this. */
export const COUNTED_END = 2 ** 48;
/** The number of blocks of a file of 2^53 bytes; block numbers are below this. */
export const BLOCKS_END = 2 ** 41;

export const rootIno = numberIn<Ino>('root inode', 1, INO_END);
export const layerNumber = numberIn<LayerId>('layer', 1, COUNTED_END);

export const hostIno: Format<HostIno> = {
  write: (writer, ino) => void writer.hostIno(ino),
  read: (reader) => reader.hostIno(),
};

export const byteString: Format<string> = {
  write: (writer, value) => void writer.byteString(value),
  read: (reader) => reader.byteString(),
};

/** The length in bytes, then the bytes. */
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
export const timespec: Format<Timespec> = checked(
  {
    write: (writer, { seconds, nanoseconds }) => void writer.i64(seconds).u32(nanoseconds),
    read: (reader) => ({ seconds: reader.i64(), nanoseconds: reader.u32() }),
  },
  ({ nanoseconds }) => (nanoseconds < 1e9 ? undefined : `a time has ${nanoseconds} nanoseconds`),
);

/** A path under some root: names with slashes between them, or nothing for the root itself. */
export const pathBelow: Format<string> = checked(byteString, (path) =>
  path === '' || path.split('/').every(isFileName) ? undefined : 'a path in it leads elsewhere',
);

/** A u8: 1 for the first of `names`, 2 for the second, and so on. */
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

/** A u8: 1 if the value follows, else 0. */
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
