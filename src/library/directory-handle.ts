/** opendir: a directory that is read entry by entry. Its names are those of the moment it was opened. */
import { join as joinText } from 'node:path/posix';
import { O_DIRECTORY, O_RDONLY } from '../sys/index.ts';
import type { DirectoryEntry } from '../vfs/index.ts';
import type { CommonOptions } from './arguments.ts';
import { checkFunction, checkUint32, optionsOf } from './arguments.ts';
import type { CoreFileSystem } from './core.ts';
import { Dirent, KIND_DIRECTORY } from './directory-entry.ts';
import { errorWithCode, failAsNode, failureOf } from './errors.ts';
import type { PathArgument } from './paths.ts';
import { bytePath, encodeName, joinBytes, shownPath } from './paths.ts';

type EntryCallback = (error: unknown, entry: Dirent | null) => void;
type CloseCallback = (error: unknown) => void;

/** Names yet to be given out, with the directory they are in. */
interface PendingEntry {
  readonly entry: DirectoryEntry;
  readonly bytes: string;
  readonly shown: string | Uint8Array;
}

function closedError(): Error {
  return errorWithCode('ERR_DIR_CLOSED', 'Directory handle was closed');
}

/** fs.Dir. */
export class Dir {
  readonly path: string | Uint8Array;
  readonly #fileSystem: CoreFileSystem;
  readonly #options: CommonOptions;
  #pending: PendingEntry[];
  #next = 0;
  #isClosed = false;

  constructor(
    fileSystem: CoreFileSystem,
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
    if (this.#options.recursive && entry.kind === KIND_DIRECTORY) this.descend(entry.name, bytes, shown);
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

  /** With a callback, or as a promise without. */
  read(callback?: unknown): Promise<Dirent | null> | undefined {
    if (this.#isClosed) throw closedError();
    if (callback === undefined) return this.readPromise();
    checkFunction(callback, 'callback');
    // The cast: a callback's parameters are the caller's word; these are what Node passes.
    const tell = callback as EntryCallback;
    this.readPromise().then(
      (entry) => setImmediate(tell, null, entry),
      (error: unknown) => setImmediate(tell, error, null),
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
    // The cast: as in `read`.
    const tell = callback as CloseCallback;
    this.closePromise().then(
      () => setImmediate(tell, null),
      (error: unknown) => setImmediate(tell, error),
    );
    return undefined;
  }

  private async closePromise(): Promise<void> {
    this.closeSync();
  }

  /** Every entry, then closes. */
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

export class DirectoryHandleCalls {
  private readonly fileSystem: CoreFileSystem;

  constructor(fileSystem: CoreFileSystem) {
    this.fileSystem = fileSystem;
  }

  /** As in Node, errors of the synchronous form alone do not name the path. */
  opendirSync(path: unknown, options?: unknown): Dir {
    return this.openDirectory(path, options);
  }

  /** What the promise and callback forms do. */
  opendirNamed(path: unknown, options?: unknown): Dir {
    return this.openDirectory(path, options);
  }

  private openDirectory(path: unknown, options: unknown): Dir {
    const bytes = bytePath(path);
    const given = optionsOf(options);
    if (given.bufferSize !== undefined) checkUint32(given.bufferSize, 'options.bufferSize', 1);
    // The cast: bytePath has thrown unless this is one of the three.
    const shown = shownPath(path as PathArgument);
    const file = this.fileSystem.open(bytes, O_RDONLY | O_DIRECTORY, 0);
    try {
      const entries = this.fileSystem.openDirectoryEntries(file);
      return new Dir(this.fileSystem, bytes, shown, entries, given);
    } finally {
      this.fileSystem.close(file);
    }
  }
}

failAsNode(DirectoryHandleCalls.prototype, { opendirSync: ['opendir'], opendirNamed: ['opendir', 1] });
