/**
 * Limits the kernel's own copies of bytes that programs have read or written through a mount. Such bytes are in memory
 * twice: in a page of a blob, which all forks share, and in a page of the mount's inode. `KernelPages` limits the
 * second kind. The kernel does not report which pages it keeps. But it asks for every page that it gets, so there is an
 * upper bound: the pages that it asked for and that were not evicted.
 *
 * Large files count in pieces of 1 MiB, small files whole; each kind has its own limit. The least recently used pieces
 * and files are evicted first, down to seven eighths of the limit, so that one message can evict several pieces of a
 * file.
 */
import { BLOCK_SIZE, type Ino } from '../base/index.ts';

/** Files of this size and more are large. */
const LARGE_FILE_BYTES = 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

export interface PageLimits {
  readonly largeBytesMax: number;
  readonly smallBytesMax: number;
}

/** A range of a file that the kernel must drop. */
export interface Evicted<Owner> {
  readonly owner: Owner;
  readonly ino: Ino;
  readonly position: number;
  /** Length in bytes; 0 stands for the whole file. */
  length: number;
}

/** A piece of a file in the kernel's cache. */
interface Piece<Owner> {
  readonly owner: Owner;
  readonly ino: Ino;
  /** The number of the piece in a large file; -1 if the piece is a whole small file. */
  readonly index: number;
  bytes: number;
}

class PieceList<Owner> {
  heldBytes = 0;
  private readonly bytesMax: number;
  /** The least recently used piece is the first. */
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

  /** If the limit is exceeded, takes the least recently used pieces out and returns them. */
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

  /** Upper bounds of how many bytes the kernel keeps. */
  get held(): { readonly largeBytes: number; readonly smallBytes: number } {
    return { largeBytes: this.large.heldBytes, smallBytes: this.small.heldBytes };
  }

  /** Notes that the kernel got `length` bytes of the file from `position`. `sizeBytes` is the file's present size. */
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

  /** A file that was large once counts as large until the kernel forgets it. */
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
      // The kernel may still have pages from when the file was small: they lie in the first piece, so count it too.
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

  /** Call this when the kernel has dropped all pages of the file. */
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
