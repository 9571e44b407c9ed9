/**
 * The budget for the kernel's own copies of bytes that a mount has read or written. Bytes that are read through the
 * kernel's cache are in memory twice: as a page of a blob, which all forks share, and as a page of the mount's inode.
 * This limits the second kind. The kernel does not report what it keeps, but it asks for every page that it gets, so
 * an upper bound is known: what was asked for and not evicted.
 *
 * Large files are counted in pieces of 1 MiB, small ones whole, each kind under its own limit. The least recently used
 * are evicted first, down to seven eighths of the limit, so that pieces of one file go in one message.
 */
import { BLOCK_SIZE, type Ino } from '../base/index.ts';

/** Files of this size and more are large. */
const LARGE_FILE_BYTES = 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

export interface PageLimits {
  readonly largeBytesMax: number;
  readonly smallBytesMax: number;
}

/** A range of a file that the kernel is to drop. */
export interface Evicted<Owner> {
  readonly owner: Owner;
  readonly ino: Ino;
  readonly position: number;
  /** 0: all of the file. */
  length: number;
}

/** A piece of a file in the kernel's cache. */
interface Piece<Owner> {
  readonly owner: Owner;
  readonly ino: Ino;
  /** -1: the piece is a whole small file. */
  readonly index: number;
  bytes: number;
}

class PieceList<Owner> {
  heldBytes = 0;
  private readonly bytesMax: number;
  /** Ordered by last use. */
  private readonly pieces = new Set<Piece<Owner>>();

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  use(piece: Piece<Owner>, bytes: number): void {
    this.heldBytes += bytes - piece.bytes;
    piece.bytes = bytes;
    this.pieces.delete(piece);
    this.pieces.add(piece);
  }

  remove(piece: Piece<Owner>): void {
    if (this.pieces.delete(piece)) this.heldBytes -= piece.bytes;
  }

  /** Takes the oldest pieces out and returns them, if there are too many. */
  evict(): Piece<Owner>[] {
    const evicted: Piece<Owner>[] = [];
    if (this.heldBytes <= this.bytesMax) return evicted;
    const kept = this.bytesMax - this.bytesMax / 8;
    for (const piece of this.pieces) {
      if (this.heldBytes <= kept) break;
      this.remove(piece);
      evicted.push(piece);
    }
    return evicted;
  }
}

/** The one piece of a small file, or the pieces of a large one by their index. */
type FilePieces<Owner> = Piece<Owner> | Map<number, Piece<Owner>>;

export class KernelPages<Owner extends object> {
  private readonly large: PieceList<Owner>;
  private readonly small: PieceList<Owner>;
  private readonly files = new Map<Owner, Map<Ino, FilePieces<Owner>>>();
  private readonly onEvicted: (ranges: Evicted<Owner>[]) => void;

  constructor(limits: PageLimits, onEvicted: (ranges: Evicted<Owner>[]) => void) {
    this.large = new PieceList(limits.largeBytesMax);
    this.small = new PieceList(limits.smallBytesMax);
    this.onEvicted = onEvicted;
  }

  /** Upper bounds of the bytes that the kernel has. */
  get held(): { readonly largeBytes: number; readonly smallBytes: number } {
    return { largeBytes: this.large.heldBytes, smallBytes: this.small.heldBytes };
  }

  /** The kernel has `length` bytes of the file from `position` on; the file has `sizeBytes` now. */
  note(owner: Owner, ino: Ino, sizeBytes: number, position: number, length: number): void {
    if (length <= 0) return;
    const files = this.filesOf(owner);
    if (sizeBytes < LARGE_FILE_BYTES) this.noteSmall(files, owner, ino, sizeBytes);
    else this.noteLarge(files, owner, ino, position, position + length);
  }

  private filesOf(owner: Owner): Map<Ino, FilePieces<Owner>> {
    let files = this.files.get(owner);
    if (files === undefined) {
      files = new Map();
      this.files.set(owner, files);
    }
    return files;
  }

  /** A file that was once large is counted as large until the kernel forgets it. */
  private noteSmall(files: Map<Ino, FilePieces<Owner>>, owner: Owner, ino: Ino, sizeBytes: number): void {
    const bytes = Math.ceil(sizeBytes / BLOCK_SIZE) * BLOCK_SIZE;
    let piece = files.get(ino);
    if (piece instanceof Map) {
      this.noteLarge(files, owner, ino, 0, sizeBytes);
      return;
    }
    if (piece === undefined) {
      piece = { owner, ino, index: -1, bytes: 0 };
      files.set(ino, piece);
    }
    this.use(this.small, piece, bytes);
  }

  private noteLarge(
    files: Map<Ino, FilePieces<Owner>>,
    owner: Owner,
    ino: Ino,
    position: number,
    end: number,
  ): void {
    let pieces = files.get(ino);
    if (!(pieces instanceof Map)) {
      const wasSmall = pieces !== undefined;
      if (pieces !== undefined) this.small.remove(pieces);
      pieces = new Map();
      files.set(ino, pieces);
      // The kernel may still have pages of the small file: they lie in the first piece.
      if (wasSmall && position >= PIECE_BYTES) this.noteLarge(files, owner, ino, 0, 1);
    }
    for (let index = Math.floor(position / PIECE_BYTES); index * PIECE_BYTES < end; index++) {
      let piece = pieces.get(index);
      if (piece === undefined) {
        piece = { owner, ino, index, bytes: 0 };
        pieces.set(index, piece);
      }
      this.use(this.large, piece, PIECE_BYTES);
    }
  }

  private use(list: PieceList<Owner>, piece: Piece<Owner>, bytes: number): void {
    list.use(piece, bytes);
    const evicted = list.evict();
    if (evicted.length > 0) this.report(evicted);
  }

  /** The kernel has dropped the file. */
  forget(owner: Owner, ino: Ino): void {
    const files = this.files.get(owner);
    const pieces = files?.get(ino);
    if (pieces === undefined) return;
    if (pieces instanceof Map) for (const piece of pieces.values()) this.large.remove(piece);
    else this.small.remove(pieces);
    files?.delete(ino);
  }

  forgetAll(owner: Owner): void {
    for (const ino of [...(this.files.get(owner)?.keys() ?? [])]) this.forget(owner, ino);
    this.files.delete(owner);
  }

  private report(evicted: readonly Piece<Owner>[]): void {
    const ranges: Evicted<Owner>[] = [];
    for (const { owner, ino, index } of evicted) {
      const files = this.files.get(owner);
      const pieces = files?.get(ino);
      if (pieces instanceof Map) pieces.delete(index);
      else files?.delete(ino);
      const last = ranges[ranges.length - 1];
      const position = Math.max(0, index) * PIECE_BYTES;
      const follows = last?.owner === owner && last.ino === ino && last.position + last.length === position;
      if (follows) last.length += PIECE_BYTES;
      else ranges.push({ owner, ino, position, length: index < 0 ? 0 : PIECE_BYTES });
    }
    this.onEvicted(ranges);
  }
}
