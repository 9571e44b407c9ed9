/** Compares, byte by byte, blocks that look equal: equal checksums may be chance, or intent. */
import { BLOCK_SIZE, type BlobId, isFsError } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import type { BlockMatch } from './block-matching.ts';

/** Blocks compared at once. */
const PIECE_BLOCKS = 64;
/** Pieces between two pauses: 8 MiB, some milliseconds. */
const PIECES_PER_PAUSE = 32;
/** At most this many damaged blocks are reported one by one. */
const DAMAGED_MAX = 100;

/** A range of the blocks of a match. */
type MatchPart = Pick<BlockMatch, 'start' | 'count' | 'targetStart'>;

export class BlockComparison {
  private readonly blobs: BlobSpace;
  private readonly ours = Buffer.allocUnsafeSlow(PIECE_BLOCKS * BLOCK_SIZE);
  private readonly theirs = Buffer.allocUnsafeSlow(PIECE_BLOCKS * BLOCK_SIZE);
  private piecesCompared = 0;
  /** Messages about the first blocks that could not be read. */
  readonly damaged: string[] = [];
  private blocksDamaged = 0;
  blocksDiffering = 0;

  constructor(blobs: BlobSpace) {
    this.blobs = blobs;
  }

  /** Whether it is time to let other work of this thread run. */
  get isPauseDue(): boolean {
    return this.piecesCompared % PIECES_PER_PAUSE === 0;
  }

  *pieces({ start, count, targetStart }: MatchPart): Generator<MatchPart> {
    for (let done = 0; done < count; done += PIECE_BLOCKS) {
      yield {
        start: start + done,
        count: Math.min(PIECE_BLOCKS, count - done),
        targetStart: targetStart + done,
      };
    }
  }

  /** The parts of a piece that are equal in both blobs. What cannot be read is not equal. */
  equalParts(source: BlobId, target: BlobId, piece: MatchPart): readonly MatchPart[] {
    this.piecesCompared++;
    const length = piece.count * BLOCK_SIZE;
    const damagedBefore = this.blocksDamaged;
    const isEqual =
      this.read(source, piece.start, this.ours, length, piece.count === 1) &&
      this.read(target, piece.targetStart, this.theirs, length, piece.count === 1) &&
      this.ours.compare(this.theirs, 0, length, 0, length) === 0;
    if (isEqual) return [piece];
    if (piece.count > 1) return this.equalBlocks(source, target, piece);
    if (this.blocksDamaged === damagedBefore) this.blocksDiffering++;
    return [];
  }

  private equalBlocks(source: BlobId, target: BlobId, { start, count, targetStart }: MatchPart): MatchPart[] {
    const equal: MatchPart[] = [];
    for (let index = 0; index < count; index++) {
      const block = { start: start + index, count: 1, targetStart: targetStart + index };
      equal.push(...this.equalParts(source, target, block));
    }
    return equal;
  }

  /** False where the bytes cannot be read; `isNoted` (a single block) also reports it as damaged. */
  private read(blob: BlobId, block: number, target: Buffer, length: number, isNoted: boolean): boolean {
    try {
      this.blobs.read(blob, block * BLOCK_SIZE, target, 0, length);
      return true;
    } catch (error) {
      if (!isFsError(error, 'EIO')) throw error;
      if (isNoted && ++this.blocksDamaged <= DAMAGED_MAX) this.damaged.push(error.message);
      return false;
    }
  }
}
