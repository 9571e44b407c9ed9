/** The tables whose keys begin with a layer: inodes, dentries, extents, xattrs, orphans. */
import type { Ino, LayerId, Name, Run } from '../base/index.ts';
import { assert } from '../base/index.ts';
import type { DentryRecord } from './dentry-format.ts';
import { decodeDentry, encodeDentry } from './dentry-format.ts';
import { decodeRuns, encodeRuns } from './extent-format.ts';
import type { InodeRecord } from './inode-format.ts';
import { decodeInode, encodeInode } from './inode-format.ts';
import { CHUNK_AT, INO_AT, KeyWriter, keyNumber, NAME_AT, TABLE } from './key-format.ts';
import type { KeyRange, Rows } from './rows.ts';
import type { Xattrs } from './xattr-format.ts';
import { decodeXattrs, encodeXattrs } from './xattr-format.ts';

const bound = new KeyWriter();

/** All keys of one table and one layer. */
export function layerRange(table: number, layer: LayerId): KeyRange {
  const start = Buffer.from(bound.start(table).u64(layer).view());
  const end = Buffer.from(
    bound
      .start(table)
      .u64(layer + 1)
      .view(),
  );
  return { start, end };
}

/** All keys of one table, one layer and one inode. */
export function inodeRange(table: number, layer: LayerId, ino: Ino): KeyRange {
  const start = Buffer.from(bound.start(table).u64(layer).u64(ino).view());
  const end = Buffer.from(
    bound
      .start(table)
      .u64(layer)
      .u64(ino + 1)
      .view(),
  );
  return { start, end };
}

/** The inode number in a per-layer key. */
export function inoOfKey(key: Buffer): Ino {
  return keyNumber(key, INO_AT) as Ino; // Every per-layer key was written with an inode number there.
}

/** The name in the key of a dentry. */
export function nameOfKey(key: Buffer): Name {
  return key.toString('latin1', NAME_AT) as Name; // A name is the bytes of its key, one character each.
}

export class InodeTable {
  private readonly rows: Rows;

  constructor(rows: Rows) {
    this.rows = rows;
  }

  get(layer: LayerId, ino: Ino): InodeRecord | undefined {
    const rows = this.rows;
    rows.at(TABLE.inode).u64(layer).u64(ino);
    if (!rows.find()) return undefined;
    return this.decode();
  }

  private decode(): InodeRecord {
    const rows = this.rows;
    try {
      return decodeInode(rows.bytes, rows.payloadStart, rows.payloadEnd);
    } catch (error) {
      throw rows.undecodable(error);
    }
  }

  put(layer: LayerId, ino: Ino, inode: InodeRecord): void {
    this.rows.at(TABLE.inode).u64(layer).u64(ino);
    encodeInode(this.rows.payload(), inode);
    this.rows.put();
  }

  /** False when there was none. */
  remove(layer: LayerId, ino: Ino): boolean {
    this.rows.at(TABLE.inode).u64(layer).u64(ino);
    return this.rows.remove();
  }

  /** The numbers of the inodes that a layer has a record of, tombstones too, in order. Rows are not looked at. */
  *inos(layer: LayerId): Generator<Ino> {
    for (const key of this.rows.scanKeys(layerRange(TABLE.inode, layer))) yield inoOfKey(key);
  }

  /** The inodes of a layer, tombstones too, in the order of their numbers. */
  *entries(layer: LayerId): Generator<[Ino, InodeRecord]> {
    for (const key of this.rows.scan(layerRange(TABLE.inode, layer))) yield [inoOfKey(key), this.decode()];
  }
}

/** A name and what it stands for. */
export interface NamedDentry {
  readonly name: Name;
  readonly dentry: DentryRecord;
}

/** A file's number and all of its runs. */
export interface InodeRuns {
  readonly ino: Ino;
  readonly runs: Run[];
}

export class DentryTable {
  private readonly rows: Rows;

  constructor(rows: Rows) {
    this.rows = rows;
  }

  /** The dentry of a name; a whiteout has inode 0. */
  get(layer: LayerId, directory: Ino, name: Name): DentryRecord | undefined {
    const rows = this.rows;
    rows.at(TABLE.dentry).u64(layer).u64(directory).name(name);
    if (!rows.find()) return undefined;
    return this.decode();
  }

  private decode(): DentryRecord {
    const rows = this.rows;
    try {
      return decodeDentry(rows.bytes, rows.payloadStart, rows.payloadEnd);
    } catch (error) {
      throw rows.undecodable(error);
    }
  }

  put(layer: LayerId, directory: Ino, name: Name, dentry: DentryRecord): void {
    this.rows.at(TABLE.dentry).u64(layer).u64(directory).name(name);
    encodeDentry(this.rows.payload(), dentry);
    this.rows.put();
  }

  /** False when there was none. */
  remove(layer: LayerId, directory: Ino, name: Name): boolean {
    this.rows.at(TABLE.dentry).u64(layer).u64(directory).name(name);
    return this.rows.remove();
  }

  /** The names in one directory of a layer, whiteouts too, in byte order. Rows are not looked at. */
  names(layer: LayerId, directory: Ino): Name[] {
    const names: Name[] = [];
    for (const key of this.rows.scanKeys(inodeRange(TABLE.dentry, layer, directory)))
      names.push(nameOfKey(key));
    return names;
  }

  /** Whether a layer has more than `count` names in a directory. */
  hasMoreThan(layer: LayerId, directory: Ino, count: number): boolean {
    return this.rows.hasMoreThan(inodeRange(TABLE.dentry, layer, directory), count);
  }

  /** The dentries in one directory of a layer, whiteouts too, in byte order of their names. */
  list(layer: LayerId, directory: Ino): NamedDentry[] {
    const dentries: NamedDentry[] = [];
    this.rows.each(inodeRange(TABLE.dentry, layer, directory), (key) => {
      dentries.push({ name: nameOfKey(key), dentry: this.decode() });
    });
    return dentries;
  }

  /** All dentries of a layer, by directory and name. */
  *entries(layer: LayerId): Generator<[directory: Ino, dentry: NamedDentry]> {
    for (const key of this.rows.scan(layerRange(TABLE.dentry, layer))) {
      yield [inoOfKey(key), { name: nameOfKey(key), dentry: this.decode() }];
    }
  }
}

/**
 * Runs of files. Extents are complete in the layer that holds the inode's record: a file there without any row here
 * is all hole.
 */
export class ExtentTable {
  private readonly rows: Rows;

  constructor(rows: Rows) {
    this.rows = rows;
  }

  private decodeInto(key: Buffer, runs: Run[]): void {
    const chunk = key.readUInt32BE(CHUNK_AT);
    this.rows.decode((reader) => decodeRuns(reader, chunk, runs));
  }

  /** All runs of a file, in order; undefined when the layer has no extent row for it. */
  load(layer: LayerId, ino: Ino): Run[] | undefined {
    let runs: Run[] | undefined;
    this.rows.each(inodeRange(TABLE.extent, layer, ino), (key) => {
      runs ??= [];
      this.decodeInto(key, runs);
    });
    return runs;
  }

  /** The runs of a file that start in its first chunk; undefined when there are none. */
  loadFirst(layer: LayerId, ino: Ino): Run[] | undefined {
    this.rows.at(TABLE.extent).u64(layer).u64(ino).u32(0);
    if (!this.rows.find()) return undefined;
    const runs: Run[] = [];
    this.rows.decode((reader) => decodeRuns(reader, 0, runs));
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

  /** Removes all rows of a file. Returns how many there were. */
  removeAll(layer: LayerId, ino: Ino): number {
    return this.rows.removeRange(inodeRange(TABLE.extent, layer, ino), Number.MAX_SAFE_INTEGER);
  }

  /** The files of a layer that have runs, each with all of its runs, in the order of their inode numbers. */
  *forLayer(layer: LayerId): Generator<InodeRuns> {
    let ino: Ino | undefined;
    let runs: Run[] = [];
    for (const key of this.rows.scan(layerRange(TABLE.extent, layer))) {
      const next = inoOfKey(key);
      if (next !== ino) {
        // The row at hand is decoded before the yield, which lets others read other rows.
        const nextRuns: Run[] = [];
        this.decodeInto(key, nextRuns);
        if (ino !== undefined) yield { ino, runs };
        ino = next;
        runs = nextRuns;
      } else {
        this.decodeInto(key, runs);
      }
    }
    if (ino !== undefined) yield { ino, runs };
  }
}

export class XattrTable {
  private readonly rows: Rows;

  constructor(rows: Rows) {
    this.rows = rows;
  }

  get(layer: LayerId, ino: Ino): Xattrs | undefined {
    this.rows.at(TABLE.xattr).u64(layer).u64(ino);
    return this.rows.find() ? this.rows.decode(decodeXattrs) : undefined;
  }

  put(layer: LayerId, ino: Ino, xattrs: ReadonlyMap<string, Uint8Array>): void {
    this.rows.at(TABLE.xattr).u64(layer).u64(ino);
    encodeXattrs(this.rows.payload(), xattrs);
    this.rows.put();
  }

  remove(layer: LayerId, ino: Ino): boolean {
    this.rows.at(TABLE.xattr).u64(layer).u64(ino);
    return this.rows.remove();
  }

  *entries(layer: LayerId): Generator<[Ino, Xattrs]> {
    for (const key of this.rows.scan(layerRange(TABLE.xattr, layer)))
      yield [inoOfKey(key), this.rows.decode(decodeXattrs)];
  }
}

/** Inodes that have no name any more and were still open. */
export class OrphanTable {
  private readonly rows: Rows;

  constructor(rows: Rows) {
    this.rows = rows;
  }

  has(layer: LayerId, ino: Ino): boolean {
    this.rows.at(TABLE.orphan).u64(layer).u64(ino);
    if (!this.rows.find()) return false;
    assert(this.rows.payloadStart === this.rows.payloadEnd, 'an orphan row has no payload');
    return true;
  }

  put(layer: LayerId, ino: Ino): void {
    this.rows.at(TABLE.orphan).u64(layer).u64(ino);
    this.rows.payload();
    this.rows.put();
  }

  remove(layer: LayerId, ino: Ino): boolean {
    this.rows.at(TABLE.orphan).u64(layer).u64(ino);
    return this.rows.remove();
  }

  *inos(layer: LayerId): Generator<Ino> {
    for (const key of this.rows.scan(layerRange(TABLE.orphan, layer))) yield inoOfKey(key);
  }
}
