/** The tables of the store as a whole: layers, trees, blobs, contents, counters, dropped space, host directories. */
import { assert, isFileName, type LayerId, NAME_BYTES_MAX, nameToString } from '../base/index.ts';
import { type ContentRecord, contentFormat } from './content-format.ts';
import { COUNTER_STARTS, type CounterName, counterFormat } from './counter-format.ts';
import { hostLayersFormat } from './host-format.ts';
import { PART_AT, TABLE } from './key-format.ts';
import { type HostSource, type LayerRecord, layerFormat, layersUnder } from './layer-format.ts';
import type { Rows } from './rows.ts';
import { Table, tableRange } from './table.ts';
import { type TreeRecord, treeFormat } from './tree-format.ts';

/** A table whose key is one number: that of a layer or of a blob. */
export class NumberTable<Id extends number, Row> extends Table<Row> {
  get(id: Id): Row | undefined {
    this.rows.at(this.table).u64(id);
    return this.rows.find() ? this.decode() : undefined;
  }

  put(id: Id, row: Row): void {
    this.rows.at(this.table).u64(id);
    this.store(row);
  }

  remove(id: Id): boolean {
    this.rows.at(this.table).u64(id);
    return this.rows.remove();
  }

  protected override verifyKey(key: Buffer): void {
    this.rows.numberIn(key, PART_AT);
  }

  *entries(): Generator<[Id, Row]> {
    for (const key of this.rows.scan(tableRange(this.table))) {
      // The cast: `put` wrote an `Id` into the key.
      yield [this.rows.numberIn(key, PART_AT) as Id, this.decode()];
    }
  }
}

export class LayerTable extends NumberTable<LayerId, LayerRecord> {
  constructor(rows: Rows) {
    super(rows, TABLE.layer, layerFormat);
  }

  /**
   * The row of a layer. ERR_STORE_CORRUPT unless its depth is greater than that of each layer directly under it, so
   * that a walk down from layer to layer always ends.
   */
  override get(layer: LayerId): LayerRecord | undefined {
    const record = this.unchecked(layer);
    if (record === undefined) return undefined;
    for (const under of layersUnder(record)) {
      const below = this.unchecked(under);
      if (below !== undefined && below.depth >= record.depth)
        throw this.rows.corrupt(`layer ${layer} stands on layer ${under}, which is not below it`);
    }
    return record;
  }

  /** Like `get`, without the check of the depths: for fsck. */
  unchecked(layer: LayerId): LayerRecord | undefined {
    return super.get(layer);
  }
}

function isTreeKey(name: string): boolean {
  const bytes = Buffer.byteLength(name, 'utf8');
  return bytes > 0 && bytes <= NAME_BYTES_MAX;
}

/** Forks and snapshots by name. A name is text of 1 to 255 bytes of UTF-8. */
export class TreeTable extends Table<TreeRecord> {
  constructor(rows: Rows) {
    super(rows, TABLE.tree, treeFormat);
  }

  private at(name: string): void {
    assert(isTreeKey(name), `tree name has 1 to ${NAME_BYTES_MAX} bytes`);
    this.rows.at(TABLE.tree).raw(Buffer.from(name, 'utf8'));
  }

  /** Undefined if no tree has this name, or if no tree can have it. */
  get(name: string): TreeRecord | undefined {
    if (!isTreeKey(name)) return undefined;
    this.at(name);
    return this.rows.find() ? this.decode() : undefined;
  }

  put(name: string, tree: TreeRecord): void {
    this.at(name);
    this.store(tree);
  }

  remove(name: string): boolean {
    this.at(name);
    return this.rows.remove();
  }

  protected override verifyKey(key: Buffer): void {
    this.nameIn(key);
  }

  private nameIn(key: Buffer): string {
    const name = key.toString('latin1', PART_AT);
    if (!isFileName(name)) throw this.rows.badKey(key);
    return nameToString(name);
  }

  /** All trees, in byte order of their names. */
  *entries(): Generator<[string, TreeRecord]> {
    for (const key of this.rows.scan(tableRange(TABLE.tree))) yield [this.nameIn(key), this.decode()];
  }
}

const SHA256_BYTES = 32;

/** Says where content is stored. Its keys are the content's SHA-256 and size. */
export class ContentTable extends Table<ContentRecord> {
  constructor(rows: Rows) {
    super(rows, TABLE.content, contentFormat);
  }

  private at(hash: Uint8Array, sizeBytes: number): void {
    assert(hash.length === SHA256_BYTES, 'a SHA-256 has 32 bytes');
    this.rows.at(TABLE.content).raw(hash).u64(sizeBytes);
  }

  get(hash: Uint8Array, sizeBytes: number): ContentRecord | undefined {
    this.at(hash, sizeBytes);
    return this.rows.find() ? this.decode() : undefined;
  }

  put(hash: Uint8Array, sizeBytes: number, content: ContentRecord): void {
    this.at(hash, sizeBytes);
    this.store(content);
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
        sizeBytes: this.rows.numberIn(key, PART_AT + SHA256_BYTES),
        content: this.decode(),
      };
    }
  }
}

export class CounterTable extends Table<number> {
  constructor(rows: Rows) {
    super(rows, TABLE.counter, counterFormat);
  }

  get(name: CounterName): number {
    this.rows.at(TABLE.counter).name(name);
    return this.rows.find() ? this.decode() : COUNTER_STARTS[name];
  }

  put(name: CounterName, value: number): void {
    this.rows.at(TABLE.counter).name(name);
    this.store(value);
  }
}

/**
 * The layers that stand for host directories. The key is the directory's inode number and birth time, and whether the
 * layer is pinned. A directory in a copy of a filesystem, or in a snapshot of a subvolume, has the same number and time
 * as the original, so several layers may share a key.
 */
export class HostTable extends Table<LayerId[], readonly LayerId[]> {
  constructor(rows: Rows) {
    super(rows, TABLE.host, hostLayersFormat);
  }

  private at({ ino, birth, isPinned }: HostSource): void {
    const key = this.rows.at(TABLE.host).hostIno(ino);
    key.u64(Math.max(0, birth?.seconds ?? 0)).u32(birth?.nanoseconds ?? 0);
    key.raw(isPinned ? PINNED : NOT_PINNED);
  }

  get(source: HostSource): LayerId[] {
    this.at(source);
    return this.rows.find() ? this.decode() : [];
  }

  add(source: HostSource, layer: LayerId): void {
    this.put(source, [...this.get(source), layer]);
  }

  remove(source: HostSource, layer: LayerId): void {
    this.put(
      source,
      this.get(source).filter((other) => other !== layer),
    );
  }

  private put(source: HostSource, layers: readonly LayerId[]): void {
    this.at(source);
    if (layers.length > 0) this.store(layers);
    else this.rows.remove();
  }
}

const PINNED = Buffer.from([1]);
const NOT_PINNED = Buffer.from([0]);
