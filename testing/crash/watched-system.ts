/**
 * A system that reports every call that changes or syncs something before the call is made, and remembers what a power
 * cut could undo: every content of each page since its file was last synced; the length of each file at that sync; and
 * the names that were made, removed or moved in each directory since that directory was synced (POSIX promises no
 * more).
 */
import { existsSync, fstatSync, linkSync, mkdtempSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { BLOCK_SIZE, type Random } from '../../src/base/index.ts';
import type { System } from '../../src/sys/index.ts';

/** Contents of a page since the last sync, the synced content first, without the present content. */
type PageVersions = Buffer[];

/** A write that is about to be made: an image may hold the first part of it. */
export interface PendingWrite {
  readonly path: string;
  readonly bytes: Buffer;
  readonly position: number;
}

/** An older content of a page, which a power cut restores. */
export interface LostPage {
  readonly path: string;
  readonly position: number;
  readonly bytes: Buffer;
}

/** A name whose change a power cut undoes. */
export interface LostName {
  readonly path: string;
  /** A copy of the file that had the name before; undefined when there was none. */
  readonly before: string | undefined;
}

export interface LostGrowth {
  readonly path: string;
  readonly sizeBytes: number;
}

/** The unsynced state at some moment, by path: see the fields of WatchedSystem. */
export interface Unsynced {
  readonly pages: ReadonlyMap<string, ReadonlyMap<number, PageVersions>>;
  readonly sizes: ReadonlyMap<string, number>;
  readonly names: ReadonlyMap<string, string | undefined>;
}

/** The same state for a copy of the store, in which files have other paths. */
export function withPaths({ pages, sizes, names }: Unsynced, inCopy: (path: string) => string): Unsynced {
  const moved = <Value>(of: ReadonlyMap<string, Value>): Map<string, Value> =>
    new Map([...of].map(([path, value]) => [inCopy(path), value]));
  return { pages: moved(pages), sizes: moved(sizes), names: moved(names) };
}

const O_CREAT = 0o100;
/**
 * Calls that change the host, or that come just before or after a transaction of the tables. Between two of these calls
 * it makes no difference when a crash comes.
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
  /** The calls among them that change or sync something. */
  pointCount = 0;
  private readonly inner: System;
  private readonly onPoint: (index: number, write: PendingWrite | undefined) => void;
  private readonly paths = new Map<number, string>();
  private readonly unsynced = new Map<string, Map<number, PageVersions>>();
  /** The length at the last sync of each file whose length has changed since. */
  private readonly syncedSizes = new Map<string, number>();
  /** Names that changed since their directory was synced, each with a kept copy of its old file, if there was one. */
  private readonly unsyncedNames = new Map<string, string | undefined>();
  /** Holds a link to each file that lost its name, until `close`. */
  private keptDirectory: string | undefined;
  private readonly keptParent: string;
  private keptFiles = 0;

  /**
   * `keptParent`: a directory outside the store, on the same filesystem. `before`: what was not synced when an earlier
   * process died, if this store is a copy of that moment.
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

  /** Called before a name changes or disappears: keeps the file that it had at the last sync. */
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

  /** The state that is not synced now, with the paths of files in a copy of the store. */
  unsyncedIn(inCopy: (path: string) => string): Unsynced {
    const pages = new Map([...this.unsynced].map(([path, of]) => [path, new Map(of)]));
    return withPaths({ pages, sizes: this.syncedSizes, names: this.unsyncedNames }, inCopy);
  }

  /** Picks changes of names that a power cut now undoes, the latest first. */
  lostNames(random: Random): LostName[] {
    const lost = [...this.unsyncedNames].filter(() => random.below(2) === 0);
    return lost.reverse().map(([path, before]) => ({ path, before }));
  }

  /** Picks files that a power cut now makes as short as they were at their last sync. */
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
      // Reading fails for write-only descriptors: those files are not read before they are synced.
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

  /** Picks older contents of unsynced pages, which a power cut now restores; some pages stay as they are. */
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
