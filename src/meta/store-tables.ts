/** The tables of the store as a whole: layers, trees, blobs, contents, counters, dropped space. */
import type { ByteReader, ByteWriter } from '../base/index.ts';
import { assert, NAME_BYTES_MAX } from '../base/index.ts';
import type { ContentRecord } from './content-format.ts';
import { decodeContent, encodeContent } from './content-format.ts';
import type { CounterName } from './counter-format.ts';
import { counterStart, decodeCounter, encodeCounter } from './counter-format.ts';
import { keyNumber, PART_AT, TABLE } from './key-format.ts';
import type { KeyRange, Rows } from './rows.ts';
import type { TreeRecord } from './tree-format.ts';
import { decodeTree, encodeTree } from './tree-format.ts';

/** All keys of one table. */
export function tableRange(table: number): KeyRange {
  return { start: Buffer.from([table]), end: Buffer.from([table + 1]) };
}

/** Rows by one number: a layer's or a blob's. */
export class NumberTable<Id extends number, Row> {
  private readonly rows: Rows;
  private readonly table: number;
  private readonly encode: (writer: ByteWriter, row: Row) => void;
  private readonly decode: (reader: ByteReader) => Row;

  constructor(
    rows: Rows,
    table: number,
    encode: (writer: ByteWriter, row: Row) => void,
    decode: (reader: ByteReader) => Row,
  ) {
    this.rows = rows;
    this.table = table;
    this.encode = encode;
    this.decode = decode;
  }

  get(id: Id): Row | undefined {
    this.rows.at(this.table).u64(id);
    return this.rows.find() ? this.rows.decode(this.decode) : undefined;
  }

  put(id: Id, row: Row): void {
    this.rows.at(this.table).u64(id);
    this.encode(this.rows.payload(), row);
    this.rows.put();
  }

  remove(id: Id): boolean {
    this.rows.at(this.table).u64(id);
    return this.rows.remove();
  }

  *entries(): Generator<[Id, Row]> {
    for (const key of this.rows.scan(tableRange(this.table))) {
      // Keys of this table were written with such a number.
      yield [keyNumber(key, PART_AT) as Id, this.rows.decode(this.decode)];
    }
  }
}

function isTreeKey(name: string): boolean {
  const bytes = Buffer.byteLength(name, 'utf8');
  return bytes > 0 && bytes <= NAME_BYTES_MAX;
}

/** Forks and snapshots by name. A name is text of 1 to 255 bytes of UTF-8. */
export class TreeTable {
  private readonly rows: Rows;

  constructor(rows: Rows) {
    this.rows = rows;
  }

  private at(name: string): void {
    assert(isTreeKey(name), `tree name has 1 to ${NAME_BYTES_MAX} bytes`);
    this.rows.at(TABLE.tree).raw(Buffer.from(name, 'utf8'));
  }

  /** Undefined where no tree has the name, also where none can have it. */
  get(name: string): TreeRecord | undefined {
    if (!isTreeKey(name)) return undefined;
    this.at(name);
    return this.rows.find() ? this.rows.decode(decodeTree) : undefined;
  }

  put(name: string, tree: TreeRecord): void {
    this.at(name);
    encodeTree(this.rows.payload(), tree);
    this.rows.put();
  }

  remove(name: string): boolean {
    this.at(name);
    return this.rows.remove();
  }

  /** In byte order of the names. */
  *entries(): Generator<[string, TreeRecord]> {
    for (const key of this.rows.scan(tableRange(TABLE.tree)))
      yield [key.toString('utf8', PART_AT), this.rows.decode(decodeTree)];
  }
}

const SHA256_BYTES = 32;

/** Where a file's content already lies, by SHA-256 and size. */
export class ContentTable {
  private readonly rows: Rows;

  constructor(rows: Rows) {
    this.rows = rows;
  }

  private at(hash: Uint8Array, sizeBytes: number): void {
    assert(hash.length === SHA256_BYTES, 'a SHA-256 has 32 bytes');
    this.rows.at(TABLE.content).raw(hash).u64(sizeBytes);
  }

  get(hash: Uint8Array, sizeBytes: number): ContentRecord | undefined {
    this.at(hash, sizeBytes);
    return this.rows.find() ? this.rows.decode(decodeContent) : undefined;
  }

  put(hash: Uint8Array, sizeBytes: number, content: ContentRecord): void {
    this.at(hash, sizeBytes);
    encodeContent(this.rows.payload(), content);
    this.rows.put();
  }

  remove(hash: Uint8Array, sizeBytes: number): boolean {
    this.at(hash, sizeBytes);
    return this.rows.remove();
  }

  *entries(): Generator<{
    readonly hash: Buffer;
    readonly sizeBytes: number;
    readonly content: ContentRecord;
  }> {
    for (const key of this.rows.scan(tableRange(TABLE.content))) {
      yield {
        hash: key.subarray(PART_AT, PART_AT + SHA256_BYTES),
        sizeBytes: keyNumber(key, PART_AT + SHA256_BYTES),
        content: this.rows.decode(decodeContent),
      };
    }
  }
}

export class CounterTable {
  private readonly rows: Rows;

  constructor(rows: Rows) {
    this.rows = rows;
  }

  get(name: CounterName): number {
    this.rows.at(TABLE.counter).name(name);
    return this.rows.find() ? this.rows.decode(decodeCounter) : counterStart(name);
  }

  put(name: CounterName, value: number): void {
    this.rows.at(TABLE.counter).name(name);
    encodeCounter(this.rows.payload(), value);
    this.rows.put();
  }

  /** Takes `count` numbers; returns the first of them. Only inside a transaction. */
  allocate(name: CounterName, count: number): number {
    assert(Number.isInteger(count) && count > 0, `cannot take ${count} numbers`);
    assert(this.rows.isInTransaction, 'numbers are taken inside a transaction');
    const first = this.get(name);
    assert(first + count <= Number.MAX_SAFE_INTEGER, `counter ${name} has numbers left`);
    this.put(name, first + count);
    return first;
  }
}
