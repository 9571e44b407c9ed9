/** The base class of tables whose rows have one format. A subclass first gives `rows` the key of a row. */
import type { Format } from './fields.ts';
import type { KeyRange, Rows } from './rows.ts';

/** All keys of one table. */
export function tableRange(table: number): KeyRange {
  return { start: Buffer.from([table]), end: Buffer.from([table + 1]) };
}

export class Table<Row, Given = Row> {
  protected readonly rows: Rows;
  protected readonly table: number;
  private readonly format: Format<Row, Given>;

  constructor(rows: Rows, table: number, format: Format<Row, Given>) {
    this.rows = rows;
    this.table = table;
    this.format = format;
  }

  /** Decodes the row that `rows` found last. */
  protected decode(): Row {
    return this.rows.decode(this.format);
  }

  /** ERR_STORE_CORRUPT when the row that was found last, or its key, is none that this program writes. */
  verify(key: Buffer): void {
    this.verifyKey(key);
    this.decode();
  }

  protected verifyKey(_key: Buffer): void {
    // Keys of a fixed form are checked where they differ.
  }

  protected store(row: Given): void {
    this.format.write(this.rows.payload(), row);
    this.rows.put();
  }
}
