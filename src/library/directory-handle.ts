/**
 * `fs.Dir`: a directory that is read entry by entry. The entries are those at the moment of opening; with `recursive`,
 * `readSync` reads the entries of a subdirectory when it reaches the subdirectory.
 */
import { join as joinText } from 'node:path/posix';
import { DT_DIR } from '../base/index.ts';
import type { DirectoryEntry, TreeFiles } from '../vfs/index.ts';
import type { CommonOptions } from './arguments.ts';
import { checkFunction } from './arguments.ts';
import { Dirent } from './directory-entry.ts';
import { failureOf, withCode } from './errors.ts';
import { encodeName, joinBytes } from './paths.ts';

/** An entry that was not returned yet, with its directory. */
interface PendingEntry {
  readonly entry: DirectoryEntry;
  readonly bytes: string;
  readonly shown: string | Uint8Array;
}

function closedError(): Error {
  return withCode(new Error('Directory handle was closed'), 'ERR_DIR_CLOSED');
}

export class Dir {
  readonly path: string | Uint8Array;
  readonly #fileSystem: TreeFiles;
  readonly #options: CommonOptions;
  #pending: PendingEntry[];
  #next = 0;
  #isClosed = false;

  constructor(
    fileSystem: TreeFiles,
    bytes: string,
    shown: string | Uint8Array,
    entries: readonly DirectoryEntry[],
    options: CommonOptions,
  ) {
    this.#fileSystem = fileSystem;
    this.path = shown;
    this.#options = options;
    this.#pending = entries.map((entry) => ({ entry, bytes, shown }));
  }

  readSync(): Dirent | null {
    if (this.#isClosed) throw closedError();
    const pending = this.#pending[this.#next++];
    if (pending === undefined) return null;
    const { entry, bytes, shown } = pending;
    if (this.#options.recursive && entry.kind === DT_DIR) this.descend(entry.name, bytes, shown);
    return new Dirent(encodeName(entry.name, this.#options.encoding), shown, entry.kind);
  }

  private descend(name: string, bytes: string, shown: string | Uint8Array): void {
    const child = joinBytes(bytes, name);
    const shownChild = joinText(String(shown), String(encodeName(name, 'utf8')));
    try {
      for (const entry of this.#fileSystem.readDirectory(child)) {
        this.#pending.push({ entry, bytes: child, shown: shownChild });
      }
    } catch (error) {
      throw failureOf(error, 'opendir', shownChild);
    }
  }

  /** Calls the callback with the next entry; without a callback, returns a promise of the entry. */
  read(callback?: unknown): Promise<Dirent | null> | undefined {
    if (this.#isClosed) throw closedError();
    if (callback === undefined) return this.readPromise();
    checkFunction(callback, 'callback');
    this.readPromise().then(
      (entry) => setImmediate(callback, null, entry),
      (error: unknown) => setImmediate(callback, error, null),
    );
    return undefined;
  }

  private async readPromise(): Promise<Dirent | null> {
    return this.readSync();
  }

  closeSync(): void {
    if (this.#isClosed) throw closedError();
    this.#isClosed = true;
    this.#pending = [];
  }

  close(callback?: unknown): Promise<void> | undefined {
    if (callback === undefined) return this.closePromise();
    checkFunction(callback, 'callback');
    this.closePromise().then(
      () => setImmediate(callback, null),
      (error: unknown) => setImmediate(callback, error),
    );
    return undefined;
  }

  private async closePromise(): Promise<void> {
    this.closeSync();
  }

  /** Yields every entry, then closes the directory. */
  async *entries(): AsyncGenerator<Dirent> {
    try {
      for (;;) {
        const entry = this.readSync();
        if (entry === null) return;
        yield entry;
      }
    } finally {
      this.closeSync();
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<Dirent> {
    return this.entries();
  }

  [Symbol.dispose](): void {
    if (!this.#isClosed) this.closeSync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed) this.closeSync();
  }
}
