/** The tables whose keys begin with a layer: inodes, dentries, extents, xattrs, orphans, origins. */
import { type Ino, isFileName, type LayerId, type Name, type Run } from '../base/index.ts';
import { type DentryRecord, dentryFormat } from './dentry-format.ts';
import { decodeRuns, encodeRuns } from './extent-format.ts';
import { type Format, INO_END } from './fields.ts';
import { type InodeRecord, inodeFormat } from './inode-format.ts';
import { CHUNK_AT, INO_AT, KeyWriter, NAME_AT, TABLE } from './key-format.ts';
import type { KeyRange, Rows } from './rows.ts';
import { Table } from './table.ts';

const bound = new KeyWriter();

/** All keys of one table and one layer. */
export function layerRange(table: number, layer: LayerId): KeyRange {
  const at = (id: number): Buffer => Buffer.from(bound.start(table).u64(id).view());
  return { start: at(layer), end: at(layer + 1) };
}

/** All keys of one table, one layer and one inode. */
function inodeRange(table: number, layer: LayerId, ino: Ino): KeyRange {
  const at = (number: number): Buffer => Buffer.from(bound.start(table).u64(layer).u64(number).view());
  return { start: at(ino), end: at(ino + 1) };
}

function inoOfKey(rows: Rows, key: Buffer): Ino {
  const ino = rows.numberIn(key, INO_AT);
  if (ino >= INO_END) throw rows.badKey(key);
  return ino as Ino; // Every per-layer key has an inode number there, as just checked.
}

/** The name in a key, one character a byte. Rejects names like '..' and 'a/b', which would lead a path elsewhere. */
function nameOfKey(rows: Rows, key: Buffer): Name {
  const name = key.toString('latin1', NAME_AT);
  if (!isFileName(name)) throw rows.badKey(key);
  return name;
}

function chunkOfKey(rows: Rows, key: Buffer): number {
  if (key.length !== CHUNK_AT + 4) throw rows.badKey(key);
  return key.readUInt32BE(CHUNK_AT);
}

/** Rows by layer and inode. */
export class InoTable<Row, Given = Row> extends Table<Row, Given> {
  get(layer: LayerId, ino: Ino): Row | undefined {
    this.rows.at(this.table).u64(layer).u64(ino);
    return this.rows.find() ? this.decode() : undefined;
  }

  put(layer: LayerId, ino: Ino, row: Given): void {
    this.rows.at(this.table).u64(layer).u64(ino);
    this.store(row);
  }

  /** False when there was no such row. */
  remove(layer: LayerId, ino: Ino): boolean {
    this.rows.at(this.table).u64(layer).u64(ino);
    return this.rows.remove();
  }

  protected override verifyKey(key: Buffer): void {
    inoOfKey(this.rows, key);
  }

  /** The rows of a layer, in the order of their inodes. */
  *entries(layer: LayerId): Generator<[Ino, Row]> {
    for (const key of this.rows.scan(layerRange(this.table, layer)))
      yield [inoOfKey(this.rows, key), this.decode()];
  }
}

/** Records of inodes, including tombstones. */
export class InodeTable extends InoTable<InodeRecord> {
  constructor(rows: Rows) {
    super(rows, TABLE.inode, inodeFormat);
  }

  /** The inodes that have a record in a layer, in the order of their numbers. Rows are not checked. */
  *inos(layer: LayerId): Generator<Ino> {
    for (const key of this.rows.scanKeys(layerRange(TABLE.inode, layer))) yield inoOfKey(this.rows, key);
  }
}

/** A name and its dentry. */
export interface NamedDentry {
  readonly name: Name;
  readonly dentry: DentryRecord;
}

/** Dentries, including whiteouts, which have inode 0. */
export class DentryTable extends Table<DentryRecord> {
  constructor(rows: Rows) {
    super(rows, TABLE.dentry, dentryFormat);
  }

  get(layer: LayerId, directory: Ino, name: Name): DentryRecord | undefined {
    this.rows.at(TABLE.dentry).u64(layer).u64(directory).name(name);
    return this.rows.find() ? this.decode() : undefined;
  }

  put(layer: LayerId, directory: Ino, name: Name, dentry: DentryRecord): void {
    this.rows.at(TABLE.dentry).u64(layer).u64(directory).name(name);
    this.store(dentry);
  }

  protected override verifyKey(key: Buffer): void {
    inoOfKey(this.rows, key);
    nameOfKey(this.rows, key);
  }

  /** False when there was no such row. */
  remove(layer: LayerId, directory: Ino, name: Name): boolean {
    this.rows.at(TABLE.dentry).u64(layer).u64(directory).name(name);
    return this.rows.remove();
  }

  /** The names in one directory of a layer, in byte order. Rows are not checked. */
  names(layer: LayerId, directory: Ino): Name[] {
    const names: Name[] = [];
    for (const key of this.rows.scanKeys(inodeRange(TABLE.dentry, layer, directory)))
      names.push(nameOfKey(this.rows, key));
    return names;
  }

  /** True when a layer has more than `count` names in a directory. */
  hasMoreThan(layer: LayerId, directory: Ino, count: number): boolean {
    return this.rows.hasMoreThan(inodeRange(TABLE.dentry, layer, directory), count);
  }

  /** The dentries in one directory of a layer, in byte order of their names. */
  list(layer: LayerId, directory: Ino): NamedDentry[] {
    const dentries: NamedDentry[] = [];
    this.rows.each(inodeRange(TABLE.dentry, layer, directory), (key) => {
      dentries.push({ name: nameOfKey(this.rows, key), dentry: this.decode() });
    });
    return dentries;
  }

  /** All dentries of a layer, by directory and name. */
  *entries(layer: LayerId): Generator<[directory: Ino, dentry: NamedDentry]> {
    for (const key of this.rows.scan(layerRange(TABLE.dentry, layer)))
      yield [inoOfKey(this.rows, key), { name: nameOfKey(this.rows, key), dentry: this.decode() }];
  }

  /** The directories in which a layer has names. Rows are not checked. */
  directories(layer: LayerId): Set<Ino> {
    const directories = new Set<Ino>();
    for (const key of this.rows.scanKeys(layerRange(TABLE.dentry, layer)))
      directories.add(inoOfKey(this.rows, key));
    return directories;
  }
}

/** A file's number and all of its runs. */
export interface InodeRuns {
  readonly ino: Ino;
  readonly runs: Run[];
}

/**
 * Runs of files. Extents are complete in the layer that holds the inode's record: if a layer has the record of a file
 * and no row here, the whole file is a hole.
 */
export class ExtentTable {
  private readonly rows: Rows;

  constructor(rows: Rows) {
    this.rows = rows;
  }

  private decodeInto(chunk: number, runs: Run[]): void {
    this.rows.decode({ read: (reader) => decodeRuns(reader, chunk, runs) });
  }

  /** Like `Table.verify`. Does not compare the row with other rows of the file. */
  verify(key: Buffer): void {
    inoOfKey(this.rows, key);
    this.decodeInto(chunkOfKey(this.rows, key), []);
  }

  /** All runs of a file, in order; undefined when the layer has no extent row for it. */
  load(layer: LayerId, ino: Ino): Run[] | undefined {
    let runs: Run[] | undefined;
    this.rows.each(inodeRange(TABLE.extent, layer, ino), (key) => {
      runs ??= [];
      this.decodeInto(chunkOfKey(this.rows, key), runs);
    });
    return runs;
  }

  /** The runs of a file that start in its first chunk; undefined when there are none. */
  loadFirst(layer: LayerId, ino: Ino): Run[] | undefined {
    this.rows.at(TABLE.extent).u64(layer).u64(ino).u32(0);
    if (!this.rows.find()) return undefined;
    const runs: Run[] = [];
    this.decodeInto(0, runs);
    return runs;
  }

  /** Stores the runs that start in one chunk, in place of those that were there. */
  putChunk(layer: LayerId, ino: Ino, chunk: number, runs: readonly Run[]): void {
    this.rows.at(TABLE.extent).u64(layer).u64(ino).u32(chunk);
    encodeRuns(this.rows.payload(), chunk, runs);
    this.rows.put();
  }

  removeChunk(layer: LayerId, ino: Ino, chunk: number): boolean {
    this.rows.at(TABLE.extent).u64(layer).u64(ino).u32(chunk);
    return this.rows.remove();
  }

  /** Removes all rows of a file. */
  removeAll(layer: LayerId, ino: Ino): void {
    this.rows.removeRange(inodeRange(TABLE.extent, layer, ino));
  }

  /** The files of a layer that have runs, each with all of its runs, in the order of their inode numbers. */
  *forLayer(layer: LayerId): Generator<InodeRuns> {
    let file: InodeRuns | undefined;
    for (const key of this.rows.scan(layerRange(TABLE.extent, layer))) {
      const ino = inoOfKey(this.rows, key);
      const before = file;
      if (file?.ino !== ino) file = { ino, runs: [] };
      // Decode the row before the yield: after that, the caller may read other rows.
      this.decodeInto(chunkOfKey(this.rows, key), file.runs);
      if (before !== undefined && before !== file) yield before;
    }
    if (file !== undefined) yield file;
  }
}

const EMPTY: Format<undefined> = { write: () => undefined, read: () => undefined };

/** Inodes that lost their last name while they were open. */
export class OrphanTable extends InoTable<undefined> {
  constructor(rows: Rows) {
    super(rows, TABLE.orphan, EMPTY);
  }

  override put(layer: LayerId, ino: Ino): void {
    super.put(layer, ino, undefined);
  }

  *inos(layer: LayerId): Generator<Ino> {
    for (const [ino] of this.entries(layer)) yield ino;
  }
}
