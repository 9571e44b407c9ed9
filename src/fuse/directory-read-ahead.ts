/**
 * Reads ahead from one directory to the next. A program that walks a tree visits directories in the order of their
 * parent's listing, each with everything inside it before the next. Meanwhile the server reads the names and inodes of
 * the directory that comes next, a few at a time, so that they are in memory when the program asks for them. No request
 * is answered from here, so nothing can be out of date.
 *
 * One listing does not prove that a program walks the tree. A second listing, of the directory that was expected next,
 * does.
 */
import type { Ino } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { NO_ENTRY } from '../lower/index.ts';
import type { InodeCalls } from '../vfs/index.ts';
import type { ListingCache } from './directory-listing.ts';

/** Number of inodes read in one call of `prepare`. This takes some 10 µs, for which a request may have to wait. */
const INODES_AT_ONCE = 4;
/** Most names in a directory that is read ahead. To read and sort this many takes some 10 ms. */
const NAMES_MAX = 4096;
/** Most entries in `following`. */
const FOLLOWING_MAX = 4096;

export class DirectoryReadAhead {
  private readonly calls: InodeCalls;
  private readonly listings: ListingCache;
  /** For each listed directory, the next one in the same listing. */
  private readonly following = new Map<Ino, Ino>();
  /** The last subdirectory that was noted in the current listing. */
  private last: Ino | undefined;
  /** True when the directory that is being listed is the one that was expected next. */
  private isWalk = false;
  /** The directory that a walk comes to next. */
  private next: Ino | undefined;
  /** True while `next` has to be prepared. */
  private isDue = false;
  /** How many inodes of `next` are in memory; undefined while its names are not. */
  private inodesReady: number | undefined;

  constructor(calls: InodeCalls, listings: ListingCache) {
    this.calls = calls;
    this.listings = listings;
  }

  /** Called when the listing of a directory begins. */
  begin({ ino, record }: Inode): void {
    this.last = undefined;
    this.isWalk = ino === this.next;
    this.expect(this.following.get(ino) ?? this.following.get(record.parent));
  }

  noteListed({ ino, isDirectory }: Inode): void {
    if (!isDirectory) return;
    if (this.last === undefined) this.expect(ino);
    else {
      if (this.following.size >= FOLLOWING_MAX) this.following.clear();
      this.following.set(this.last, ino);
    }
    this.last = ino;
  }

  clear(): void {
    this.following.clear();
    this.last = undefined;
    this.isWalk = false;
    this.expect(undefined);
  }

  private expect(next: Ino | undefined): void {
    this.next = next;
    this.isDue = this.isWalk && next !== undefined;
    this.inodesReady = undefined;
  }

  /** Prepares a piece of the next directory. False if there was nothing to prepare. */
  prepare(): boolean {
    if (!this.isDue || this.next === undefined) return false;
    try {
      this.isDue = this.preparePart(this.next);
    } catch {
      // The program that lists the directory will get the same error.
      this.isDue = false;
    }
    return true;
  }

  /** Reads the names in the first call, and a few inodes in each later call. True while there is more to read. */
  private preparePart(ino: Ino): boolean {
    const { calls } = this;
    const found = calls.peekNames(ino, NAMES_MAX);
    if (found === undefined) return false;
    const { directory } = found;
    const { names } = this.listings.get(directory, () => found.names);
    if (this.inodesReady === undefined) this.inodesReady = 0;
    else {
      const end = Math.min(this.inodesReady + INODES_AT_ONCE, names.length);
      for (; this.inodesReady < end; this.inodesReady++) {
        const name = names[this.inodesReady]!;
        const entry = calls.entry(directory, name);
        if (entry !== NO_ENTRY) calls.inodeOfEntry(directory, name, entry);
      }
    }
    return this.inodesReady < names.length;
  }
}
