/**
 * What differs between two trees. Trees that stand on a common layer are compared through it: an inode that
 * no layer above the common one mentions is the same in both, and so is a directory's list of names. So a
 * diff of a fork with its source looks into the tables once for every name, and reads content only where two
 * files differ in their extents.
 */
import { BLOCK_SIZE, type BlobId, type Ino, type Name } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import { ExtentMap } from '../extent/index.ts';
import type { DentryRecord, InodeRecord, MetaTables } from '../meta/index.ts';
import type { StoreEngine } from './engine.ts';
import { type SettledElsewhere, type StoredTree, settleTree } from './stored-tree.ts';

export type ChangedPart = 'content' | 'mode' | 'owner' | 'times' | 'xattrs' | 'target' | 'device';

export interface Change {
  /** Absolute, a byte string. */
  readonly path: string;
  readonly kind: 'added' | 'removed' | 'modified';
  /** The DT_* value of what was added, removed or modified. */
  readonly type: number;
  /** What differs; empty unless modified. */
  readonly parts: readonly ChangedPart[];
  /** Bytes before and after; undefined where it does not exist. */
  readonly sizeBefore: number | undefined;
  readonly sizeAfter: number | undefined;
}

const DT_DIR = 4;
const DT_LNK = 10;
const PIECE_BLOCKS = 256;

/**
 * How tree `b` differs from tree `a`, by path in byte order: added means in `b` only. Changed times alone of
 * a directory are not a change: they follow from what changed in it. ENOENT; EBUSY when another process owns
 * one of them and it is not in `elsewhere`.
 */
export function diffTrees(
  engine: StoreEngine,
  a: string,
  b: string,
  elsewhere: SettledElsewhere = new Set(),
): Change[] {
  const before = settleTree(engine, a, elsewhere);
  const after = settleTree(engine, b, elsewhere);
  return new Comparison(engine.tables, engine.blobs, before, after).all();
}

class Comparison {
  private readonly tables: MetaTables;
  private readonly contents: ContentComparison;
  private readonly before: StoredTree;
  private readonly after: StoredTree;
  /** Inodes that may differ; undefined when the trees have no layer in common: then all of them. */
  private readonly touched: ReadonlySet<Ino> | undefined;
  private readonly changes: Change[] = [];

  constructor(tables: MetaTables, blobs: BlobSpace, before: StoredTree, after: StoredTree) {
    this.tables = tables;
    this.contents = new ContentComparison(blobs);
    this.before = before;
    this.after = after;
    this.touched = this.touchedInodes();
  }

  private touchedInodes(): ReadonlySet<Ino> | undefined {
    const common = this.before.chain.find((layer) => this.after.chain.includes(layer));
    if (common === undefined) return undefined;
    const touched = new Set<Ino>();
    for (const tree of [this.before, this.after]) {
      for (const layer of tree.chain.slice(0, tree.chain.indexOf(common))) {
        for (const ino of this.tables.inodes.inos(layer)) touched.add(ino);
      }
    }
    return touched;
  }

  all(): Change[] {
    if (this.touched?.size === 0) return [];
    const before = this.before.info.root;
    const after = this.after.info.root;
    this.inode('/', before, after, DT_DIR);
    this.directory('', before, after);
    return this.changes;
  }

  private isUntouched(before: Ino, after: Ino): boolean {
    return before === after && this.touched !== undefined && !this.touched.has(before);
  }

  /** `path` is '' for the root. */
  private directory(path: string, before: Ino, after: Ino): void {
    if (this.isUntouched(before, after)) {
      for (const [name, { ino, kind }] of this.before.list(before)) {
        this.both(`${path}/${name}`, ino, ino, kind);
      }
      return;
    }
    const namesBefore = this.before.list(before);
    const namesAfter = this.after.list(after);
    for (const name of mergedNames(namesBefore, namesAfter)) {
      const old = namesBefore.get(name);
      const now = namesAfter.get(name);
      const child = `${path}/${name}`;
      if (old !== undefined && now !== undefined && old.kind === now.kind) {
        this.both(child, old.ino, now.ino, old.kind);
        continue;
      }
      if (old !== undefined) this.oneSided('removed', child, old, this.before);
      if (now !== undefined) this.oneSided('added', child, now, this.after);
    }
  }

  /** A name that is there on both sides, with one kind of file. */
  private both(path: string, before: Ino, after: Ino, kind: number): void {
    if (!this.isUntouched(before, after)) this.inode(path, before, after, kind);
    if (kind === DT_DIR) this.directory(path, before, after);
  }

  private oneSided(kind: 'added' | 'removed', path: string, dentry: DentryRecord, tree: StoredTree): void {
    const size = dentry.kind === DT_DIR ? undefined : tree.record(dentry.ino)?.size;
    this.changes.push({
      path,
      kind,
      type: dentry.kind,
      parts: [],
      sizeBefore: kind === 'removed' ? size : undefined,
      sizeAfter: kind === 'added' ? size : undefined,
    });
    if (dentry.kind !== DT_DIR) return;
    for (const [name, child] of tree.list(dentry.ino)) this.oneSided(kind, `${path}/${name}`, child, tree);
  }

  private inode(path: string, before: Ino, after: Ino, kind: number): void {
    const old = this.before.record(before);
    const now = this.after.record(after);
    if (old === undefined || now === undefined) return;
    const parts = kind === DT_DIR ? [] : this.changedContent(before, old, after, now, kind);
    if (old.mode !== now.mode) parts.push('mode');
    if (old.uid !== now.uid || old.gid !== now.gid) parts.push('owner');
    if (kind !== DT_DIR && !isSameModification(old, now)) parts.push('times');
    if (!isSameXattrs(this.before.xattrs(before, old), this.after.xattrs(after, now))) parts.push('xattrs');
    if (parts.length === 0) return;
    const isSized = kind !== DT_DIR;
    this.changes.push({
      path,
      kind: 'modified',
      type: kind,
      parts,
      sizeBefore: isSized ? old.size : undefined,
      sizeAfter: isSized ? now.size : undefined,
    });
  }

  private changedContent(
    before: Ino,
    old: InodeRecord,
    after: Ino,
    now: InodeRecord,
    kind: number,
  ): ChangedPart[] {
    const parts: ChangedPart[] = [];
    if (old.target !== now.target) parts.push('target');
    if (old.rdev !== now.rdev) parts.push('device');
    const isOneMap = before === after && old.extentLayer === now.extentLayer;
    if (kind === DT_LNK) return parts;
    if (old.size !== now.size) {
      parts.push('content');
    } else if (!isOneMap) {
      const runsBefore = ExtentMap.fromRuns(this.before.runs(before, old));
      const runsAfter = ExtentMap.fromRuns(this.after.runs(after, now));
      if (!this.contents.isSame(runsBefore, runsAfter, old.size)) parts.push('content');
    }
    return parts;
  }
}

/** Whether two files of one size have the same bytes; reads only blocks that do not lie in one place. */
class ContentComparison {
  private readonly blobs: BlobSpace;
  private readonly left = Buffer.allocUnsafe(PIECE_BLOCKS * BLOCK_SIZE);
  private readonly right = Buffer.allocUnsafe(PIECE_BLOCKS * BLOCK_SIZE);

  constructor(blobs: BlobSpace) {
    this.blobs = blobs;
  }

  isSame(before: ExtentMap, after: ExtentMap, sizeBytes: number): boolean {
    const blocks = Math.ceil(sizeBytes / BLOCK_SIZE);
    let block = 0;
    while (block < blocks) {
      before.locate(block);
      after.locate(block);
      const isOnePlace = before.foundBlob === after.foundBlob && before.foundPhysical === after.foundPhysical;
      const most = isOnePlace ? Number.POSITIVE_INFINITY : PIECE_BLOCKS;
      const count = Math.min(before.foundCount, after.foundCount, blocks - block, most);
      if (!isOnePlace) {
        const bytes = Math.min(count * BLOCK_SIZE, sizeBytes - block * BLOCK_SIZE);
        const left = this.read(before.foundBlob, before.foundPhysical, bytes, this.left);
        const right = this.read(after.foundBlob, after.foundPhysical, bytes, this.right);
        if (!left.equals(right)) return false;
      }
      block += count;
    }
    return true;
  }

  private read(blob: BlobId | 0, physical: number, bytes: number, target: Buffer): Buffer {
    if (blob === 0) target.fill(0, 0, bytes);
    else this.blobs.read(blob, physical * BLOCK_SIZE, target, 0, bytes);
    return target.subarray(0, bytes);
  }
}

/** All names of both, each once, in byte order. */
function mergedNames(a: ReadonlyMap<Name, DentryRecord>, b: ReadonlyMap<Name, DentryRecord>): Name[] {
  return [...new Set([...a.keys(), ...b.keys()])].sort((left, right) => (left < right ? -1 : 1));
}

function isSameModification(a: InodeRecord, b: InodeRecord): boolean {
  return a.mtimeSeconds === b.mtimeSeconds && a.mtimeNanoseconds === b.mtimeNanoseconds;
}

function isSameXattrs(a: ReadonlyMap<string, Buffer>, b: ReadonlyMap<string, Buffer>): boolean {
  if (a.size !== b.size) return false;
  for (const [name, value] of a) if (b.get(name)?.equals(value) !== true) return false;
  return true;
}
