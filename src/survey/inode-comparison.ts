/** Compares an inode of one tree with an inode of another. Reads content only where their extents differ. */
import { BLOCK_SIZE, type BlobId, DT_DIR, DT_LNK, type Ino } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import { ExtentMap } from '../extent/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import type { StoredTree } from '../store/index.ts';

export type ChangedPart = 'content' | 'mode' | 'owner' | 'times' | 'xattrs' | 'target' | 'device';

const PIECE_BLOCKS = 256;

export class InodeComparison {
  private readonly before: StoredTree;
  private readonly after: StoredTree;
  private readonly blobs: BlobSpace;
  private readonly left = Buffer.allocUnsafe(PIECE_BLOCKS * BLOCK_SIZE);
  private readonly right = Buffer.allocUnsafe(PIECE_BLOCKS * BLOCK_SIZE);

  constructor(blobs: BlobSpace, before: StoredTree, after: StoredTree) {
    this.blobs = blobs;
    this.before = before;
    this.after = after;
  }

  /** The parts that differ in two inodes of the same type (`kind`, a DT_* value). */
  parts(before: Ino, after: Ino, kind: number): ChangedPart[] {
    const old = this.before.record(before);
    const now = this.after.record(after);
    if (old === undefined || now === undefined) return [];
    const parts = kind === DT_DIR ? [] : this.changedContent(before, old, after, now, kind);
    if (old.mode !== now.mode) parts.push('mode');
    if (old.uid !== now.uid || old.gid !== now.gid) parts.push('owner');
    if (kind !== DT_DIR && !isSameModification(old, now)) parts.push('times');
    if (!isSameXattrs(this.before.xattrs(before, old), this.after.xattrs(after, now))) parts.push('xattrs');
    return parts;
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
    if (kind === DT_LNK) return parts;
    const isOneMap = before === after && old.extentLayer === now.extentLayer;
    if (old.size !== now.size) parts.push('content');
    else if (!isOneMap) {
      const runsBefore = ExtentMap.fromRuns(this.before.runs(before, old));
      const runsAfter = ExtentMap.fromRuns(this.after.runs(after, now));
      if (!this.isSameContent(runsBefore, runsAfter, old.size)) parts.push('content');
    }
    return parts;
  }

  /**
   * True if two files of the same size have the same bytes. Reads only blocks that do not lie at the same place of the
   * same blob.
   */
  private isSameContent(before: ExtentMap, after: ExtentMap, sizeBytes: number): boolean {
    const blocks = Math.ceil(sizeBytes / BLOCK_SIZE);
    let block = 0;
    while (block < blocks) {
      before.locate(block);
      after.locate(block);
      const isOnePlace = before.foundBlob === after.foundBlob && before.foundPhysical === after.foundPhysical;
      const same = isOnePlace ? Number.POSITIVE_INFINITY : this.holeBlocks(before, after);
      const most = same === 0 ? PIECE_BLOCKS : same;
      const count = Math.min(before.foundCount, after.foundCount, blocks - block, most);
      if (same === 0) {
        const bytes = Math.min(count * BLOCK_SIZE, sizeBytes - block * BLOCK_SIZE);
        const left = this.read(before.foundBlob, before.foundPhysical, bytes, this.left);
        const right = this.read(after.foundBlob, after.foundPhysical, bytes, this.right);
        if (!left.equals(right)) return false;
      }
      block += count;
    }
    return true;
  }

  /** How many blocks, from the located ones on, are holes on both sides. */
  private holeBlocks(before: ExtentMap, after: ExtentMap): number {
    const ofBefore = this.holeIn(before);
    return ofBefore === 0 ? 0 : Math.min(ofBefore, this.holeIn(after));
  }

  private holeIn({ foundBlob, foundPhysical, foundCount }: ExtentMap): number {
    if (foundBlob === 0) return foundCount;
    const data = this.blobs.seekData(foundBlob, foundPhysical * BLOCK_SIZE);
    return data === undefined ? foundCount : Math.floor(data / BLOCK_SIZE) - foundPhysical;
  }

  private read(blob: BlobId | 0, physical: number, bytes: number, target: Buffer): Buffer {
    if (blob === 0) target.fill(0, 0, bytes);
    else this.blobs.read(blob, physical * BLOCK_SIZE, target, 0, bytes);
    return target.subarray(0, bytes);
  }
}

function isSameModification(a: InodeRecord, b: InodeRecord): boolean {
  return a.mtimeSeconds === b.mtimeSeconds && a.mtimeNanoseconds === b.mtimeNanoseconds;
}

function isSameXattrs(a: ReadonlyMap<string, Buffer>, b: ReadonlyMap<string, Buffer>): boolean {
  if (a.size !== b.size) return false;
  for (const [name, value] of a) if (b.get(name)?.equals(value) !== true) return false;
  return true;
}
