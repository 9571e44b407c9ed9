/** Branded numbers and strings, so that a block index cannot be passed as an inode number. */

declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Number of a blob, store-wide, from 1, never reused. */
export type BlobId = Brand<number, 'BlobId'>;
/** Number of a layer, store-wide, from 1, never reused. */
export type LayerId = Brand<number, 'LayerId'>;
/** Inode number, store-wide, below 2^53, never reused. */
export type Ino = Brand<number, 'Ino'>;
/**
 * An inode number of the host, of which some filesystems use all 64 bits (overlayfs with xino, mergerfs, CIFS). A
 * number below 2^53, else a bigint: so equal inode numbers are `===`, and different ones never are.
 */
export type HostIno = number | bigint;
/** Index of a 4,096-byte block, in a file (logical) or in a blob (physical); the variable's name says which. */
export type BlockIndex = Brand<number, 'BlockIndex'>;
/** An address of this process, as returned by mmap(2); below 2^47 on every supported machine. */
export type Address = Brand<number, 'Address'>;

/**
 * A file name as bytes: a string in which every character is one byte (0x01 to 0xff). ASCII names read as
 * themselves; others are the bytes of their UTF-8 form. Plain string comparison is byte order.
 */
export type Name = Brand<string, 'Name'>;

export const BLOCK_SIZE = 4096;
/** The unit in which stat(2) counts allocated space. */
export const SECTOR_BYTES = 512;
export const SECTORS_PER_BLOCK = BLOCK_SIZE / SECTOR_BYTES;

/** Blocks needed to hold `bytes`. */
export function blocksFor(bytes: number): number {
  return Math.ceil(bytes / BLOCK_SIZE);
}
