/**
 * Imports a host directory: walks the tree, reads its files, and hands rows and content to the LayerBuilder. The walk
 * itself reads files that are in the page cache. It does not wait for other files: several at a time are read from disk
 * meanwhile.
 */
import {
  FsError,
  type Ino,
  isDirectoryMode,
  isFileMode,
  isSameTimespec,
  isSymlinkMode,
  kindOfMode,
  type Name,
  nameToString,
  type Run,
  wordOfMode,
} from '../base/index.ts';
import type { HostFiles } from '../files/index.ts';
import { hostRecord, isMarkedWhiteout, isWhiteoutDevice } from '../lower/index.ts';
import type { LayerBuilder } from '../store/index.ts';
import type { EarlierVersion } from '../survey/index.ts';
import type { HostStat, System } from '../sys/index.ts';
import type { ArchiveBounds } from './archive-import.ts';
import { ContentReader } from './file-content.ts';
import { GONE, UNREADABLE } from './host-failures.ts';
import { isUnchanged } from './host-tree.ts';
import { ImportTally } from './import-report.ts';
import { ImportSource } from './import-source.ts';
import { Pacing } from './pacing.ts';
import { countBlocks, type FileContent, NO_CONTENT } from './stored-content.ts';
import type { TransferProgress } from './tally.ts';
import { planWhiteouts, putWhiteouts, storedXattrs, type WhiteoutForm } from './whiteouts.ts';

export interface ImportOptions extends ArchiveBounds {
  /** Name of the snapshot to make. */
  readonly name: string;
  /** The earlier tree with which changed files share blocks; default: the latest snapshot of the directory. */
  readonly against?: string | undefined;
  /** Leaves out what cannot be read, with a note, instead of failing. */
  readonly skipUnreadable?: boolean | undefined;
  /** How the tree, as a layer, marks names that it hides in lower layers; default: 'none'. */
  readonly whiteouts?: WhiteoutForm | undefined;
  /** For an archive: the snapshot or fork to unpack it over; the result is one tree. */
  readonly over?: string | undefined;
  /** How many files may be waiting for the disk at once; default: 16. */
  readonly concurrency?: number | undefined;
  /** Called several times a second with the progress of the import. */
  readonly progress?: ((state: TransferProgress) => void) | undefined;
  /** Cancels the import: it fails with ECANCELED and leaves nothing behind. */
  readonly signal?: AbortSignal | undefined;
}

const CONCURRENCY = 16;
/** How many times a file that keeps changing is read. The last reading is stored. */
const ATTEMPTS = 3;

/** An inode to store. If its file has several names, it is kept until the walk has counted them. */
interface LinkedInode {
  readonly ino: Ino;
  readonly stat: HostStat;
  readonly content: FileContent | undefined;
  readonly hasXattrs: boolean;
  readonly target: string;
  /** Inode number of the directory that has the file's first name. */
  readonly parent: Ino;
  names: number;
}

/** A file that has been read. */
interface Taken {
  readonly stat: HostStat;
  readonly content: FileContent;
  readonly xattrs: Map<string, Buffer>;
}

/** The place of an entry in the new tree. */
interface ImportPlace {
  /** Path in the imported directory, a byte string. */
  readonly path: string;
  /** The same for reports, as text, without the leading slash. */
  readonly shown: string;
  readonly directory: Ino;
  readonly name: Name;
  /** True if a whiteout of the same layer hides what lower layers have under the name. */
  readonly isOpaque: boolean;
  /** True if an extended attribute may mark an empty file here as a whiteout. */
  readonly mayBeWhiteout: boolean;
  /** The same directory in the earlier version of the tree. */
  readonly earlierDirectory: Ino | undefined;
}

export class TreeImport {
  readonly tally = new ImportTally();
  private readonly system: System;
  private readonly source: ImportSource;
  private readonly builder: LayerBuilder;
  private readonly options: ImportOptions;
  private readonly earlier: EarlierVersion | undefined;
  private readonly reader: ContentReader;
  private readonly storeStat: HostStat;
  private readonly linked = new Map<string, LinkedInode | 'left out'>();
  private readonly inFlight = new Set<Promise<void>>();
  private readonly concurrency: number;
  private readonly whiteouts: WhiteoutForm;
  private failure: unknown;
  private readonly pacing = new Pacing(() => this.showProgress());
  private current = '';

  constructor(
    system: System,
    files: HostFiles,
    builder: LayerBuilder,
    storeDirectory: string,
    options: ImportOptions,
    earlier: EarlierVersion | undefined,
  ) {
    this.system = system;
    this.source = new ImportSource(files);
    this.builder = builder;
    this.options = options;
    this.earlier = earlier;
    this.reader = new ContentReader(system, builder, earlier);
    this.storeStat = system.statHost(Buffer.from(storeDirectory, 'utf8'), true);
    this.concurrency = Math.max(1, options.concurrency ?? CONCURRENCY);
    this.whiteouts = options.whiteouts ?? 'none';
  }

  async all(stat: HostStat): Promise<void> {
    await this.directory('/', '', this.builder.root, this.builder.root, stat, this.earlier?.root, false);
    await this.settle();
    this.throwFailure();
    this.storeLinked();
    await this.builder.settle();
    this.showProgress();
  }

  /** Waits until nothing is in flight. */
  async settle(): Promise<void> {
    while (this.inFlight.size > 0) await Promise.all(this.inFlight);
  }

  private throwFailure(): void {
    if (this.failure !== undefined) throw this.failure;
    if (this.options.signal?.aborted === true) {
      throw new FsError('ECANCELED', { syscall: 'import', path: this.builder.name });
    }
  }

  private isLeftOut(error: unknown, path: string): error is FsError {
    return (
      this.options.skipUnreadable === true &&
      this.source.isFailureOf(error, path) &&
      UNREADABLE.has(error.code)
    );
  }

  private async breathe(): Promise<void> {
    this.throwFailure();
    if (this.inFlight.size >= this.concurrency) await Promise.race(this.inFlight);
    if (this.pacing.isDue) await this.pacing.turn();
  }

  private showProgress(): void {
    this.options.progress?.(this.tally.progress(this.current));
  }

  /** Imports a directory with its content. Returns false if it was left out. */
  private async directory(
    path: string,
    shown: string,
    ino: Ino,
    parent: Ino,
    stat: HostStat,
    earlierDirectory: Ino | undefined,
    isOpaque: boolean,
  ): Promise<boolean> {
    let found: Name[];
    let hostXattrs: Map<string, Buffer>;
    try {
      found = this.source.names(path);
      hostXattrs = this.source.xattrs(path);
    } catch (error) {
      if (shown === '' || !this.isLeftOut(error, path)) throw error;
      this.tally.unreadable(shown, error);
      return false;
    }
    this.current = shown;
    const plan = planWhiteouts(this.whiteouts, found, hostXattrs, { shown, mode: stat.mode }, this.tally);
    const { names, mayHaveMarked: mayBeWhiteout } = plan;
    const xattrs = plan.xattrs(isOpaque);
    this.tally.whiteouts += putWhiteouts(this.builder, ino, plan.hidden, stat);
    let subdirectories = 0;
    for (const name of names) {
      const place: ImportPlace = {
        path: path === '/' ? `/${name}` : `${path}/${name}`,
        shown: shown === '' ? nameToString(name) : `${shown}/${nameToString(name)}`,
        directory: ino,
        name,
        isOpaque: plan.replaced.has(name),
        mayBeWhiteout,
        earlierDirectory,
      };
      if (await this.entry(place)) subdirectories++;
      if (this.isBreathDue()) await this.breathe();
    }
    this.noteIfChanged(path, shown, stat);
    this.tally.directories++;
    if (xattrs.size > 0) this.builder.putXattrs(ino, xattrs);
    this.builder.putInode(
      ino,
      hostRecord(stat, {
        nlink: 2 + subdirectories,
        parent,
        xattrLayer: xattrs.size > 0 ? this.builder.layer : 0,
      }),
    );
    return true;
  }

  /** Reports a directory whose mtime changed after it was listed. The import went by that list. */
  private noteIfChanged(path: string, shown: string, before: HostStat): void {
    try {
      if (isSameTimespec(before.mtime, this.source.stat(path).mtime)) return;
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
    }
    this.tally.note('changed', shown === '' ? '.' : shown, 'entries came or went while it was read');
  }

  private isBreathDue(): boolean {
    return this.failure !== undefined || this.inFlight.size >= this.concurrency || this.pacing.isDue;
  }

  /** Imports one entry. Returns true if the entry became a subdirectory; a promise only if this has to wait. */
  private entry(place: ImportPlace): boolean | Promise<boolean> {
    let stat: HostStat;
    try {
      stat = this.source.stat(place.path);
    } catch (error) {
      this.noteGone(place, error);
      return false;
    }
    if (isDirectoryMode(stat.mode)) return this.subdirectory(place, stat);
    if (place.mayBeWhiteout && this.isMarkedWhiteout(place, stat)) {
      this.tally.whiteouts += putWhiteouts(this.builder, place.directory, [place.name], stat);
      return false;
    }
    if (stat.nlink > 1) return this.linkedEntry(place, stat).then(() => false);
    if (isFileMode(stat.mode)) this.singleFile(place, stat);
    else this.withoutContent(place, stat);
    return false;
  }

  private isMarkedWhiteout(place: ImportPlace, stat: HostStat): boolean {
    return stat.size === 0 && isMarkedWhiteout(stat, this.source.xattrs(place.path));
  }

  /** Notes a file that went away, or cannot be read and may be left out; throws all other errors. */
  private noteGone(place: ImportPlace, error: unknown): void {
    if (this.source.isFailureOf(error, place.path) && GONE.has(error.code)) {
      this.tally.note('vanished', place.shown, 'went away while the tree was read');
    } else if (this.isLeftOut(error, place.path)) {
      this.tally.unreadable(place.shown, error);
    } else {
      throw error;
    }
  }

  private async subdirectory(place: ImportPlace, stat: HostStat): Promise<boolean> {
    if (stat.ino === this.storeStat.ino && stat.dev === this.storeStat.dev) {
      this.tally.note('store', place.shown, "left out: it is the store's own directory");
      return false;
    }
    const ino = this.builder.newIno();
    const { path, shown, directory, isOpaque } = place;
    const earlier = this.earlier?.directory(place.earlierDirectory, place.name);
    if (!(await this.directory(path, shown, ino, directory, stat, earlier, isOpaque))) return false;
    this.builder.putDentry(place.directory, place.name, ino, kindOfMode(stat.mode));
    return true;
  }

  // Files with one name.

  private singleFile(place: ImportPlace, stat: HostStat): void {
    const taken = this.takeFile(place, stat);
    if (!(taken instanceof Promise)) {
      if (taken !== undefined) this.storeSingle(place, taken);
      return;
    }
    const work: Promise<void> = taken
      .then((result) => {
        if (result !== undefined) this.storeSingle(place, result);
      })
      .catch((error: unknown) => {
        this.failure ??= error;
      })
      .finally(() => this.inFlight.delete(work));
    this.inFlight.add(work);
  }

  private storeSingle(place: ImportPlace, { stat, content, xattrs }: Taken): void {
    const ino = this.builder.newIno();
    this.builder.putDentry(place.directory, place.name, ino, kindOfMode(stat.mode));
    const hasXattrs = xattrs.size > 0;
    const { directory: parent } = place;
    this.storeInode(ino, { ino, stat, content, hasXattrs, target: '', names: 1, parent });
    this.storeParts(ino, content, xattrs);
    this.tally.count(content);
  }

  private storeParts(ino: Ino, content: FileContent, xattrs: Map<string, Buffer>): void {
    if (content.runs.length > 0) this.builder.putRuns(ino, content.runs);
    if (xattrs.size > 0) this.builder.putXattrs(ino, xattrs);
  }

  private storeInode(ino: Ino, inode: LinkedInode): void {
    const content = inode.content ?? NO_CONTENT;
    this.builder.putInode(
      ino,
      hostRecord(inode.stat, {
        nlink: inode.names,
        size: isSymlinkMode(inode.stat.mode) ? inode.target.length : content.sizeBytes,
        blocks: countBlocks(content.runs),
        extentLayer: content.runs.length > 0 ? this.builder.layer : 0,
        xattrLayer: inode.hasXattrs ? this.builder.layer : 0,
        parent: inode.parent,
        target: inode.target,
      }),
    );
  }

  /** Reads a regular file. Undefined if it is left out; the tally then has a note. */
  private takeFile(
    place: ImportPlace,
    stat: HostStat,
    attempt = 1,
  ): Taken | undefined | Promise<Taken | undefined> {
    let fd: number;
    try {
      fd = this.source.open(place.path);
    } catch (error) {
      this.noteGone(place, error);
      return undefined;
    }
    const attempted: Attempt = { fd, stat, isLast: attempt >= ATTEMPTS, taken: undefined };
    let content: ReturnType<ContentReader['read']>;
    try {
      const verify = (lengthRead: number): boolean => this.verify(place, attempted, lengthRead);
      const earlierRuns = (): readonly Run[] => this.earlier?.runs(place.earlierDirectory, place.name) ?? [];
      const shown = (): string => this.source.shown(place.path);
      content = this.reader.read({ fd, shown, stat, verify, earlierRuns });
    } catch (error) {
      return this.tookNothing(place, fd, error);
    }
    if (!(content instanceof Promise)) return this.took(place, attempted, content, attempt);
    return content.then(
      (result) => this.took(place, attempted, result, attempt),
      (error: unknown) => this.tookNothing(place, fd, error),
    );
  }

  private tookNothing(place: ImportPlace, fd: number, error: unknown): undefined {
    this.system.close(fd);
    this.noteGone(place, error);
    return undefined;
  }

  /**
   * Sets `attempted.taken`. True if the bytes read are to be stored: the file did not change meanwhile, or this was the
   * last attempt, which gets a note in the report.
   */
  private verify(place: ImportPlace, attempted: Attempt, lengthRead: number): boolean {
    attempted.taken = { stat: attempted.stat, xattrs: this.xattrs(place, attempted.stat, attempted.fd) };
    const after = this.source.stat(place.path);
    if (lengthRead === attempted.stat.size && isUnchanged(attempted.stat, after)) return true;
    if (!attempted.isLast) return false;
    this.tally.note(
      'changed',
      place.shown,
      `changed while it was read, ${ATTEMPTS} times; stored as last read`,
    );
    return true;
  }

  /** The extended attributes to store for the file at a place; with `fd`, they are read from the open file. */
  private xattrs({ path, shown }: ImportPlace, { mode }: HostStat, fd?: number): Map<string, Buffer> {
    const found =
      fd === undefined
        ? this.source.xattrs(path)
        : this.source.xattrsOf(path, () => this.system.readFileXattrs(fd));
    return storedXattrs(this.whiteouts, found, { shown, mode }, this.tally);
  }

  private took(
    place: ImportPlace,
    attempted: Attempt,
    content: FileContent | undefined,
    attempt: number,
  ): Taken | undefined | Promise<Taken | undefined> {
    this.system.close(attempted.fd);
    if (content !== undefined && attempted.taken !== undefined) return { ...attempted.taken, content };
    let stat: HostStat;
    try {
      stat = this.source.stat(place.path);
    } catch (error) {
      this.noteGone(place, error);
      return undefined;
    }
    if (isFileMode(stat.mode)) return this.takeFile(place, stat, attempt + 1);
    this.tally.note(
      'changed',
      place.shown,
      `left out: it became a ${wordOfMode(stat.mode)} while it was read`,
    );
    return undefined;
  }

  // Everything else.

  /** A symlink, fifo, socket or device with one name. */
  private withoutContent(place: ImportPlace, stat: HostStat): void {
    const inode = this.takeSpecial(place, stat);
    if (inode === undefined) return;
    this.builder.putDentry(place.directory, place.name, inode.ino, kindOfMode(stat.mode));
    this.storeInode(inode.ino, inode);
  }

  private takeSpecial(place: ImportPlace, stat: HostStat): LinkedInode | undefined {
    let target = '';
    let xattrs: Map<string, Buffer>;
    try {
      if (isSymlinkMode(stat.mode)) {
        target = this.source.linkTarget(place.path);
      }
      xattrs = this.xattrs(place, stat);
    } catch (error) {
      this.noteGone(place, error);
      return undefined;
    }
    if (isSymlinkMode(stat.mode)) this.tally.symlinks++;
    else if (this.whiteouts !== 'none' && isWhiteoutDevice(stat)) this.tally.whiteouts++;
    else this.tally.special(place.shown, wordOfMode(stat.mode));
    const ino = this.builder.newIno();
    if (xattrs.size > 0) this.builder.putXattrs(ino, xattrs);
    const hasXattrs = xattrs.size > 0;
    return { ino, stat, content: undefined, hasXattrs, target, names: 1, parent: place.directory };
  }

  /** Imports one of several names of a file. The content is read for the first name only. */
  private async linkedEntry(place: ImportPlace, stat: HostStat): Promise<void> {
    const key = `${stat.dev}:${stat.ino}`;
    const known = this.linked.get(key);
    if (known === 'left out') {
      this.tally.note('unreadable', place.shown, 'left out: another name of a file that was left out');
      return;
    }
    if (known !== undefined) {
      known.names++;
      this.tally.hardLinks++;
      this.builder.putDentry(place.directory, place.name, known.ino, kindOfMode(known.stat.mode));
      return;
    }
    const inode = isFileMode(stat.mode)
      ? await this.takeLinkedFile(place, stat)
      : this.takeSpecial(place, stat);
    this.linked.set(key, inode ?? 'left out');
    if (inode === undefined) return;
    this.builder.putDentry(place.directory, place.name, inode.ino, kindOfMode(inode.stat.mode));
  }

  private async takeLinkedFile(place: ImportPlace, before: HostStat): Promise<LinkedInode | undefined> {
    const taken = await this.takeFile(place, before);
    if (taken === undefined) return undefined;
    const { stat, content, xattrs } = taken;
    const ino = this.builder.newIno();
    this.storeParts(ino, content, xattrs);
    this.tally.count(content);
    const hasXattrs = xattrs.size > 0;
    return { ino, stat, content, hasXattrs, target: '', names: 1, parent: place.directory };
  }

  /** Stores the inodes of files with several names: after the walk, since only names in the tree count. */
  private storeLinked(): void {
    for (const inode of this.linked.values()) {
      if (inode !== 'left out') this.storeInode(inode.ino, inode);
    }
  }
}

/** One attempt at reading a file. */
interface Attempt {
  readonly fd: number;
  readonly stat: HostStat;
  readonly isLast: boolean;
  /** Set by `verify` after the bytes were read. */
  taken: Omit<Taken, 'content'> | undefined;
}
