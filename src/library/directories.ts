/** Directories: mkdir, mkdtemp, rmdir, rm, readdir, opendir. */
import { randomBytes } from 'node:crypto';
import { dirname, join as joinText, relative } from 'node:path/posix';
import { DT_DIR, DT_LNK, isDirectoryMode, isFsError, nameToString } from '../base/index.ts';
import { O_DIRECTORY, O_RDONLY } from '../sys/index.ts';
import type { DirectoryEntry } from '../vfs/index.ts';
import type { CommonOptions } from './arguments.ts';
import { checkBoolean, checkInt32, checkObject, checkUint32, fileMode, optionsOf } from './arguments.ts';
import { Calls } from './calls.ts';
import { Dirent } from './directory-entry.ts';
import { Dir } from './directory-handle.ts';
import { failAsNode, failureOf, invalidArgumentType, systemError } from './errors.ts';
import type { PathArgument } from './paths.ts';
import { bytePath, encodeName, joinBytes, shownPath } from './paths.ts';

interface RemoveOptions {
  readonly recursive: boolean;
  readonly force: boolean;
}

/**
 * Checks the options of rm and rmdir. Accepts retry options but does not use them, because no failure here is
 * temporary.
 */
function removeOptions(options: unknown): RemoveOptions {
  if (options === undefined) return { recursive: false, force: false };
  checkObject(options, 'options');
  const given: { recursive?: unknown; force?: unknown; retryDelay?: unknown; maxRetries?: unknown } = options;
  const { recursive = false, force = false, retryDelay = 100, maxRetries = 0 } = given;
  checkBoolean(recursive, 'options.recursive');
  checkInt32(retryDelay, 'options.retryDelay', 0);
  checkUint32(maxRetries, 'options.maxRetries');
  checkBoolean(force, 'options.force');
  return { recursive, force };
}

/** Sorts names by bytes, as scandir(3) does. Most lists come sorted, and then one pass is enough. */
function sortNames(names: string[]): string[] {
  for (let index = 1; index < names.length; index++) {
    if (names[index - 1]! > names[index]!) return names.sort();
  }
  return names;
}

function sortEntries(entries: DirectoryEntry[]): DirectoryEntry[] {
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

const TEMPORARY_LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

/** Six random characters, which mkdtemp(3) puts at the end of a name. */
function temporarySuffix(): string {
  let suffix = '';
  for (const byte of randomBytes(6)) suffix += TEMPORARY_LETTERS[byte % TEMPORARY_LETTERS.length];
  return suffix;
}

export class DirectoryCalls extends Calls {
  /** With `recursive`, returns the path of the uppermost directory that it made; undefined if it made none. */
  mkdirSync(path: unknown, options?: unknown): string | undefined {
    let mode: unknown = 0o777;
    let recursive: unknown = false;
    if (typeof options === 'number' || typeof options === 'string') mode = options;
    else if (typeof options === 'object' && options !== null) {
      const given: { mode?: unknown; recursive?: unknown } = options;
      mode = given.mode ?? 0o777;
      recursive = given.recursive ?? false;
    }
    const bytes = bytePath(path);
    checkBoolean(recursive, 'options.recursive');
    const bits = fileMode(mode, 'mode');
    if (recursive) return this.makeAll(bytes, bits);
    this.fileSystem.makeDirectory(bytes, bits);
    return undefined;
  }

  /** Goes up until a directory can be made, then makes those below it. */
  private makeAll(path: string, mode: number): string | undefined {
    const pending = [path];
    let first: string | undefined;
    while (pending.length > 0) {
      const next = pending.at(-1)!;
      try {
        this.fileSystem.makeDirectory(next, mode);
        first ??= next;
        pending.pop();
      } catch (error) {
        if (isFsError(error, 'EEXIST')) {
          this.checkIsDirectory(next, error);
          pending.pop();
        } else if (isFsError(error, 'ENOENT') && dirname(next) !== next && next !== '') {
          pending.push(dirname(next));
        } else throw error;
      }
    }
    return first === undefined ? undefined : nameToString(first);
  }

  private checkIsDirectory(path: string, refusal: unknown): void {
    const attributes = this.fileSystem.stat(path, true);
    if (!isDirectoryMode(attributes.mode)) throw refusal;
  }

  mkdtempSync(prefix: unknown, options?: unknown): string | Buffer {
    const { encoding } = optionsOf(options);
    const bytes = bytePath(prefix, 'prefix');
    for (;;) {
      const path = bytes + temporarySuffix();
      try {
        this.fileSystem.makeDirectory(path, 0o700);
        return encodeName(path, encoding);
      } catch (error) {
        if (isFsError(error, 'EEXIST')) continue;
        throw failureOf(error, 'mkdtemp', `${nameToString(bytes)}XXXXXX`);
      }
    }
  }

  /** The deprecated `recursive` option removes a whole tree, as it still does in Node 20. */
  rmdirSync(path: unknown, options?: unknown): void {
    const bytes = bytePath(path);
    const { recursive } = removeOptions(options);
    try {
      if (recursive && isDirectoryMode(this.fileSystem.stat(bytes, false).mode)) this.removeTree(bytes);
      else this.fileSystem.removeDirectory(bytes);
    } catch (error) {
      throw failureOf(error, recursive && isFsError(error, 'ENOENT') ? 'lstat' : 'rmdir', path);
    }
  }

  rmSync(path: unknown, options?: unknown): void {
    const bytes = bytePath(path);
    const { recursive, force } = removeOptions(options);
    let isDirectory: boolean;
    try {
      isDirectory = isDirectoryMode(this.fileSystem.stat(bytes, false).mode);
    } catch (error) {
      if (force && isFsError(error, 'ENOENT')) return;
      throw failureOf(error, 'lstat', path);
    }
    if (isDirectory && !recursive) {
      throw systemError('ERR_FS_EISDIR', 'Path is a directory', {
        code: 'EISDIR',
        message: 'is a directory',
        path: nameToString(bytes),
        syscall: 'rm',
      });
    }
    if (!isDirectory) this.removeStep(bytes, false);
    else if (!this.removeEmpty(bytes)) this.removeTree(bytes);
  }

  /**
   * Removes an empty directory; false when it is not empty. Throws for a path like `link/`, where `link` is a symlink
   * to a directory: stat takes the path for a directory, but rmdir fails here, before anything in the directory is
   * touched.
   */
  private removeEmpty(path: string): boolean {
    try {
      this.fileSystem.removeDirectory(path);
      return true;
    } catch (error) {
      if (isFsError(error, 'ENOTEMPTY')) return false;
      throw failureOf(error, 'rmdir', nameToString(path));
    }
  }

  /** Removes a directory and everything in it. Entries that vanish meanwhile count as removed. */
  private removeTree(path: string): void {
    for (const entry of this.entriesToRemove(path)) {
      const child = joinBytes(path, entry.name);
      if (entry.kind === DT_DIR) this.removeTree(child);
      else this.removeStep(child, false);
    }
    this.removeStep(path, true);
  }

  private entriesToRemove(path: string): DirectoryEntry[] {
    try {
      return sortEntries(this.fileSystem.readDirectory(path));
    } catch (error) {
      if (isFsError(error, 'ENOENT')) return [];
      throw failureOf(error, 'scandir', nameToString(path));
    }
  }

  private removeStep(path: string, isDirectory: boolean): void {
    try {
      if (isDirectory) this.fileSystem.removeDirectory(path);
      else this.fileSystem.unlink(path);
    } catch (error) {
      if (isFsError(error, 'ENOENT')) return;
      throw failureOf(error, isDirectory ? 'rmdir' : 'unlink', nameToString(path));
    }
  }

  readdirSync(path: unknown, options?: unknown): (string | Buffer | Dirent)[] {
    const given = optionsOf(options);
    const bytes = bytePath(path);
    const { recursive } = given;
    if (recursive !== undefined && recursive !== null) checkBoolean(recursive, 'options.recursive');
    // The cast: bytePath has thrown for anything else.
    const shown = shownPath(path as PathArgument);
    if (recursive) return this.readTree(bytes, shown, given);
    return given.withFileTypes ? this.readEntries(bytes, shown, given) : this.readNames(bytes, given);
  }

  private readNames(bytes: string, options: CommonOptions): (string | Buffer)[] {
    const names = sortNames(this.fileSystem.readDirectoryNames(bytes));
    const { encoding } = options;
    const shownNames: (string | Buffer)[] = new Array(names.length);
    for (let index = 0; index < names.length; index++)
      shownNames[index] = encodeName(names[index]!, encoding);
    return shownNames;
  }

  private readEntries(bytes: string, shown: string | Uint8Array, options: CommonOptions): Dirent[] {
    const entries = sortEntries(this.fileSystem.readDirectory(bytes));
    return entries.map((entry) => new Dirent(encodeName(entry.name, options.encoding), shown, entry.kind));
  }

  /** Lists breadth first, like Node: names relative to the start, or Dirents with the path of their directory. */
  private readTree(
    start: string,
    shownStart: string | Uint8Array,
    options: CommonOptions,
  ): (string | Dirent)[] {
    const found: (string | Dirent)[] = [];
    if (options.encoding === 'buffer') {
      // Node fails the same way, once there is a name to join.
      const [first] = this.readNames(start, options);
      if (first !== undefined) throw invalidArgumentType('path', 'string', first);
      return found;
    }
    if (typeof shownStart !== 'string') throw invalidArgumentType('path', 'string', shownStart);
    const queue = [{ bytes: start, shown: shownStart }];
    for (const { bytes, shown } of queue) {
      for (const { name, kind } of this.sortedEntries(bytes, shown)) {
        const text = nameToString(name);
        const shownChild = joinText(shown, text);
        if (options.withFileTypes) found.push(new Dirent(text, shown, kind));
        else found.push(relative(shownStart, shownChild));
        const child = joinBytes(bytes, name);
        // Node follows symlinks to directories unless it is asked for types.
        const isDirectory = options.withFileTypes ? kind === DT_DIR : this.isDirectory(child, kind);
        if (isDirectory) queue.push({ bytes: child, shown: shownChild });
      }
    }
    return found;
  }

  private sortedEntries(bytes: string, shown: string): DirectoryEntry[] {
    try {
      return sortEntries(this.fileSystem.readDirectory(bytes));
    } catch (error) {
      throw failureOf(error, 'scandir', shown);
    }
  }

  private isDirectory(path: string, kind: number): boolean {
    if (kind === DT_DIR) return true;
    if (kind !== DT_LNK) return false;
    try {
      const attributes = this.fileSystem.tryStat(path, true);
      return attributes !== undefined && isDirectoryMode(attributes.mode);
    } catch {
      return false;
    }
  }

  /** As in Node, errors of this synchronous form do not name the path, while errors of the other forms do. */
  opendirSync(path: unknown, options?: unknown): Dir {
    return this.openDirectory(path, options);
  }

  /** The call that the promise and callback forms make; its errors name the path. */
  opendirNamed(path: unknown, options?: unknown): Dir {
    return this.openDirectory(path, options);
  }

  private openDirectory(path: unknown, options: unknown): Dir {
    const bytes = bytePath(path);
    const given = optionsOf(options);
    if (given.bufferSize !== undefined) checkUint32(given.bufferSize, 'options.bufferSize', 1);
    // The cast: bytePath has thrown for anything else.
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

failAsNode(DirectoryCalls.prototype, {
  mkdirSync: ['mkdir', 1],
  readdirSync: ['scandir', 1],
  opendirSync: ['opendir'],
  opendirNamed: ['opendir', 1],
});
