/**
 * Garbage collection: frees the layers that no tree stands on, and the blobs and blocks that no layer refers to.
 *
 * There are two steps, so that no process loses what it still relies on:
 *
 *   drop   marks unreachable layers, blobs and blocks as dropped, in a new epoch. Later lookups do not find them.
 *   reap   frees what this run or an earlier run has dropped, once no living lease is older than the drop and a new
 *          mark, made after the leases were read, still finds no reference to it.
 *
 * Races. A process publishes its lease before it reads rows, so a process that could know a dropped block has an older
 * lease. The only reference to a block may be in a journal that no checkpoint has stored. Journals of dead owners are
 * stored before the mark. A living owner's lease protects the blocks that the owner may have known, and the owner
 * undrops the blocks that it refers to (`undrop` in layer/) before its lease moves up (`OpenTrees`), before it hands a
 * block to another fork, and when it opens a layer. A living LayerBuilder has no lease and finds content by hash, so
 * while one exists nothing is dropped or reaped; the drop removes the content rows, so that no later builder finds
 * dropped content.
 *
 * Order of the reap: leases → builders → journals → mark. A process that starts after the leases were read knows only
 * reachable blocks. A process that dies after the leases were read leaves a journal. The reap stores that journal
 * before the mark, so the mark sees its references.
 */
import {
  BLOCK_SIZE,
  type BlobId,
  blocksFor,
  isFsError,
  type LayerId,
  type Range,
  RangeSet,
} from '../base/index.ts';
import { dataSegments } from '../extent/index.ts';
import type { BlobRecord, DroppedRecord } from '../meta/index.ts';
import { LayerLock, livingLeases, type StoreEngine } from '../store/index.ts';
import { sealLeftovers, storeDeadJournals, sweepFiles } from './leftovers.ts';
import { Marking, type Marks } from './marking.ts';

export interface GcReport {
  readonly layersRemoved: number;
  readonly blobsRemoved: number;
  readonly rangesPunched: number;
  /** Disk space freed, in bytes; the space of removed rows stays in the tables for later rows. */
  readonly bytesFreed: number;
  /** Blobs whose checksums this run computed, because the process that froze them did not finish. */
  readonly blobsSealed: number;
  /** Files that a crash had left behind, and that this run removed. */
  readonly filesRemoved: number;
  /** Dropped layers that could not be freed yet. */
  readonly layersWaiting: number;
  /** Dropped blobs that could not be freed yet. */
  readonly blobsWaiting: number;
  /** Numbers of the processes that may still use dropped space. */
  readonly waitingFor: readonly number[];
  /** True if the run met an import or a dedupe under way. From then on it dropped and reaped nothing. */
  readonly isImportRunning: boolean;
  /** Forks whose journals could not be read, each with the problem. If there are any, nothing was freed. */
  readonly unreadableForks: readonly string[];
}

type Counts = { -readonly [Field in keyof GcReport]: GcReport[Field] };

/** Number of blocks that are punched between two looks at the clock, 16 MiB. */
const PIECE_BLOCKS = 4096;

/** Flattens chains that are too long, then frees unused space. ERR_STORE_CORRUPT when a necessary row is damaged. */
export function collectGarbage(engine: StoreEngine): GcReport {
  engine.requireOpen('gc');
  engine.tables.requireWritable();
  return engine.reserve.during(() => {
    engine.flattener.flattenAll();
    return new Collection(engine).run();
  });
}

/** Blocks to drop; an empty list of ranges means the whole blob. */
interface Candidate {
  readonly blob: BlobId;
  readonly ranges: Range[];
}

class Collection {
  private readonly engine: StoreEngine;
  private readonly marking: Marking;
  private readonly report: Counts = {
    layersRemoved: 0,
    blobsRemoved: 0,
    rangesPunched: 0,
    bytesFreed: 0,
    blobsSealed: 0,
    filesRemoved: 0,
    layersWaiting: 0,
    blobsWaiting: 0,
    waitingFor: [],
    isImportRunning: false,
    unreadableForks: [],
  };

  constructor(engine: StoreEngine) {
    this.engine = engine;
    this.marking = new Marking(engine.tables, engine.directory);
  }

  run(): GcReport {
    const { engine, report } = this;
    for (const tree of engine.openTrees.forks) tree.checkpoint();
    report.unreadableForks = storeDeadJournals(engine);
    report.blobsSealed = sealLeftovers(engine);
    if (hasLivingBuilder(engine)) report.isImportRunning = true;
    else if (report.unreadableForks.length === 0) this.drop();
    engine.openTrees.settleLease();
    this.reap();
    report.filesRemoved = sweepFiles(engine);
    engine.openTrees.letGoOfRemoved();
    return report;
  }

  // Dropping.

  private drop(): void {
    const marks = this.marking.mark();
    const layers: LayerId[] = [];
    for (const [layer, record] of this.engine.tables.layers.entries()) {
      if (!marks.layers.has(layer) && record.droppedEpoch === undefined) layers.push(layer);
    }
    const candidates = this.candidates(marks);
    if (layers.length === 0 && candidates.length === 0) return;
    const contents = this.contentsOf(candidates);
    const { tables } = this.engine;
    this.inSlices(contents, ({ hash, sizeBytes }) => tables.contents.remove(hash, sizeBytes));
    this.inSlices(candidates, ({ blob, ranges }, epoch) => tables.dropped.put(blob, { epoch, ranges }));
    this.inSlices(layers, (layer, epoch) => {
      const record = tables.layers.get(layer);
      if (record !== undefined) tables.layers.put(layer, { ...record, droppedEpoch: epoch });
    });
  }

  /**
   * Calls `change` for each item, in slices, each a transaction with an epoch of its own. Stops when an import begins.
   * An import that a slice does not see begins after the slice, so its builder does not find the removed rows.
   */
  private inSlices<T>(items: readonly T[], change: (item: T, epoch: number) => void): void {
    const { tables } = this.engine;
    let next = 0;
    while (next < items.length && !this.report.isImportRunning) {
      tables.renew();
      const builders = tables.counters.get('builders');
      const hasBuilder = hasLivingBuilder(this.engine);
      tables.slice((isSpent) => {
        if (hasBuilder || tables.counters.get('builders') !== builders) {
          this.report.isImportRunning = true;
          return;
        }
        const epoch = tables.allocate('epoch') + 1;
        do change(items[next++]!, epoch);
        while (next < items.length && !isSpent());
      });
    }
  }

  private candidates(marks: Marks): Candidate[] {
    const { tables } = this.engine;
    const candidates: Candidate[] = [];
    for (const [blob, record] of tables.blobs.entries()) {
      if (isInUse(record, marks)) continue;
      const dropped = tables.dropped.get(blob);
      const live = marks.blocks.get(blob);
      if (live === undefined) {
        if (dropped === undefined || dropped.ranges.length > 0) candidates.push({ blob, ranges: [] });
      } else if (dropped === undefined && record.state === 'sealed') {
        const ranges = this.deadRanges(blob, record, live);
        if (ranges.length > 0) candidates.push({ blob, ranges });
      }
    }
    for (const table of tables.elsewhere) {
      for (const [blob] of table.entries()) {
        if (marks.blocks.has(blob) || tables.dropped.get(blob) !== undefined) continue;
        candidates.push({ blob, ranges: [] });
      }
    }
    return candidates;
  }

  /** The dead blocks of a blob that still take space; none if the host cannot punch holes. */
  private deadRanges(blob: BlobId, record: BlobRecord, live: RangeSet): Range[] {
    const { system, blobs } = this.engine;
    if (system.kind !== 'native') return [];
    const gaps = live.gaps(0, record.lengthBlocks);
    if (gaps.length === 0) return [];
    let fd: number;
    try {
      fd = blobs.descriptor(blob);
    } catch (error) {
      // The blob's file is missing. fsck reports that.
      if (isFsError(error)) return [];
      throw error;
    }
    const calls = {
      seekData: (position: number) => system.seekData(fd, position),
      seekHole: (position: number) => system.seekHole(fd, position),
    };
    return gaps.flatMap(({ start, end }) =>
      dataSegments(calls, end * BLOCK_SIZE, start * BLOCK_SIZE).map((segment) => ({
        start: segment.start / BLOCK_SIZE,
        end: segment.end / BLOCK_SIZE,
      })),
    );
  }

  /** The content rows that refer to blocks of the candidates. */
  private contentsOf(candidates: readonly Candidate[]): { hash: Buffer; sizeBytes: number }[] {
    const dead = new Map<BlobId, RangeSet | undefined>();
    for (const { blob, ranges } of candidates) {
      const set = ranges.length === 0 ? undefined : new RangeSet();
      for (const { start, end } of ranges) set?.add(start, end);
      dead.set(blob, set);
    }
    const contents: { hash: Buffer; sizeBytes: number }[] = [];
    for (const { hash, sizeBytes, content } of this.engine.tables.contents.entries()) {
      if (!dead.has(content.blob)) continue;
      const set = dead.get(content.blob);
      const end = content.physical + blocksFor(sizeBytes);
      if (set === undefined || set.intersects(content.physical, end))
        contents.push({ hash: Buffer.from(hash), sizeBytes });
    }
    return contents;
  }

  // Reaping.

  private reap(): void {
    const { engine, report } = this;
    const leases = livingLeases(engine.system, engine.layout.runDirectory);
    if (hasLivingBuilder(engine)) report.isImportRunning = true;
    report.unreadableForks = storeDeadJournals(engine);
    const marks = this.marking.mark();
    const oldest = Math.min(...leases.map((lease) => lease.epoch), Number.MAX_SAFE_INTEGER);
    const isHeldBack = report.isImportRunning || report.unreadableForks.length > 0;
    const mayReap = (epoch: number): boolean => !isHeldBack && epoch <= oldest;
    let newestWaiting = -1;
    for (const { layer, epoch } of this.droppedLayers(marks)) {
      if (mayReap(epoch) && this.removeLayer(layer)) continue;
      report.layersWaiting++;
      newestWaiting = Math.max(newestWaiting, epoch);
    }
    const due: [BlobId, DroppedRecord][] = [];
    for (const [blob, dropped] of engine.tables.dropped.entries()) {
      if (mayReap(dropped.epoch)) due.push([blob, dropped]);
      else {
        report.blobsWaiting++;
        newestWaiting = Math.max(newestWaiting, dropped.epoch);
      }
    }
    report.waitingFor = [
      ...new Set(leases.filter(({ epoch }) => epoch < newestWaiting).map(({ pid }) => pid)),
    ];
    this.reapBlobs(due, marks);
  }

  /** Dropped layers, uppermost first, so that a crash between two removals leaves no layer without its parent. */
  private droppedLayers(marks: Marks): { readonly layer: LayerId; readonly epoch: number }[] {
    const dropped: { layer: LayerId; epoch: number; depth: number }[] = [];
    for (const [layer, { droppedEpoch, depth }] of this.engine.tables.layers.entries()) {
      if (droppedEpoch !== undefined && !marks.layers.has(layer))
        dropped.push({ layer, epoch: droppedEpoch, depth });
    }
    return dropped.sort((a, b) => b.depth - a.depth);
  }

  /** Removes a layer with its rows and its journal. Returns false if another process has the journal locked. */
  private removeLayer(layer: LayerId): boolean {
    const { system, layout, tables } = this.engine;
    let lock: LayerLock | undefined;
    try {
      lock = LayerLock.takeExisting(system, layout.journalPath(layer));
    } catch (error) {
      if (isFsError(error, 'EBUSY')) return false;
      throw error;
    }
    try {
      tables.removeLayerRows(layer);
      tables.transaction(() => {
        const host = tables.layers.get(layer)?.host;
        if (host !== undefined) tables.hosts.remove(host, layer);
        tables.layers.remove(layer);
        tables.allocate('reaps');
      });
      this.report.layersRemoved++;
    } finally {
      lock?.release();
    }
    return true;
  }

  private reapBlobs(due: readonly [BlobId, DroppedRecord][], marks: Marks): void {
    const { tables, blobs } = this.engine;
    let next = 0;
    while (next < due.length) {
      const unlinked: BlobId[] = [];
      // Each slice is a transaction, so an `undrop` of another process comes before it or finds that the blob is gone.
      tables.slice((isSpent) => {
        do {
          const [blob, { epoch }] = due[next]!;
          const dropped = tables.dropped.get(blob);
          if (dropped?.epoch === epoch) {
            const rest = this.reapBlob(blob, dropped, marks, unlinked, isSpent);
            if (rest.length > 0) {
              tables.dropped.put(blob, { epoch, ranges: rest });
              return;
            }
            tables.dropped.remove(blob);
          }
          next++;
        } while (next < due.length && !isSpent());
        if (unlinked.length > 0) tables.allocate('reaps');
      });
      for (const blob of unlinked) blobs.release(blob);
    }
  }

  /** Frees a blob or ranges of it. Returns the ranges that are still to be freed when the slice is over. */
  private reapBlob(
    blob: BlobId,
    dropped: DroppedRecord,
    marks: Marks,
    unlinked: BlobId[],
    isSpent: () => boolean,
  ): Range[] {
    const { tables, blobs } = this.engine;
    const record = tables.blobs.get(blob);
    const live = marks.blocks.get(blob);
    // The bytes of a blob that is not stored are in a host file, so only the row of the blob is removed.
    if (!blobs.isStored(blob) && live === undefined) for (const table of tables.elsewhere) table.remove(blob);
    if (record === undefined) return [];
    if (dropped.ranges.length > 0) return this.punch(blob, dropped.ranges, live, isSpent);
    // The blob is in use again: a journal that was not yet stored at the drop refers to it.
    if (live !== undefined || isInUse(record, marks)) return [];
    if (blobs.exists(blob)) this.report.bytesFreed += blobs.allocatedBytes(blob);
    blobs.unlinkNames(blob);
    unlinked.push(blob);
    tables.blobs.remove(blob);
    this.report.blobsRemoved++;
    return [];
  }

  private punch(
    blob: BlobId,
    ranges: readonly Range[],
    live: RangeSet | undefined,
    isSpent: () => boolean,
  ): Range[] {
    const { blobs } = this.engine;
    if (!blobs.exists(blob)) return [];
    const before = blobs.allocatedBytes(blob);
    const pieces = piecesOf(ranges);
    let done = 0;
    do {
      const piece = pieces[done++]!;
      for (const { start, end } of live === undefined ? [piece] : live.gaps(piece.start, piece.end)) {
        if (blobs.punch(blob, start, end - start)) this.report.rangesPunched++;
      }
    } while (done < pieces.length && !isSpent());
    this.report.bytesFreed += Math.max(0, before - blobs.allocatedBytes(blob));
    return pieces.slice(done);
  }
}

/** Ranges of at most `PIECE_BLOCKS` each. */
function piecesOf(ranges: readonly Range[]): Range[] {
  const pieces: Range[] = [];
  for (const { start, end } of ranges) {
    for (let at = start; at < end; at += PIECE_BLOCKS) {
      pieces.push({ start: at, end: Math.min(end, at + PIECE_BLOCKS) });
    }
  }
  return pieces;
}

/**
 * True while a fork may append to the blob. Then gc leaves the blob alone, since only the fork's owner knows which
 * blocks are written but not yet in the tables.
 */
function isInUse(record: BlobRecord, marks: Marks): boolean {
  return record.state === 'active' && marks.layers.has(record.layer);
}

/** True while an import (which locks its layer) or a dedupe is under way, in this process or another. */
function hasLivingBuilder({ system, layout, tables }: StoreEngine): boolean {
  if (LayerLock.isHeld(system, layout.dedupeLockPath)) return true;
  for (const [layer, { state }] of tables.layers.entries()) {
    if (state === 'building' && LayerLock.isHeld(system, layout.journalPath(layer))) return true;
  }
  return false;
}
