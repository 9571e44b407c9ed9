/** Origins of derived inodes: journalled with the first record of one, and stored with it at the next checkpoint. */
import type { ByteWriter, Ino, LayerId } from '../base/index.ts';
import type { DerivedLower } from '../lower/index.ts';
import type { MetaTables } from '../meta/index.ts';
import type { Batch } from './batch.ts';
import { encodeOrigin } from './effect-format.ts';
import type { Inode } from './inode.ts';

export class Origins {
  private readonly pending = new Map<Ino, Uint8Array>();

  /** Puts what a batch's record must say of the derived inodes that nothing has recorded before. */
  encode(derived: DerivedLower, writer: ByteWriter, batch: Batch): void {
    for (const { ino, isUnrecorded } of batch.inodes) {
      const origin = isUnrecorded ? derived.origin(ino) : undefined;
      if (origin === undefined) continue;
      encodeOrigin(writer, ino, origin);
      this.pending.set(ino, origin);
    }
  }

  /** A replayed record says what finds an inode of the base layer. */
  keep(derived: DerivedLower, ino: Ino, origin: Uint8Array): void {
    derived.learn(ino, origin);
    this.pending.set(ino, origin);
  }

  /** To be called before the transactions that store inodes, for those that no record has named: a lazy access time. */
  ask(derived: DerivedLower, inodes: readonly Inode[]): void {
    for (const { ino, isUnrecorded } of inodes) {
      if (!isUnrecorded || this.pending.has(ino)) continue;
      const origin = derived.origin(ino);
      if (origin !== undefined) this.pending.set(ino, origin);
    }
  }

  /**
   * In the transaction that stores the record of the inode in `layer`: for the derived layer, which finds the inode by
   * it, and for the layer, of which it says what the inode was when that began to say something of it.
   */
  store(derived: DerivedLower, tables: MetaTables, layer: LayerId, { ino }: Inode): void {
    const origin = this.pending.get(ino);
    if (origin === undefined) return;
    tables.origins.put(derived.id, ino, origin);
    tables.origins.put(layer, ino, origin);
  }

  /** All that was pending is stored. */
  clear(): void {
    this.pending.clear();
  }
}
