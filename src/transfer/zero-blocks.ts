/** Reads content in pieces, and turns blocks of zeros into holes where the source does not report its holes. */
import { assert, BLOCK_SIZE, type BlockIndex, blocksFor, type Run } from '../base/index.ts';
import { appendRun, type DataSegment } from '../extent/index.ts';
import type { LayerBuilder, OwnBlob } from '../store/index.ts';

/** Large files are read in pieces of this size. */
export const PIECE_BYTES = 1024 * 1024;
/**
 * A file whose data is less than its size divided by this goes into packed blobs, because in a blob of its own most
 * checksums would be those of holes.
 */
export const SPARSE_SHARE = 4;
/**
 * Content that is read in order does not yet count as sparse if it starts with a hole of up to this size, since it may
 * still turn out to be dense.
 */
const FIRST_HOLE_BYTES_MAX = 64 * 1024 * 1024;
/** Shorter stretches of zeros stay data: the additional piece in the map would cost more than the zeros do. */
const HOLE_BYTES_MIN = 64 * 1024;
const ZEROS = Buffer.alloc(BLOCK_SIZE);

/** Reads the `length` bytes at `position` of the file into `target`. */
export type ReadNext = (target: Buffer, length: number, position: number) => Promise<void>;

/** The pieces in which segments are read, in order. */
export function* pieces(
  segments: readonly DataSegment[],
): Generator<{ readonly position: number; readonly length: number }> {
  for (const { start, end } of segments) {
    for (let position = start; position < end; position += PIECE_BYTES) {
      yield { position, length: Math.min(PIECE_BYTES, end - position) };
    }
  }
}

/** The block that begins at this byte. Segments and pieces always begin at the start of a block. */
export function blockOf(position: number): BlockIndex {
  assert(position % BLOCK_SIZE === 0, 'a piece begins with a block');
  return (position / BLOCK_SIZE) as BlockIndex; // A whole number of blocks, as just checked.
}

/**
 * The segments of the first `length` bytes that are not zeros, in whole blocks; the last may end at `length`. A short
 * stretch of zeros between two segments counts as data.
 */
export function dataIn(bytes: Buffer, length: number): DataSegment[] {
  const segments: { start: number; end: number }[] = [];
  for (let start = 0; start < length; start += BLOCK_SIZE) {
    const end = Math.min(start + BLOCK_SIZE, length);
    if (bytes[start] === 0 && bytes.compare(ZEROS, 0, end - start, start, end) === 0) continue;
    const last = segments.at(-1);
    if (last !== undefined && start - last.end < HOLE_BYTES_MIN) last.end = end;
    else segments.push({ start, end });
  }
  return segments;
}

/**
 * The places where the data of a file was stored: the segments in its own blob, at the same positions (`layout`), and
 * the runs in packed blobs (`packed`).
 */
interface CopiedData {
  readonly layout: readonly DataSegment[];
  readonly packed: readonly Run[];
}

/**
 * Copies the data without zeros into the file's own blob. From the position where that blob would become mostly holes,
 * which have checksums as well, the rest of the data goes into packed blobs. Each piece is written while the next is
 * read.
 */
export async function copyWithoutZeros(
  builder: LayerBuilder,
  own: OwnBlob,
  sizeBytes: number,
  read: ReadNext,
  buffers: readonly [Buffer, Buffer],
): Promise<CopiedData> {
  const layout: { start: number; end: number }[] = [];
  const packed: Run[] = [];
  let dataBytes = 0;
  const add = async (bytes: Buffer, start: number): Promise<void> => {
    const end = start + bytes.length;
    dataBytes += bytes.length;
    if (packed.length > 0 || start > SPARSE_SHARE * dataBytes + FIRST_HOLE_BYTES_MAX) {
      const place = builder.storePacked(bytes, bytes.length);
      appendRun(packed, { logical: blockOf(start), count: blocksFor(bytes.length), ...place });
      return;
    }
    own.skipTo(start);
    const last = layout.at(-1);
    if (last?.end === start) last.end = end;
    else layout.push({ start, end });
    await own.append(bytes, bytes.length);
  };
  const addPiece = async (piece: Buffer, position: number): Promise<void> => {
    for (const { start, end } of dataIn(piece, piece.length)) {
      await add(piece.subarray(start, end), position + start);
    }
  };
  let [target, other] = buffers;
  let written = Promise.resolve();
  try {
    for (const { position, length } of pieces([{ start: 0, end: sizeBytes }])) {
      await read(target, length, position);
      await written;
      written = addPiece(target.subarray(0, length), position);
      // Keeps Node.js from reporting an unhandled rejection: the next `await written` throws the error.
      written.catch(() => undefined);
      [target, other] = [other, target];
    }
  } finally {
    await written;
  }
  return { layout, packed };
}
