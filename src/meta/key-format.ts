/**
 * Bytes of the keys of all tables. The tables share one LMDB database; the first byte of a key is its table's number.
 * Numbers in keys are big-endian, so that LMDB's byte order (memcmp, shorter first) is the order of the numbers.
 *
 *   table         key after the table byte                              row
 *   1 layer       u64 layer                                             layer-format
 *   2 tree        UTF-8 bytes of the tree's name, 1 to 255 of them      tree-format
 *   3 inode       u64 layer, u64 inode                                  inode-format
 *   4 dentry      u64 layer, u64 directory inode, 1 to 255 name bytes   dentry-format
 *   5 extent      u64 layer, u64 inode, u32 chunk                       extent-format
 *   6 xattr       u64 layer, u64 inode                                  xattr-format
 *   7 blob        u64 blob                                              blob-format
 *   8 content     32 bytes SHA-256, u64 size in bytes                   content-format
 *   9 orphan      u64 layer, u64 inode                                  no payload
 *  10 counter     ASCII bytes of the counter's name                     counter-format
 *  11 dropped     u64 blob                                              dropped-format
 *  12 external    u64 external blob                                     external-format
 *  13 origin      u64 layer, u64 inode                                  origin-format, of `lower`
 *  14 host        u64 inode, u64 and u32 birth of a host directory,     host-format
 *                 u8 1 when pinned; several may share a key
 */
import { assert, HIGH_MAX, type HostIno, NAME_BYTES_MAX, TWO_32 } from '../base/index.ts';
import { Views } from './views.ts';

export const TABLE = {
  layer: 1,
  tree: 2,
  inode: 3,
  dentry: 4,
  extent: 5,
  xattr: 6,
  blob: 7,
  content: 8,
  orphan: 9,
  counter: 10,
  dropped: 11,
  external: 12,
  origin: 13,
  host: 14,
} as const;

export type TableName = keyof typeof TABLE;

/** One more than the longest key: table, layer, directory, and a name of NAME_MAX bytes. */
export const KEY_BYTES_MAX = 1 + 8 + 8 + NAME_BYTES_MAX + 1;

/** Offsets of the parts of a per-layer key. */
export const LAYER_AT = 1;
export const INO_AT = 9;
export const NAME_AT = 17;
export const CHUNK_AT = 17;
/** Offset of the part after the table byte in the other tables. */
export const PART_AT = 1;

/** Reads a u64 below 2^53. */
export function keyNumber(key: Buffer, at: number): number {
  return key.readUInt32BE(at) * TWO_32 + key.readUInt32BE(at + 4);
}

/** Builds keys in one reused buffer; `view` is valid until the next `start`. */
export class KeyWriter {
  readonly buffer: Buffer;
  length = 0;
  private readonly views = new Views();

  constructor(buffer: Buffer = Buffer.alloc(KEY_BYTES_MAX)) {
    this.buffer = buffer;
  }

  start(table: number): this {
    this.buffer[0] = table;
    this.length = 1;
    return this;
  }

  u32(value: number): this {
    this.length = this.buffer.writeUInt32BE(value, this.length);
    return this;
  }

  u64(value: number): this {
    const high = Math.floor(value / TWO_32);
    assert(value >= 0 && high < HIGH_MAX, `key number ${value} is in [0, 2^53)`);
    const at = this.length;
    this.buffer.writeUInt32BE(high, at);
    this.buffer.writeUInt32BE(value - high * TWO_32, at + 4);
    this.length = at + 8;
    return this;
  }

  /** A u64: an inode number of the host, which may need all 64 bits. */
  hostIno(value: HostIno): this {
    if (typeof value === 'number') return this.u64(value);
    this.length = this.buffer.writeBigUInt64BE(value, this.length);
    return this;
  }

  /** A byte string: one character for each byte, 1 to NAME_MAX of them. */
  name(value: string): this {
    const bytes = value.length;
    assert(bytes > 0 && bytes <= NAME_BYTES_MAX, `key name has ${bytes} bytes, 1 to ${NAME_BYTES_MAX}`);
    this.buffer.write(value, this.length, 'latin1');
    this.length += bytes;
    return this;
  }

  raw(bytes: Uint8Array): this {
    assert(this.length + bytes.length <= KEY_BYTES_MAX, `key part of ${bytes.length} bytes fits`);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
    return this;
  }

  view(): Buffer {
    return this.views.of(this.buffer, this.length);
  }
}

const TABLE_NAMES = new Map<number, TableName>(
  Object.entries(TABLE).map(([name, number]) => [number, name as TableName]),
);

function nameInWords(bytes: Buffer): string {
  return `'${bytes.toString('utf8').replaceAll(/\p{Cc}/gu, '\uFFFD')}'`;
}

/** A key in words, for messages: `inode row of layer 3, inode 17`. */
export function describeKey(key: Buffer): string {
  const table = TABLE_NAMES.get(key[0] ?? 0);
  if (table === undefined) return `row with the unknown key ${key.toString('hex')}`;
  const row = `${table} row`;
  switch (table) {
    case 'tree':
    case 'counter':
      return `${row} ${nameInWords(key.subarray(PART_AT))}`;
    case 'content':
      return `${row} of SHA-256 ${key.toString('hex', PART_AT, PART_AT + 32)}`;
    case 'layer':
    case 'blob':
    case 'dropped':
    case 'external':
      if (key.length < PART_AT + 8) break;
      return `${row} of ${table === 'layer' ? 'layer' : 'blob'} ${keyNumber(key, PART_AT)}`;
    case 'host':
      if (key.length < PART_AT + 8) break;
      return `${row} of host inode ${key.readBigUInt64BE(PART_AT)}`;
    default: {
      if (key.length < NAME_AT) break;
      const place = `layer ${keyNumber(key, LAYER_AT)}`;
      const ino = keyNumber(key, INO_AT);
      if (table === 'dentry')
        return `${row} of ${place}, directory ${ino}, name ${nameInWords(key.subarray(NAME_AT))}`;
      if (table === 'extent' && key.length >= CHUNK_AT + 4)
        return `${row} of ${place}, inode ${ino}, chunk ${key.readUInt32BE(CHUNK_AT)}`;
      return `${row} of ${place}, inode ${ino}`;
    }
  }
  return `${row} with the key ${key.toString('hex')}`;
}
