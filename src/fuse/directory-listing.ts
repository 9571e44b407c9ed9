/**
 * The names of a directory in a fixed order: by a hash of the name, which is also the cookie after which readdir(3)
 * continues. A reader may read a listing in pieces, from the kernel's cache, or after it was sorted again, while other
 * names come and go. Even so it gets each name that stays, and gets it exactly once. (ext4 does the same:
 * fs/ext4/dir.c.) An open directory needs no state.
 *
 * Names with the same hash, one pair in 2^52, get consecutive cookies.
 */
import { checksum64, type Name, nameToBytes } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';

/** Cookies of `.` and `..`. */
export const DOT_COOKIE = 1;
export const DOT_DOT_COOKIE = 2;
const FIRST_COOKIE = 3;
const HASH_BITS = 52;

export interface DirectoryListing {
  readonly inode: Inode;
  /** The value of `inode.namesVersion` when this listing was made. */
  readonly version: number;
  readonly names: readonly Name[];
  /** The cookie of each name, ascending. */
  readonly cookies: Float64Array;
}

/** Sorts the names by `hash`, which gives their cookies. Tests pass a hash with collisions. */
export function makeListing(
  inode: Inode,
  names: Iterable<Name>,
  hash: (name: Name) => number = cookieOf,
): DirectoryListing {
  const places = [...names].map((name) => ({ name, cookie: hash(name) }));
  places.sort((a, b) => a.cookie - b.cookie || (a.name < b.name ? -1 : 1));
  const cookies = new Float64Array(places.length);
  let last = 0;
  for (let index = 0; index < places.length; index++) {
    last = Math.max(places[index]!.cookie, last + 1);
    cookies[index] = last;
  }
  return { inode, version: inode.namesVersion, names: places.map(({ name }) => name), cookies };
}

function cookieOf(name: Name): number {
  return FIRST_COOKIE + Number(BigInt.asUintN(HASH_BITS, checksum64(nameToBytes(name))));
}

/** The index of the first name after `cookie`. */
export function indexAfter({ cookies }: DirectoryListing, cookie: number): number {
  let low = 0;
  let high = cookies.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (cookies[middle]! <= cookie) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Keeps the listings of the directories that were read last, with at most `namesMax` names in total. */
export class ListingCache {
  private readonly namesMax: number;
  private readonly listings = new Map<Inode, DirectoryListing>();
  private nameCount = 0;

  constructor(namesMax: number) {
    this.namesMax = namesMax;
  }

  /** The current listing of `inode`. Calls `read` for the names if there is none yet, or if the names have changed. */
  get(inode: Inode, read: () => Iterable<Name>): DirectoryListing {
    const known = this.listings.get(inode);
    if (known !== undefined) this.remove(known);
    const listing = known?.version === inode.namesVersion ? known : makeListing(inode, read());
    this.listings.set(inode, listing);
    this.nameCount += listing.names.length;
    for (const oldest of this.listings.values()) {
      if (this.nameCount <= this.namesMax || oldest === listing) break;
      this.remove(oldest);
    }
    return listing;
  }

  drop(inode: Inode): void {
    const known = this.listings.get(inode);
    if (known !== undefined) this.remove(known);
  }

  clear(): void {
    this.listings.clear();
    this.nameCount = 0;
  }

  private remove(listing: DirectoryListing): void {
    this.listings.delete(listing.inode);
    this.nameCount -= listing.names.length;
  }
}
