/**
 * Origins of derived inodes. An origin is what a derived layer needs to find the inode again. It is journalled with the
 * first record of its inode, and stored with that record at the next checkpoint.
 */
import type { ByteWriter, Ino, LayerId } from '../base/index.ts';
import type { DerivedLower } from '../lower/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { Batch } from './batch.ts';
import { encodeOrigin } from './effect-format.ts';
import type { Inode } from './inode.ts';

export class Origins {
  private readonly pending = new Map<Ino, Uint8Array>();

  /** Writes the origins of the derived inodes that a batch records for the first time. */
  encode(derived: DerivedLower, writer: ByteWriter, batch: Batch): void {
    for (const { ino, isUnrecorded } of batch.inodes) {
      const origin = isUnrecorded ? derived.origin(ino) : undefined;
      if (origin === undefined) continue;
      encodeOrigin(writer, ino, origin);
      this.pending.set(ino, origin);
    }
  }

  /** For a replay: takes over an origin from a journal record. */
  keep(derived: DerivedLower, ino: Ino, origin: Uint8Array): void {
    derived.learn(ino, origin);
    this.pending.set(ino, origin);
  }

  /**
   * Asks for the origins that were not journalled: an inode of which only a lazy access time changed has no journal
   * record. Call before the transactions that store inodes.
   */
  ask(derived: DerivedLower, inodes: readonly Inode[]): void {
    for (const { ino, isUnrecorded } of inodes) {
      if (!isUnrecorded || this.pending.has(ino)) continue;
      const origin = derived.origin(ino);
      if (origin !== undefined) this.pending.set(ino, origin);
    }
  }

  /**
   * Call in the transaction that stores the inode's record in `layer`. Stores the origin twice: for the derived layer,
   * which needs it to find the inode, and for `layer`, where it says what the inode was when `layer` first recorded it.
   */
  store(derived: DerivedLower, tables: MetaTables, layer: LayerId, { ino }: Inode): void {
    const origin = this.pending.get(ino);
    if (origin === undefined) return;
    tables.origins.put(derived.id, ino, origin);
    tables.origins.put(layer, ino, origin);
  }

  clear(): void {
    this.pending.clear();
  }
}
