/** A layer that no longer changes, as the lower of open trees. Shared by all trees of a process. */
import type { Ino, LayerId } from '../base/index.ts';
import type { LayerRecord, MetaTables } from '../meta/index.ts';

/** A layer with more inodes than this is asked through the table; the set would cost more memory than it saves time. */
const FILTER_INODES_MAX = 65_536;

export class FrozenLayer {
  readonly id: LayerId;
  readonly record: LayerRecord;
  private readonly tables: MetaTables;
  private filter: ReadonlySet<Ino> | undefined;
  private isFilterRead = false;

  constructor(tables: MetaTables, id: LayerId, record: LayerRecord, filter?: ReadonlySet<Ino>) {
    this.tables = tables;
    this.id = id;
    this.record = record;
    this.filter = filter;
    // A base layer holds nearly everything that is asked for: a filter would only cost memory.
    this.isFilterRead = filter !== undefined || record.parent === 0;
  }

  /**
   * False when the layer certainly has nothing of this inode. A layer that changes a name in a directory also holds
   * that directory's record, so one set of inode numbers answers for records and names alike.
   */
  mayHave(ino: Ino): boolean {
    if (!this.isFilterRead) this.readFilter();
    return this.filter === undefined || this.filter.has(ino);
  }

  private readFilter(): void {
    this.isFilterRead = true;
    const inos = new Set<Ino>();
    for (const ino of this.tables.inodes.inos(this.id)) {
      inos.add(ino);
      if (inos.size > FILTER_INODES_MAX) return;
    }
    this.filter = inos;
  }
}
