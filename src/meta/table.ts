/**
 * The base class of tables whose rows all have the same format. A subclass gives `rows` the key of a row before it
 * reads or stores the row.
 */
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

  /** ERR_STORE_CORRUPT if the row that was found last, or its key, is not as this program writes it. */
  verify(key: Buffer): void {
    this.verifyKey(key);
    this.decode();
  }

  protected verifyKey(_key: Buffer): void {
    // Accepts every key. Subclasses that can check their keys override this.
  }

  protected store(row: Given): void {
    this.format.write(this.rows.payload(), row);
    this.rows.put();
  }
}
