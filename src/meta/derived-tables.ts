/** Tables for derived layers, which are not stored as rows: their host directories, and their inodes' origins. */
import type { Ino, LayerId } from '../base/index.ts';
import { decodeHostLayers, encodeHostLayers } from './host-format.ts';
import { TABLE } from './key-format.ts';
import type { HostSource } from './layer-format.ts';
import { inoOfKey, layerRange } from './layer-tables.ts';
import type { Rows } from './rows.ts';

/** By what a derived layer finds an inode again. Only that layer knows what the bytes mean. */
export class OriginTable {
  private readonly rows: Rows;

  constructor(rows: Rows) {
    this.rows = rows;
  }

  get(layer: LayerId, ino: Ino): Buffer | undefined {
    this.rows.at(TABLE.origin).u64(layer).u64(ino);
    return this.rows.find() ? this.rows.decode((reader) => Buffer.from(reader.bytes())) : undefined;
  }

  *entries(layer: LayerId): Generator<[Ino, Buffer]> {
    for (const key of this.rows.scan(layerRange(TABLE.origin, layer)))
      yield [inoOfKey(key), this.rows.decode((reader) => Buffer.from(reader.bytes()))];
  }

  put(layer: LayerId, ino: Ino, origin: Uint8Array): void {
    this.rows.at(TABLE.origin).u64(layer).u64(ino);
    this.rows.payload().bytes(origin);
    this.rows.put();
  }
}

/**
 * The layers that stand for host directories, by what identifies a directory anywhere. A copy of a filesystem or a
 * snapshot of a subvolume shares that with its original, so there may be several layers under one key.
 */
export class HostTable {
  private readonly rows: Rows;

  constructor(rows: Rows) {
    this.rows = rows;
  }

  private at({ ino, birth, isPinned }: HostSource): void {
    const key = this.rows.at(TABLE.host).hostIno(ino);
    key.u64(Math.max(0, birth?.seconds ?? 0)).u32(birth?.nanoseconds ?? 0);
    key.raw(isPinned ? PINNED : NOT_PINNED);
  }

  get(source: HostSource): LayerId[] {
    this.at(source);
    return this.rows.find() ? this.rows.decode(decodeHostLayers) : [];
  }

  add(source: HostSource, layer: LayerId): void {
    this.put(source, [...this.get(source), layer]);
  }

  remove(source: HostSource, layer: LayerId): void {
    const others = this.get(source).filter((other) => other !== layer);
    if (others.length > 0) this.put(source, others);
    else this.rows.remove();
  }

  private put(source: HostSource, layers: readonly LayerId[]): void {
    this.at(source);
    encodeHostLayers(this.rows.payload(), layers);
    this.rows.put();
  }
}

const PINNED = Buffer.from([1]);
const NOT_PINNED = Buffer.from([0]);
