/**
 * The budget for the kernel's own copies of what a mount has read or written. Whatever is read through the kernel's cache
 * is in memory twice: as a page of a blob, which all forks share, and as a page of the mount's inode. The second kind is
 * kept small. The kernel does not tell what it keeps, but it asks for every page that it comes to have, so an upper bound
 * is known: what was asked for and not taken back.
 *
 * Large files are counted in pieces of 1 MiB, small ones whole, each kind under a limit of its own; what was asked for
 * longest ago is taken back first, down to seven eighths of the limit, so that pieces of one file go in one message.
 */
import { BLOCK_SIZE, type Ino } from '../../base/index.ts';

/** Files of this size and more are large. */
const LARGE_FILE_BYTES = 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

export interface PageLimits {
  readonly largeBytesMax: number;
  readonly smallBytesMax: number;
}

/** A range of a file that the kernel is to drop. */
export interface TakenBack<Owner> {
  readonly owner: Owner;
  readonly ino: Ino;
  readonly position: number;
  /** 0: all of the file. */
  length: number;
}

/** A piece of a file in the kernel's cache, in a ring in the order of last use. */
interface Piece<Owner> {
  readonly owner: Owner;
  readonly ino: Ino;
  /** Which piece; -1 for a whole small file. */
  readonly index: number;
  bytes: number;
}

class PieceList<Owner> {
  readonly bytesMax: number;
  private bytes = 0;
  /** Ordered by last use. */
  private readonly pieces = new Set<Piece<Owner>>();

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.bytes;
  }

  use(piece: Piece<Owner>, bytes: number): void {
    this.bytes += bytes - piece.bytes;
    piece.bytes = bytes;
    this.pieces.delete(piece);
    this.pieces.add(piece);
  }

  remove(piece: Piece<Owner>): void {
    if (this.pieces.delete(piece)) this.bytes -= piece.bytes;
  }

  /** The oldest pieces, if there are too many; they are no longer counted. */
  takeBack(): Piece<Owner>[] {
    const taken: Piece<Owner>[] = [];
    if (this.bytes <= this.bytesMax) return taken;
    const kept = this.bytesMax - this.bytesMax / 8;
    for (const piece of this.pieces) {
      if (this.bytes <= kept) break;
      this.remove(piece);
      taken.push(piece);
    }
    return taken;
  }
}

export class KernelPages<Owner extends object> {
  private readonly large: PieceList<Owner>;
  private readonly small: PieceList<Owner>;
  private readonly files = new Map<Owner, Map<Ino, Map<number, Piece<Owner>>>>();
  private readonly onTakenBack: (ranges: TakenBack<Owner>[]) => void;

  constructor(limits: PageLimits, onTakenBack: (ranges: TakenBack<Owner>[]) => void) {
    this.large = new PieceList(limits.largeBytesMax);
    this.small = new PieceList(limits.smallBytesMax);
    this.onTakenBack = onTakenBack;
  }

  /** Upper bounds, in bytes. */
  get held(): { readonly largeBytes: number; readonly smallBytes: number } {
    return { largeBytes: this.large.heldBytes, smallBytes: this.small.heldBytes };
  }

  /** The kernel has `length` bytes of the file from `position` on; the file has `sizeBytes` now. */
  note(owner: Owner, ino: Ino, sizeBytes: number, position: number, length: number): void {
    if (length <= 0) return;
    if (sizeBytes < LARGE_FILE_BYTES) {
      this.use(this.small, owner, ino, -1, Math.ceil(sizeBytes / BLOCK_SIZE) * BLOCK_SIZE);
      return;
    }
    const last = Math.floor((position + length - 1) / PIECE_BYTES);
    for (let index = Math.floor(position / PIECE_BYTES); index <= last; index++) {
      this.use(this.large, owner, ino, index, PIECE_BYTES);
    }
  }

  private use(list: PieceList<Owner>, owner: Owner, ino: Ino, index: number, bytes: number): void {
    let files = this.files.get(owner);
    if (files === undefined) {
      files = new Map();
      this.files.set(owner, files);
    }
    let pieces = files.get(ino);
    if (pieces === undefined) {
      pieces = new Map();
      files.set(ino, pieces);
    }
    let piece = pieces.get(index);
    if (piece === undefined) {
      piece = { owner, ino, index, bytes: 0 };
      pieces.set(index, piece);
    }
    list.use(piece, bytes);
    const taken = list.takeBack();
    if (taken.length > 0) this.report(taken);
  }

  /** The kernel has dropped the file itself. */
  forget(owner: Owner, ino: Ino): void {
    const files = this.files.get(owner);
    const pieces = files?.get(ino);
    if (pieces === undefined) return;
    for (const piece of pieces.values()) this.listOf(piece).remove(piece);
    files?.delete(ino);
  }

  forgetAll(owner: Owner): void {
    for (const ino of [...(this.files.get(owner)?.keys() ?? [])]) this.forget(owner, ino);
    this.files.delete(owner);
  }

  private listOf({ index }: Piece<Owner>): PieceList<Owner> {
    return index < 0 ? this.small : this.large;
  }

  private report(taken: readonly Piece<Owner>[]): void {
    const ranges: TakenBack<Owner>[] = [];
    for (const { owner, ino, index } of taken) {
      const files = this.files.get(owner);
      const pieces = files?.get(ino);
      pieces?.delete(index);
      if (pieces?.size === 0) files?.delete(ino);
      const last = ranges[ranges.length - 1];
      const position = Math.max(0, index) * PIECE_BYTES;
      const follows = last?.owner === owner && last.ino === ino && last.position + last.length === position;
      if (follows) last.length += PIECE_BYTES;
      else ranges.push({ owner, ino, position, length: index < 0 ? 0 : PIECE_BYTES });
    }
    this.onTakenBack(ranges);
  }
}
