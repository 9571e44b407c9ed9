/**
 * A system that tells of every call that changes or syncs something before it is made, and remembers what a power cut
 * could take back: for each page of each file, every content that it has had since the file was last synced; the length
 * of each file then; and the names that were made, taken away or moved in each directory since that was last synced
 * (POSIX promises no more).
 */
import { existsSync, fstatSync, linkSync, mkdtempSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { BLOCK_SIZE, type Random } from '../../src/base/index.ts';
import type { System } from '../../src/sys/index.ts';

/** Contents of a page since the last sync, the synced one first; the present one is not among them. */
type PageVersions = Buffer[];

/** A write that is about to be made, for tearing it. */
export interface PendingWrite {
  readonly path: string;
  readonly bytes: Buffer;
  readonly position: number;
}

/** A page that a power cut puts back. */
export interface LostPage {
  readonly path: string;
  readonly position: number;
  readonly bytes: Buffer;
}

/** A name that a power cut puts back. */
export interface LostName {
  readonly path: string;
  /** A copy of the file that had the name before; undefined when there was none. */
  readonly before: string | undefined;
}

export interface LostGrowth {
  readonly path: string;
  readonly sizeBytes: number;
}

/** What was not synced at some moment, by path: see the fields of WatchedSystem. */
export interface Unsynced {
  readonly pages: ReadonlyMap<string, ReadonlyMap<number, PageVersions>>;
  readonly sizes: ReadonlyMap<string, number>;
  readonly names: ReadonlyMap<string, string | undefined>;
}

/** The same of a copy of the store, where a file has another path. */
export function withPaths({ pages, sizes, names }: Unsynced, inCopy: (path: string) => string): Unsynced {
  const moved = <Value>(of: ReadonlyMap<string, Value>): Map<string, Value> =>
    new Map([...of].map(([path, value]) => [inCopy(path), value]));
  return { pages: moved(pages), sizes: moved(sizes), names: moved(names) };
}

const O_CREAT = 0o100;
/**
 * Calls after which the host is not what it was before, or which stand beside a transaction of the tables. Between two
 * of them a crash leaves the same, whatever is read meanwhile.
 */
const POINTS: ReadonlySet<string | symbol> = new Set([
  'open',
  'close',
  'pwrite',
  'allocate',
  'punch',
  'truncate',
  'dataSync',
  'fullSync',
  'tryLock',
  'unlock',
  'rename',
  'unlink',
  'makeDirectory',
  'syncDirectory',
  'cloneFile',
  'cloneRange',
]);

export class WatchedSystem {
  readonly system: System;
  /** All calls so far. */
  callCount = 0;
  /** Those of them that change or sync something. */
  pointCount = 0;
  private readonly inner: System;
  private readonly onPoint: (index: number, write: PendingWrite | undefined) => void;
  private readonly paths = new Map<number, string>();
  private readonly unsynced = new Map<string, Map<number, PageVersions>>();
  /** Length of a file at its last sync, for those that changed theirs since. */
  private readonly syncedSizes = new Map<string, number>();
  /** Names changed since their directory was synced, with what they were before. */
  private readonly unsyncedNames = new Map<string, string | undefined>();
  /** Files that lost their names are kept here by another name, until the end. */
  private keptDirectory: string | undefined;
  private readonly keptParent: string;
  private keptFiles = 0;

  /**
   * `keptParent`: a directory on the filesystem that the store is on, and outside the store. `before`: what a process
   * left that died on a copy of the store.
   */
  constructor(
    inner: System,
    onPoint: (index: number, write: PendingWrite | undefined) => void,
    keptParent: string = tmpdir(),
    before?: Unsynced,
  ) {
    this.inner = inner;
    this.keptParent = keptParent;
    this.onPoint = onPoint;
    for (const [path, pages] of before?.pages ?? []) this.unsynced.set(path, new Map(pages));
    for (const [path, sizeBytes] of before?.sizes ?? []) this.syncedSizes.set(path, sizeBytes);
    for (const [path, kept] of before?.names ?? []) this.unsyncedNames.set(path, kept);
    this.system = new Proxy(inner, { get: (_target, key) => this.member(key) });
  }

  private member(key: string | symbol): unknown {
    const value: unknown = Reflect.get(this.inner, key, this.inner);
    if (typeof value !== 'function') return value;
    return (...args: unknown[]) => {
      this.callCount++;
      if (POINTS.has(key))
        this.onPoint(this.pointCount++, key === 'pwrite' ? this.pendingWrite(args) : undefined);
      this.before(key, args);
      this.beforeNames(key, args);
      const result: unknown = Reflect.apply(value, this.inner, args);
      // The first argument of open is its path, and its result a descriptor.
      if (key === 'open') this.paths.set(result as number, args[0] as string);
      return result;
    };
  }

  // The arguments below are those of the calls named in System.

  private pendingWrite(args: readonly unknown[]): PendingWrite {
    const [fd, source, offset, length, position] = args as [number, Uint8Array, number, number, number];
    return {
      path: this.paths.get(fd)!,
      bytes: Buffer.from(source.subarray(offset, offset + length)),
      position,
    };
  }

  private before(key: string | symbol, args: readonly unknown[]): void {
    const path = typeof args[0] === 'number' ? this.paths.get(args[0]) : String(args[0]);
    if (path === undefined) return;
    if (key === 'pwrite') this.keepPages(args[0] as number, path, args[4] as number, args[3] as number);
    else if (key === 'dataSync' || key === 'fullSync' || key === 'unlink') {
      this.unsynced.delete(path);
      this.syncedSizes.delete(path);
    } else if (key === 'truncate') this.forget(path, args[1] as number, Number.POSITIVE_INFINITY);
    else if (key === 'punch') this.forget(path, args[1] as number, args[2] as number);
    else if (key === 'rename') this.move(path, args[1] as string);
    else if (key === 'close') this.paths.delete(args[0] as number);
  }

  private beforeNames(key: string | symbol, args: readonly unknown[]): void {
    if (key === 'allocate' || key === 'pwrite' || key === 'truncate') {
      const path = this.paths.get(args[0] as number);
      if (path !== undefined && !this.syncedSizes.has(path))
        this.syncedSizes.set(path, fstatSync(args[0] as number).size);
    } else if (key === 'open') {
      const [path, flags] = args as [string, number];
      if ((flags & O_CREAT) !== 0 && !existsSync(path)) this.changeName(path);
    } else if (key === 'makeDirectory') {
      if (!existsSync(args[0] as string)) this.changeName(args[0] as string);
    } else if (key === 'unlink') this.changeName(args[0] as string);
    else if (key === 'rename') {
      this.changeName(args[0] as string);
      this.changeName(args[1] as string);
    } else if (key === 'syncDirectory') {
      for (const path of this.unsyncedNames.keys())
        if (dirname(path) === args[0]) this.unsyncedNames.delete(path);
    }
  }

  /** The name is about to stand for something else, or nothing. What it was at the last sync is what counts. */
  private changeName(path: string): void {
    if (this.unsyncedNames.has(path)) return;
    if (!existsSync(path)) {
      this.unsyncedNames.set(path, undefined);
      return;
    }
    this.keptDirectory ??= mkdtempSync(`${this.keptParent}/ramet-kept-`);
    const kept = `${this.keptDirectory}/${this.keptFiles++}`;
    linkSync(path, kept);
    this.unsyncedNames.set(path, kept);
  }

  /** What is not synced now, with the paths that the files have in a copy of the store. */
  unsyncedIn(inCopy: (path: string) => string): Unsynced {
    const pages = new Map([...this.unsynced].map(([path, of]) => [path, new Map(of)]));
    return withPaths({ pages, sizes: this.syncedSizes, names: this.unsyncedNames }, inCopy);
  }

  /** Some of the names that a power cut puts back now, the latest first. */
  lostNames(random: Random): LostName[] {
    const lost = [...this.unsyncedNames].filter(() => random.below(2) === 0);
    return lost.reverse().map(([path, before]) => ({ path, before }));
  }

  /** Some of the files that a power cut makes as short as they were. */
  lostGrowth(random: Random): LostGrowth[] {
    const grown = [...this.syncedSizes].filter(() => random.below(2) === 0);
    return grown.map(([path, sizeBytes]) => ({ path, sizeBytes }));
  }

  close(): void {
    if (this.keptDirectory !== undefined) rmSync(this.keptDirectory, { recursive: true, force: true });
  }

  private keepPages(fd: number, path: string, position: number, length: number): void {
    const pages = this.unsynced.get(path) ?? new Map<number, PageVersions>();
    this.unsynced.set(path, pages);
    const last = Math.floor((position + length - 1) / BLOCK_SIZE);
    for (let page = Math.floor(position / BLOCK_SIZE); page <= last; page++) {
      const bytes = Buffer.alloc(BLOCK_SIZE);
      // Write-only descriptors are used for files that nobody reads before they are synced.
      try {
        readSync(fd, bytes, 0, BLOCK_SIZE, page * BLOCK_SIZE);
      } catch {
        bytes.fill(0);
      }
      pages.set(page, [...(pages.get(page) ?? []), bytes]);
    }
  }

  private forget(path: string, position: number, length: number): void {
    const pages = this.unsynced.get(path);
    for (const page of pages?.keys() ?? []) {
      if (page * BLOCK_SIZE >= position && page * BLOCK_SIZE < position + length) pages?.delete(page);
    }
  }

  private move(from: string, to: string): void {
    const pages = this.unsynced.get(from);
    this.unsynced.delete(from);
    if (pages === undefined) this.unsynced.delete(to);
    else this.unsynced.set(to, pages);
  }

  /** What a power cut loses now: of each page that was not synced, by chance, nothing or the last few of its writes. */
  lostPages(random: Random): LostPage[] {
    const lost: LostPage[] = [];
    for (const [path, pages] of this.unsynced) {
      for (const [page, versions] of pages) {
        const bytes = versions[random.below(versions.length + 1)];
        if (bytes !== undefined) lost.push({ path, position: page * BLOCK_SIZE, bytes });
      }
    }
    return lost;
  }
}
