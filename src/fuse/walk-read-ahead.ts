/** Reads ahead of a program that walks a tree: first files of the last listed directory, then the next directory. */
import type { Ino } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import type { InodeCalls } from '../vfs/index.ts';
import type { ListingCache } from './directory-listing.ts';
import { DirectoryReadAhead } from './directory-read-ahead.ts';
import { FileReadAhead } from './file-read-ahead.ts';

export class WalkReadAhead {
  readonly files: FileReadAhead;
  readonly directories: DirectoryReadAhead;
  /** The directory that was listed last. */
  private listed: Ino | undefined;

  constructor(calls: InodeCalls, listings: ListingCache) {
    this.files = new FileReadAhead(calls);
    this.directories = new DirectoryReadAhead(calls, listings);
  }

  /** Called for each piece of a directory's listing; `isStart` is true for the first. */
  begin(directory: Inode, isStart: boolean): void {
    if (!isStart && this.listed === directory.ino) return;
    this.listed = directory.ino;
    this.files.clear();
    this.directories.begin(directory);
  }

  noteListed(inode: Inode): void {
    this.files.noteListed(inode);
    this.directories.noteListed(inode);
  }

  clear(): void {
    this.listed = undefined;
    this.files.clear();
    this.directories.clear();
  }

  /** Prepares a piece of what the program will ask for next. Returns false if there was nothing to prepare. */
  prepare(): boolean {
    return this.files.prepare() || this.directories.prepare();
  }
}
