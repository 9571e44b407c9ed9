/** Buffers for whole files that are read: short ones are cut from slabs, as `Buffer.allocUnsafe` does for shorter. */

/** Node's own slabs are 8 KiB and serve less than 4 KiB; most files of a source tree are a little more than that. */
const SLAB_BYTES = 32 * 1024;
const SLAB_PIECE_BYTES_MAX = 8 * 1024;
const ALIGNMENT = 8;

let slab = new ArrayBuffer(0);
let used = 0;

/** A Buffer of `sizeBytes` whose content is undefined. A new ArrayBuffer for each would cost 1 µs, this 0.2 µs. */
export function allocateForRead(sizeBytes: number): Buffer {
  if (sizeBytes > SLAB_PIECE_BYTES_MAX) return Buffer.allocUnsafe(sizeBytes);
  if (used + sizeBytes > slab.byteLength) {
    // The cast: a Buffer that was just made by allocUnsafeSlow is over an ArrayBuffer of its own.
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES).buffer as ArrayBuffer;
    used = 0;
  }
  const piece = Buffer.from(slab, used, sizeBytes);
  used += Math.ceil(sizeBytes / ALIGNMENT) * ALIGNMENT;
  return piece;
}
