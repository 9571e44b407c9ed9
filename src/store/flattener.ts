/**
 * Flattening in the background: shortens long chains in slices between the program's own events. It never keeps a
 * process alive: if the process ends first, the next process that opens the tree, or gc, does the rest.
 *
 * Flattening belongs to the store, not to upkeep, because an open store flattens by itself. If it were in upkeep,
 * everyone who opens a store would have to pass a hook for it.
 */
import { isFsError, type LayerId, StoreError } from '../base/index.ts';
import type { Lower } from '../lower/index.ts';
import { Flattening, type FlatteningParts } from './flattening.ts';

/**
 * A chain that has grown to this many times the limit is flattened at once, because the background has not got to it.
 */
const OVERRUN = 4;

export class Flattener {
  private readonly parts: FlatteningParts;
  private readonly layersMax: number;
  /** Called when flattening has put trees on a new layer. */
  private readonly onFlattened: () => void;
  /** The uppermost frozen layers of chains that are too long. */
  private readonly tops = new Set<LayerId>();
  private work: Flattening | undefined;
  private isScheduled = false;

  constructor(parts: FlatteningParts, layersMax: number, onFlattened: () => void) {
    this.parts = parts;
    this.layersMax = layersMax;
    this.onFlattened = onFlattened;
  }

  /** True while something is left to do. */
  get isBusy(): boolean {
    return this.work !== undefined || this.tops.size > 0;
  }

  /** Schedules flattening if a tree has too many frozen layers under it; they are given uppermost first. */
  look([top, ...others]: readonly Lower[]): void {
    if (top !== undefined) this.note(top.id, 1 + others.length);
  }

  /** Like `look`, for a chain that has just become longer. Flattens at once if the chain is far too long. */
  lookGrown(layers: readonly Lower[]): void {
    this.look(layers);
    if (layers.length > this.layersMax * OVERRUN) this.finish();
  }

  private note(top: LayerId, layerCount: number): void {
    if (layerCount <= this.layersMax) return;
    this.tops.add(top);
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled || !this.isBusy) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      this.step();
      this.schedule();
    }).unref();
  }

  /** Does one slice of the work. A chain that cannot be flattened now, say on a full disk, stays as it is and works. */
  private step(): void {
    try {
      this.work ??= this.next();
      if (this.work?.step() !== true) return;
      const isDone = this.work.finish();
      this.work = undefined;
      if (isDone) this.onFlattened();
    } catch (error) {
      this.work?.giveUp();
      this.work = undefined;
      if (!(isFsError(error) || error instanceof StoreError)) throw error;
    }
  }

  private next(): Flattening | undefined {
    for (const top of this.tops) {
      this.tops.delete(top);
      const work = Flattening.begin(this.parts, top, this.layersMax);
      if (work !== undefined) return work;
    }
    return undefined;
  }

  /** Flattens every chain of the store that is too long, at once. */
  flattenAll(): void {
    const { tables, chains } = this.parts;
    tables.renew();
    for (const { top, length } of chains.frozenTops()) this.note(top, length);
    this.finish();
  }

  /** Does all the work that is left before it returns. */
  finish(): void {
    while (this.isBusy) this.step();
  }

  stop(): void {
    this.tops.clear();
    this.work?.giveUp();
    this.work = undefined;
  }
}
