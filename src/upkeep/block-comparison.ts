/** Compares blocks with equal checksums byte by byte, because the bytes may still differ, by chance or by intent. */
import { BLOCK_SIZE, type BlobId, isFsError } from '../base/index.ts';
import type { BlobSpace } from '../blob/index.ts';
import type { BlockMatch } from './block-matching.ts';

/** Blocks compared at once. */
const PIECE_BLOCKS = 64;
/** Pieces between two pauses: 8 MiB, some milliseconds. */
const PIECES_PER_PAUSE = 32;
/** The number of damaged blocks that are reported one by one. */
const DAMAGED_MAX = 100;

/** A range of the blocks of a match. */
type MatchPart = Pick<BlockMatch, 'start' | 'count' | 'targetStart'>;

export class BlockComparison {
  private readonly blobs: BlobSpace;
  private readonly ours = Buffer.allocUnsafeSlow(PIECE_BLOCKS * BLOCK_SIZE);
  private readonly theirs = Buffer.allocUnsafeSlow(PIECE_BLOCKS * BLOCK_SIZE);
  private piecesCompared = 0;
  /** Messages about the first blocks that cannot be read. */
  readonly damaged: string[] = [];
  private blocksDamaged = 0;
  blocksDiffering = 0;

  constructor(blobs: BlobSpace) {
    this.blobs = blobs;
  }

  /** Whether it is time to let other work of the thread run. */
  get isPauseDue(): boolean {
    return this.piecesCompared % PIECES_PER_PAUSE === 0;
  }

  /** The parts of a piece that are equal in both blobs. Blocks that cannot be read count as different. */
  equalParts(source: BlobId, target: BlobId, piece: MatchPart): readonly MatchPart[] {
    this.piecesCompared++;
    const length = piece.count * BLOCK_SIZE;
    const damagedBefore = this.blocksDamaged;
    const isEqual =
      this.read(source, piece.start, this.ours, length, piece.count === 1) &&
      this.read(target, piece.targetStart, this.theirs, length, piece.count === 1) &&
      this.ours.compare(this.theirs, 0, length, 0, length) === 0;
    if (isEqual) return [piece];
    if (piece.count > 1)
      return [...piecesOf(piece, 1)].flatMap((block) => this.equalParts(source, target, block));
    if (this.blocksDamaged === damagedBefore) this.blocksDiffering++;
    return [];
  }

  /**
   * Returns false if the bytes cannot be read (EIO). With `isNoted`, which is set for single blocks, also reports the
   * block as damaged.
   */
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

/** Divides a match into pieces of at most `piece` blocks. */
export function* piecesOf(
  { start, count, targetStart }: MatchPart,
  piece = PIECE_BLOCKS,
): Generator<MatchPart> {
  for (let done = 0; done < count; done += piece)
    yield { start: start + done, count: Math.min(piece, count - done), targetStart: targetStart + done };
}
