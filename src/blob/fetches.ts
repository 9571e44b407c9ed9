/** Work on blobs in the thread pool: reads that only fill the page cache, and syncs ahead of an fsync. */
import { isFsError } from '../base/index.ts';
import type { System } from '../sys/index.ts';

const PIECE_BYTES = 1024 * 1024;

/** Reads a range and drops the bytes, to fill the page cache. Ignores failures of the host. */
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

/** The work under way. Descriptors that it uses must stay open until it settles. */
export class Fetches {
  private readonly underWay = new Set<Promise<unknown>>();

  /** Keeps track of a promise until it settles, and returns it. */
  add(fetched: Promise<void>): Promise<void> {
    const settled: Promise<unknown> = fetched.then(
      () => this.underWay.delete(settled),
      () => this.underWay.delete(settled),
    );
    this.underWay.add(settled);
    return fetched;
  }

  /** Resolves when no work is under way. */
  async settle(): Promise<void> {
    while (this.underWay.size > 0) await Promise.all(this.underWay);
  }
}
