/**
 * The bytes of LMDB's own file, `data.mdb`, that Ramet checks before LMDB opens the file. The layout is that of lmdb
 * 3.5 (LMDB data version 2, mdb.c), little-endian as on every supported machine.
 *
 * Page: 24-byte header (u64 page number, u64 transaction, u16 pad, u16 flags, u16 lower, u16 upper), then lower/2
 * offsets of nodes, each a u16 that counts from the end of the header.
 *
 * Pages 0 and 1 are meta pages. After the header: u32 magic, u32 version, u64 address, u64 map size, two tree records
 * of 48 bytes (u32 page size in the first, u16 flags, u16 depth, four u64 counts, u64 root page or -1), u64 last page,
 * u64 transaction. The meta page with the higher transaction is in force. The file may end before the last page if all
 * pages beyond the end of the file are free.
 *
 * Node of a branch page: page number as three u16, low bits first; u16 key length; key.
 *
 * Node of a leaf page: u32 length of the value; u16 flags (bit 0: the value lies on overflow pages); u16 key length;
 * key; value, or u64 first overflow page, u64 transaction, u64 count of pages.
 */
import { DecodeError, TWO_32 } from '../base/index.ts';

const PAGE_HEADER_BYTES = 24;
const PAGE_NUMBER_AT = 0;
const PAGE_FLAGS_AT = 18;
const LOWER_AT = 20;
const BRANCH_FLAG = 0x01;
const LEAF_FLAG = 0x02;
const META_FLAG = 0x08;
const MAGIC_AT = 24;
const MAGIC = 0xbeefc0de;
const VERSION_AT = 28;
const PAGE_SIZE_AT = 48;
const FREE_ROOT_AT = 88;
const MAIN_ROOT_AT = 136;
const LAST_PAGE_AT = 144;
const TRANSACTION_AT = 152;
const NODE_HEADER_BYTES = 8;
const OVERFLOW_FLAG = 0x01;
const OVERFLOW_COUNT_AT = 16;
const NO_PAGE = 0xffffffffffffffffn;

export const LMDB_VERSION = 2;
/** Number of bytes at the start of a meta page that have every field read here. */
export const LMDB_META_BYTES = 168;

export interface LmdbMeta {
  readonly version: number;
  readonly pageBytes: number;
  /** Root pages of the two trees (of free pages, and of rows); an empty tree has none. */
  readonly roots: readonly number[];
  readonly lastPage: number;
  readonly transaction: bigint;
}

/** Decodes a meta page. DecodeError if `page` is no meta page. */
export function decodeLmdbMeta(page: Buffer): LmdbMeta {
  if (page.readUInt32LE(MAGIC_AT) !== MAGIC || (page.readUInt16LE(PAGE_FLAGS_AT) & META_FLAG) === 0) {
    throw new DecodeError('not a meta page');
  }
  const roots = [page.readBigUInt64LE(FREE_ROOT_AT), page.readBigUInt64LE(MAIN_ROOT_AT)];
  return {
    version: page.readUInt32LE(VERSION_AT),
    pageBytes: page.readUInt32LE(PAGE_SIZE_AT),
    roots: roots.filter((root) => root !== NO_PAGE).map(Number),
    lastPage: Number(page.readBigUInt64LE(LAST_PAGE_AT)),
    transaction: page.readBigUInt64LE(TRANSACTION_AT),
  };
}

/**
 * Gets the pages to which a page refers: `count` of them, from `first` on. `isTree` is true for a page of the tree,
 * false for overflow pages.
 */
export type PageVisitor = (first: number, count: number, isTree: boolean) => void;

/**
 * Calls `visit` for the pages to which `page`, a page of a tree, refers. DecodeError if `page` is neither a branch nor
 * a leaf page, if its number is not `number`, or if a node lies outside it.
 */
export function visitReferences(page: Buffer, number: number, visit: PageVisitor): void {
  const flags = page.readUInt16LE(PAGE_FLAGS_AT) & (BRANCH_FLAG | LEAF_FLAG);
  if (flags !== BRANCH_FLAG && flags !== LEAF_FLAG) throw new DecodeError('neither a branch nor a leaf page');
  if (Number(page.readBigUInt64LE(PAGE_NUMBER_AT)) !== number)
    throw new DecodeError('a page of another number');
  const count = page.readUInt16LE(LOWER_AT) >>> 1;
  try {
    for (let index = 0; index < count; index++) {
      const node = PAGE_HEADER_BYTES + page.readUInt16LE(PAGE_HEADER_BYTES + 2 * index);
      const top = page.readUInt16LE(node + 4);
      if (flags === BRANCH_FLAG) {
        visit(top * TWO_32 + page.readUInt32LE(node), 1, true);
      } else if ((top & OVERFLOW_FLAG) !== 0) {
        const value = node + NODE_HEADER_BYTES + page.readUInt16LE(node + 6);
        const pages = page.readBigUInt64LE(value + OVERFLOW_COUNT_AT);
        visit(Number(page.readBigUInt64LE(value)), Number(pages), false);
      }
    }
  } catch (error) {
    if (error instanceof RangeError) throw new DecodeError('a node lies outside its page');
    throw error;
  }
}
