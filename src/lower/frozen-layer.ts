/** A layer that no longer changes, as a lower layer of open trees. All trees of a process share it. */
import { BLOCK_SIZE, CHUNK_BLOCKS, type Ino, type LayerId, type Name, type Run } from '../base/index.ts';
import type { DentryRecord, InodeRecord, LayerRecord, MetaTables, NamedDentry } from '../meta/index.ts';
import { type InoFilter, inoFilter } from './ino-filter.ts';
import type { InoSet } from './ino-set.ts';
import type { Lower } from './lower.ts';

/** How many lookups a layer misses before it first tries to make a filter. */
const MISSES_FIRST = 16;
/**
 * How many inodes a layer may read to make a filter, for each miss so far. To read one takes about a third of the time
 * of a miss.
 */
const INODES_PER_MISS = 8;

export class FrozenLayer implements Lower {
  readonly id: LayerId;
  readonly isLive = false;
  private readonly tables: MetaTables;
  /** True when no layer is below. Such a layer has nearly everything that is looked up, so it gets no filter. */
  readonly isBase: boolean;
  private filter: InoFilter | undefined;
  private misses = 0;
  private nextLookAt = MISSES_FIRST;

  /** `stored`: all inodes that the layer has a record of, where they are known. */
  constructor(tables: MetaTables, id: LayerId, record: LayerRecord, stored?: InoSet) {
    this.tables = tables;
    this.id = id;
    this.isBase = record.parent === 0;
    if (stored !== undefined && !this.isBase) this.filter = inoFilter(stored, stored.size);
  }

  /**
   * A layer that changes a name in a directory also holds that directory's record, so one set of inode numbers answers
   * for records and names alike.
   */
  mayHave(ino: Ino): boolean {
    return this.filter === undefined || this.filter.has(ino);
  }

  inode(ino: Ino): InodeRecord | undefined {
    if (!this.mayHave(ino)) return undefined;
    const record = this.tables.inodes.get(this.id, ino);
    if (record === undefined) this.noteMiss();
    return record;
  }

  inos(): Iterable<Ino> {
    return this.tables.inodes.inos(this.id);
  }

  dentry(directory: Ino, name: Name): DentryRecord | undefined {
    if (!this.mayHave(directory)) return undefined;
    const dentry = this.tables.dentries.get(this.id, directory, name);
    if (dentry === undefined) this.noteMiss();
    return dentry;
  }

  list(directory: Ino): NamedDentry[] {
    return this.tables.dentries.list(this.id, directory);
  }

  names(directory: Ino): Name[] {
    return this.tables.dentries.names(this.id, directory);
  }

  runs(ino: Ino, sizeBytes: number): readonly Run[] {
    return storedRuns(this.tables, this.id, ino, sizeBytes);
  }

  xattrs(ino: Ino): Map<string, Buffer> | undefined {
    return this.tables.xattrs.get(this.id, ino);
  }

  /**
   * Makes the filter only after so many misses that reading all inodes of the layer pays, so that neither one lookup
   * through a hundred layers nor a million lookups through a large layer cost much.
   */
  private noteMiss(): void {
    if (this.isBase || this.filter !== undefined || ++this.misses < this.nextLookAt) return;
    const inosMax = this.nextLookAt * INODES_PER_MISS;
    this.nextLookAt *= 4;
    const inos: Ino[] = [];
    for (const ino of this.tables.inodes.inos(this.id)) {
      if (inos.length === inosMax) return;
      inos.push(ino);
    }
    this.filter = inoFilter(inos, inos.length);
  }
}

/** All runs of a file in a layer's rows. No run begins beyond the end of the file, so a small file has one row. */
export function storedRuns(
  { extents }: MetaTables,
  layer: LayerId,
  ino: Ino,
  sizeBytes: number,
): readonly Run[] {
  const isSmall = sizeBytes <= CHUNK_BLOCKS * BLOCK_SIZE;
  return (isSmall ? extents.loadFirst(layer, ino) : extents.load(layer, ino)) ?? [];
}
