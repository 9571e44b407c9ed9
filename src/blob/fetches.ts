/** Work of the thread pool on blobs: reads that only fill the page cache, and early syncs. */
import { isFsError } from '../base/index.ts';
import type { System } from '../sys/index.ts';

const PIECE_BYTES = 1024 * 1024;

/** Reads a range and drops the bytes. Failures of the host are ignored. */
export async function readThrough(
  system: System,
  fd: number,
  position: number,
  length: number,
): Promise<void> {
  try {
    const piece = Buffer.allocUnsafe(Math.min(length, PIECE_BYTES));
    for (let done = 0; done < length; done += piece.length) {
      await system.preadAsync(fd, piece, 0, Math.min(piece.length, length - done), position + done);
    }
  } catch (error) {
    if (!isFsError(error)) throw error;
  }
}

/** The fetches under way, for which descriptors must stay open. */
export class Fetches {
  private readonly underWay = new Set<Promise<unknown>>();

  /** Counts a fetch until it has succeeded or failed, and returns it. */
  add(fetched: Promise<void>): Promise<void> {
    const settled: Promise<unknown> = fetched.then(
      () => this.underWay.delete(settled),
      () => this.underWay.delete(settled),
    );
    this.underWay.add(settled);
    return fetched;
  }

  /** Waits for all of them. */
  async settle(): Promise<void> {
    while (this.underWay.size > 0) await Promise.all(this.underWay);
  }
}
