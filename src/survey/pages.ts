/** The pages of one file: where each lies, which other trees show it, and whether it is in memory. */
import {
  BLOCK_SIZE,
  type BlobId,
  blocksFor,
  FsError,
  type Ino,
  isDirectoryMode,
  isFileMode,
  isFsError,
  type LayerId,
  nameToString,
  type Run,
} from '../base/index.ts';
import { isExternal } from '../blob/index.ts';
import { ExtentMap } from '../extent/index.ts';
import { dataRuns, isDerived, type Lower, UnionLayer } from '../lower/index.ts';
import { type StoredTree, type StoreEngine, storedTrees } from '../store/index.ts';

/** Consecutive pages that lie together in one blob and are shared with the same trees. */
export interface PageRun {
  /** Index of the run's first page in the file. */
  readonly first: number;
  readonly count: number;
  readonly kind: 'private' | 'shared' | 'hole';
  /** The blob that holds the pages; 0 for a hole. */
  readonly blob: number;
  /** First of these blocks in the blob; 0 for a hole. */
  readonly physical: number;
  /** Names of the other trees that have these pages. */
  readonly trees: readonly string[];
  /** True if another file of the same tree has these pages too. */
  readonly isSharedWithin: boolean;
  /** True if these are pages of a host file, which all readers of the host file share. */
  readonly isHost: boolean;
  /** Number of these pages in the page cache; -1 if the host cannot tell. */
  readonly residentCount: number;
}

export interface PageReport {
  readonly tree: string;
  /** Path of the file in the tree, a byte string. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly pageCount: number;
  readonly privateCount: number;
  readonly sharedCount: number;
  readonly holeCount: number;
  /** Number of pages in the page cache; -1 if the host cannot tell. */
  readonly residentCount: number;
  readonly runs: readonly PageRun[];
  /** One byte for each page, 1 if it is in the page cache; empty where the host cannot tell. */
  readonly resident: Uint8Array;
}

/** A file of a tree that another process owns and has just checkpointed. */
export interface SettledFile {
  readonly ino: number;
  readonly mode: number;
  readonly size: number;
}

/**
 * The pages of a file of a tree. ENOENT, ENOTDIR, ELOOP for the path; EISDIR for a directory; EINVAL for anything else
 * that is no regular file; EBUSY when another process owns the fork and no `settled` is given.
 */
export function filePages(
  engine: StoreEngine,
  name: string,
  path: string,
  settled?: SettledFile,
): PageReport {
  if (settled !== undefined) return pagesOf(engine, name, path, settled);
  const open = engine.openTreeOf(name);
  const tree = open ?? engine.openTree(name);
  try {
    const file = tree.fileSystem.stat(path, true);
    tree.checkpoint();
    return pagesOf(engine, tree.info.name, path, file);
  } finally {
    if (open === undefined) tree.close();
  }
}

function pagesOf(engine: StoreEngine, name: string, path: string, file: SettledFile): PageReport {
  const { ino, mode, size } = file;
  if (isDirectoryMode(mode)) throw new FsError('EISDIR');
  if (!isFileMode(mode)) throw new FsError('EINVAL', { note: 'only regular files have pages' });
  return new PageSurvey(engine, name, ino as Ino).report(path, size); // The number came from the tree.
}

/** A range of blocks in a blob that shares blocks with the surveyed file. */
interface Sharer {
  readonly blob: BlobId;
  readonly start: number;
  readonly end: number;
  /** Names of the trees in which a file other than the surveyed one has these blocks. */
  readonly trees: readonly string[];
}

class PageSurvey {
  private readonly engine: StoreEngine;
  private readonly name: string;
  private readonly ino: Ino;
  /** The inodes with names in each union. */
  private readonly shown = new Map<UnionLayer, ReadonlySet<Ino>>();

  constructor(engine: StoreEngine, name: string, ino: Ino) {
    this.engine = engine;
    this.name = name;
    this.ino = ino;
  }

  report(path: string, sizeBytes: number): PageReport {
    const trees = storedTrees(this.engine);
    const own = trees.find((tree) => tree.info.name === this.name);
    const record = own?.record(this.ino);
    const all = own === undefined || record === undefined ? [] : own.runs(this.ino, record);
    const runs = dataRuns(this.engine.blobs, all);
    const pageCount = blocksFor(sizeBytes);
    const resident = this.residence(runs, pageCount);
    const pageRuns = this.pageRuns(runs, pageCount, this.sharers(runs, trees), resident);
    const sum = (kind: PageRun['kind']): number =>
      pageRuns.reduce((total, run) => total + (run.kind === kind ? run.count : 0), 0);
    return {
      tree: this.name,
      path,
      sizeBytes,
      pageCount,
      privateCount: sum('private'),
      sharedCount: sum('shared'),
      holeCount: sum('hole'),
      residentCount: resident === undefined ? -1 : resident.reduce((total, page) => total + page, 0),
      runs: pageRuns,
      resident: resident ?? new Uint8Array(0),
    };
  }

  private residence(runs: readonly Run[], pageCount: number): Uint8Array | undefined {
    const resident = new Uint8Array(pageCount);
    try {
      for (const { logical, count, blob, physical } of runs) {
        const within = Math.min(count, pageCount - logical);
        if (within > 0) resident.set(this.engine.blobs.residentBlocks(blob, physical, within), logical);
      }
    } catch (error) {
      if (isFsError(error, 'ENOTSUP')) return undefined;
      throw error;
    }
    return resident;
  }

  /** All stored runs, in this tree or others, that share blocks with `runs`. */
  private sharers(runs: readonly Run[], trees: readonly StoredTree[]): Sharer[] {
    const { tables } = this.engine;
    const blobs = new Map<BlobId, Run[]>();
    for (const run of runs) {
      const known = blobs.get(run.blob);
      if (known === undefined) blobs.set(run.blob, [run]);
      else known.push(run);
    }
    const sharers: Sharer[] = [];
    const layers = new Set(trees.flatMap((tree) => [...layersOf(tree.lowers)]));
    for (const layer of layers) {
      for (const { ino, runs: otherRuns } of tables.extents.forLayer(layer)) {
        const touching = otherRuns.filter((other) =>
          blobs.get(other.blob)?.some((run) => overlaps(run, other)),
        );
        if (touching.length === 0) continue;
        const names = this.treesShowing(trees, layer, ino);
        for (const { blob, physical, count } of touching) {
          sharers.push({ blob, start: physical, end: physical + count, trees: names });
        }
      }
    }
    return sharers;
  }

  private treesShowing(trees: readonly StoredTree[], layer: LayerId, ino: Ino): string[] {
    return trees
      .filter((tree) => {
        const shown = tree.shownAs(layer, ino).filter((number) => this.hasName(tree, number));
        return shown.some((number) => tree.info.name !== this.name || number !== this.ino);
      })
      .map((tree) => tree.info.name);
  }

  /**
   * False for a file that a higher component of a union hides. True for all other files: outside unions, an inode
   * without a name has no record.
   */
  private hasName({ base }: StoredTree, ino: Ino): boolean {
    if (!(base instanceof UnionLayer) || base.isLive || !isDerived(ino)) return true;
    const shown = this.shown.get(base) ?? new Set(base.shownInodes());
    this.shown.set(base, shown);
    return shown.has(ino);
  }

  private pageRuns(
    runs: readonly Run[],
    pageCount: number,
    sharers: readonly Sharer[],
    resident: Uint8Array | undefined,
  ): PageRun[] {
    const pageRuns: PageRun[] = [];
    ExtentMap.fromRuns(runs).forEachPiece(0, pageCount, (logical, count, blob, physical) => {
      const touching = sharers.filter(
        (other) => other.blob === blob && other.start < physical + count && physical < other.end,
      );
      const cuts = new Set([0, count]);
      for (const { start, end } of touching) {
        if (start > physical) cuts.add(start - physical);
        if (end < physical + count) cuts.add(end - physical);
      }
      const borders = [...cuts].sort((a, b) => a - b);
      for (let index = 0; index + 1 < borders.length; index++) {
        const from = borders[index]!;
        const length = borders[index + 1]! - from;
        const place = { blob, physical: blob === 0 ? 0 : physical + from };
        const here = touching.filter((other) => other.start <= place.physical && place.physical < other.end);
        pageRuns.push(this.pageRun(logical + from, length, place, here, resident));
      }
    });
    return joined(pageRuns);
  }

  private pageRun(
    first: number,
    count: number,
    place: { readonly blob: number; readonly physical: number },
    sharers: readonly Sharer[],
    resident: Uint8Array | undefined,
  ): PageRun {
    const names = new Set(sharers.flatMap((sharer) => sharer.trees));
    const isSharedWithin = names.delete(this.name);
    const isHost = isExternal(place.blob as BlobId);
    const isShared = names.size > 0 || isSharedWithin || isHost;
    let residentCount = resident === undefined ? -1 : 0;
    if (resident !== undefined) {
      for (let page = first; page < first + count; page++) residentCount += resident[page]!;
    }
    return {
      first,
      count,
      kind: place.blob === 0 ? 'hole' : isShared ? 'shared' : 'private',
      ...place,
      trees: [...names].sort(),
      isSharedWithin,
      isHost,
      residentCount,
    };
  }
}

/** The layers that have rows of extents; for a union, the layers of its components. */
function* layersOf(lowers: readonly Lower[]): Generator<LayerId> {
  for (const lower of lowers) {
    if (lower instanceof UnionLayer) for (const tree of lower.components) yield* layersOf(tree.lowers);
    else yield lower.id;
  }
}

function overlaps(a: Run, b: Run): boolean {
  return a.physical < b.physical + b.count && b.physical < a.physical + a.count;
}

/** Joins runs that continue each other and have the same kind, blob and sharing trees. */
function joined(runs: readonly PageRun[]): PageRun[] {
  const result: PageRun[] = [];
  for (const run of runs) {
    const last = result[result.length - 1];
    const continues =
      last !== undefined &&
      last.kind === run.kind &&
      last.blob === run.blob &&
      (run.blob === 0 || last.physical + last.count === run.physical) &&
      last.isSharedWithin === run.isSharedWithin &&
      last.trees.join('\0') === run.trees.join('\0');
    if (!continues) {
      result.push(run);
      continue;
    }
    const residentCount = last.residentCount < 0 ? -1 : last.residentCount + run.residentCount;
    result[result.length - 1] = { ...last, count: last.count + run.count, residentCount };
  }
  return result;
}

export function pageReportTitle(report: PageReport): string {
  return `${report.tree}:${nameToString(report.path)}, ${report.pageCount} pages of ${BLOCK_SIZE} bytes`;
}
