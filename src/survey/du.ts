/**
 * Disk usage: for each tree its files, the blocks it refers to, and how many of these no other tree refers to; for the
 * store its size on disk.
 *
 * Trees on one base are counted together: the base once, then for each tree only the changes of its upper layers. So a
 * thousand forks of a large tree cost little more than one. Forks that another process owns are counted as of their
 * last checkpoint.
 */
import {
  BLOCK_SIZE,
  type BlobId,
  FsError,
  type Ino,
  isDirectoryMode,
  isFileMode,
  isMissing,
  type LayerId,
  type Run,
  SECTOR_BYTES,
} from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import { type Lower, UnionLayer } from '../lower/index.ts';
import type { InodeRecord, MetaTables } from '../meta/index.ts';
import { type StoredTree, type StoreEngine, StoreLayout, storedTrees } from '../store/index.ts';
import type { System } from '../sys/index.ts';

export interface TreeUsage {
  readonly name: string;
  readonly kind: 'fork' | 'snapshot';
  /** Number of regular files. */
  readonly files: number;
  /** The sum of the sizes of these files; a file with several names counts once. */
  readonly apparentBytes: number;
  /** Bytes in blocks that the tree refers to, each counted once. */
  readonly referencedBytes: number;
  /** Bytes in blocks that no other tree refers to: dropping the tree would free them. */
  readonly exclusiveBytes: number;
  readonly sharedBytes: number;
}

export interface DuReport {
  readonly trees: readonly TreeUsage[];
  /** Bytes on disk of the store's directory and everything in it, except the trees mounted there. */
  readonly diskBytes: number;
  /** The part of `diskBytes` for blobs and their checksums. */
  readonly blobDiskBytes: number;
  /** The part of `diskBytes` for the tables. */
  readonly metaDiskBytes: number;
  /** The part of `diskBytes` that is kept in reserve for a full disk. */
  readonly reserveDiskBytes: number;
  /** Bytes in blocks that some tree refers to. */
  readonly liveBytes: number;
  /** The sum of `referencedBytes`: the space of all trees without sharing. */
  readonly unsharedBytes: number;
}

const NOBODY = 0;
const MANY = -1;

export function storeUsage(engine: StoreEngine): DuReport {
  const trees = storedTrees(engine);
  const usage = new Usage(engine.tables, engine.blobs);
  const groups = new Map<LayerId, StoredTree[]>();
  for (const tree of trees) groups.set(tree.base.id, [...(groups.get(tree.base.id) ?? []), tree]);
  for (const members of groups.values()) usage.addGroup(members[0]!.base, members);
  const counted = usage.finish();
  // Not `engine.layout`: an engine that only reads the store has its tables elsewhere.
  const layout = new StoreLayout(engine.directory);
  const diskOf = (directory: string): number =>
    diskBytes(engine.system, Buffer.from(directory), layout.mountsDirectory);
  return {
    trees: trees.map((tree) => counted.get(tree.info.id)!),
    diskBytes: diskOf(layout.directory),
    blobDiskBytes: diskOf(layout.blobsDirectory),
    metaDiskBytes: diskOf(layout.metaDirectory),
    reserveDiskBytes: fileDiskBytes(engine.system, layout.reservePath),
    liveBytes: usage.liveBlocks * BLOCK_SIZE,
    unsharedBytes: [...counted.values()].reduce((sum, tree) => sum + tree.referencedBytes, 0),
  };
}

/**
 * Allocated bytes of a directory and everything in it, except the content of `skipped`, because trees mounted there
 * have their blocks in the blobs, and the process that serves them must not look at its own mounts.
 */
function diskBytes(system: System, directory: Buffer, skipped: string): number {
  let total = system.statHost(directory, false).blocks * SECTOR_BYTES;
  if (directory.equals(Buffer.from(skipped))) return total;
  for (const { name } of system.readHostDirectory(directory)) {
    const path = Buffer.concat([directory, Buffer.from('/'), Buffer.from(name, 'latin1')]);
    const stat = system.statHost(path, false);
    total += isDirectoryMode(stat.mode) ? diskBytes(system, path, skipped) : stat.blocks * SECTOR_BYTES;
  }
  return total;
}

/** Allocated bytes of a file; 0 if the file does not exist. */
function fileDiskBytes(system: System, path: string): number {
  try {
    return system.statHost(Buffer.from(path), false).blocks * SECTOR_BYTES;
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
}

/** A number for each block of each blob, initially 0. */
class BlockNumbers {
  private readonly blobs: BlobSpace;
  private readonly numbers = new Map<BlobId, Int32Array>();

  constructor(blobs: BlobSpace) {
    this.blobs = blobs;
  }

  of({ blob, physical, count }: Run): Int32Array {
    const known = this.numbers.get(blob);
    if (known !== undefined && known.length >= physical + count) return known;
    const ofBlob = this.blobs.exists(blob) ? this.blobs.lengthBlocks(blob) : 0;
    if (ofBlob > 0 && physical + count > ofBlob) {
      const note = `a file has block ${physical + count - 1} of blob ${blob}, which has ${ofBlob}; run fsck`;
      throw new FsError('EIO', { syscall: 'du', note });
    }
    const length = Math.max(physical + count, known?.length ?? 0, ofBlob);
    const grown = new Int32Array(length);
    if (known !== undefined) grown.set(known);
    this.numbers.set(blob, grown);
    return grown;
  }

  [Symbol.iterator](): Iterator<Int32Array> {
    return this.numbers.values();
  }
}

/** Sums over the files of a tree; in a `Difference`, how many more or fewer than in the base. */
interface Sums {
  files: number;
  apparentBytes: number;
  blocks: number;
}

/** How a tree differs from its base. */
interface Difference {
  readonly tree: StoredTree;
  /** Files of the base whose extents the tree does not show. */
  readonly hidden: Map<Ino, InodeRecord>;
  /** Files of the tree whose extents are not those of the base. */
  readonly own: Map<Ino, InodeRecord>;
  readonly sums: Sums;
}

class Usage {
  private readonly tables: MetaTables;
  private readonly blobs: BlobSpace;
  /** For each block: the id of the only tree that refers to it, NOBODY, or MANY. */
  private readonly owners: BlockNumbers;
  private readonly trees = new Map<number, { readonly tree: StoredTree; readonly sums: Sums }>();
  liveBlocks = 0;

  constructor(tables: MetaTables, blobs: BlobSpace) {
    this.tables = tables;
    this.blobs = blobs;
    this.owners = new BlockNumbers(blobs);
  }

  /** Leaves out runs, such as those in host files, that take no space in the store. */
  private stored(runs: readonly Run[]): readonly Run[] {
    const isStored = ({ blob }: Run): boolean => this.blobs.isStored(blob);
    return runs.every(isStored) ? runs : runs.filter(isStored);
  }

  /** The stored runs of a file of a base; none if the base is live. */
  private baseRuns(base: Lower, ino: Ino, record: InodeRecord): readonly Run[] {
    return record.extentLayer === 0 || base.isLive ? [] : this.stored(base.runs(ino, record.size));
  }

  /** The inodes of a base; none if it is live, because it takes no space here and would have to be read whole. */
  private *baseInodes(base: Lower): Generator<[Ino, InodeRecord]> {
    if (base.isLive) return;
    if (base instanceof UnionLayer) yield* base.shownRecords();
    else yield* this.tables.inodes.entries(base.id);
  }

  addGroup(base: Lower, members: readonly StoredTree[]): void {
    const sums: Sums = { files: 0, apparentBytes: 0, blocks: 0 };
    const differences = members.map((tree) => this.difference(base, tree));
    const hiding = new Map<Ino, Set<number>>();
    for (const { tree, hidden } of differences) {
      for (const ino of hidden.keys()) hiding.set(ino, (hiding.get(ino) ?? new Set()).add(tree.info.id));
    }
    // How often files of the base refer to each block. A tree hides a block only if it hides all these references.
    const references = new BlockNumbers(this.blobs);
    for (const [ino, record] of this.baseInodes(base)) {
      if (!isFile(record)) continue;
      sums.files++;
      sums.apparentBytes += record.size;
      const owner = ownerOf(members, hiding.get(ino));
      for (const run of this.baseRuns(base, ino, record)) {
        const counts = references.of(run);
        for (let block = run.physical; block < run.physical + run.count; block++) {
          if (counts[block]!++ === 0) sums.blocks++;
        }
        if (owner !== NOBODY) this.own(run, owner);
      }
    }
    for (const difference of differences) this.addTree(base, difference, sums, references);
  }

  private own(run: Run, owner: number): void {
    const owners = this.owners.of(run);
    for (let block = run.physical; block < run.physical + run.count; block++) {
      const known = owners[block]!;
      if (known === NOBODY) owners[block] = owner;
      else if (known !== owner) owners[block] = MANY;
    }
  }

  /** Collects what the layers of `tree` change in the base. */
  private difference(base: Lower, tree: StoredTree): Difference {
    const difference: Difference = {
      tree,
      hidden: new Map(),
      own: new Map(),
      sums: { files: 0, apparentBytes: 0, blocks: 0 },
    };
    const seen = new Set<Ino>();
    for (const layer of tree.chain.slice(0, -1)) {
      for (const [ino, record] of this.tables.inodes.entries(layer)) {
        if (seen.has(ino)) continue;
        seen.add(ino);
        this.addChange(difference, ino, record, base.isLive ? undefined : base.inode(ino));
      }
    }
    return difference;
  }

  private addChange(
    difference: Difference,
    ino: Ino,
    record: InodeRecord,
    below: InodeRecord | undefined,
  ): void {
    const { sums, hidden, own } = difference;
    const isShown = isFile(record);
    const wasShown = below !== undefined && isFile(below);
    if (isShown) {
      sums.files++;
      sums.apparentBytes += record.size;
    }
    if (wasShown) {
      sums.files--;
      sums.apparentBytes -= below.size;
    }
    if (isShown && wasShown && record.extentLayer === below.extentLayer) return;
    if (wasShown && below.extentLayer !== 0) hidden.set(ino, below);
    if (isShown && record.extentLayer !== 0) own.set(ino, record);
  }

  private addTree(
    base: Lower,
    { tree, hidden, own, sums }: Difference,
    baseSums: Sums,
    references: BlockNumbers,
  ): void {
    // How many of the base's references to a block the tree hides, by `blob/block`.
    const hiddenCounts = new Map<string, number>();
    let blocks = baseSums.blocks;
    for (const [ino, record] of hidden) {
      for (const run of this.baseRuns(base, ino, record)) {
        const counts = references.of(run);
        for (let block = run.physical; block < run.physical + run.count; block++) {
          const key = `${run.blob}/${block}`;
          const count = (hiddenCounts.get(key) ?? 0) + 1;
          hiddenCounts.set(key, count);
          if (count === counts[block]) blocks--;
        }
      }
    }
    const met = new Set<string>();
    for (const [ino, record] of own) {
      for (const run of this.stored(tree.runs(ino, record))) {
        const counts = references.of(run);
        for (let block = run.physical; block < run.physical + run.count; block++) {
          const key = `${run.blob}/${block}`;
          const isInBase = counts[block]! > (hiddenCounts.get(key) ?? 0);
          if (isInBase || met.has(key)) continue;
          met.add(key);
          blocks++;
        }
        this.own(run, tree.info.id);
      }
    }
    this.trees.set(tree.info.id, {
      tree,
      sums: {
        files: baseSums.files + sums.files,
        apparentBytes: baseSums.apparentBytes + sums.apparentBytes,
        blocks,
      },
    });
  }

  /** The usage of each tree, by id. Call it after all groups have been added. */
  finish(): Map<number, TreeUsage> {
    const exclusive = new Map<number, number>();
    for (const owners of this.owners) {
      for (const owner of owners) {
        if (owner === NOBODY) continue;
        this.liveBlocks++;
        if (owner !== MANY) exclusive.set(owner, (exclusive.get(owner) ?? 0) + 1);
      }
    }
    const usage = new Map<number, TreeUsage>();
    for (const [id, { tree, sums }] of this.trees) {
      const exclusiveBytes = (exclusive.get(id) ?? 0) * BLOCK_SIZE;
      const referencedBytes = sums.blocks * BLOCK_SIZE;
      usage.set(id, {
        name: tree.info.name,
        kind: tree.info.kind,
        files: sums.files,
        apparentBytes: sums.apparentBytes,
        referencedBytes,
        exclusiveBytes,
        sharedBytes: referencedBytes - exclusiveBytes,
      });
    }
    return usage;
  }
}

function isFile(record: InodeRecord): boolean {
  return isFileMode(record.mode);
}

/** The id of the only tree that shows a file of the base, NOBODY, or MANY. */
function ownerOf(members: readonly StoredTree[], hiding: ReadonlySet<number> | undefined): number {
  const left = members.length - (hiding?.size ?? 0);
  if (left === 0) return NOBODY;
  if (left > 1) return MANY;
  return members.find((tree) => hiding?.has(tree.info.id) !== true)!.info.id;
}
