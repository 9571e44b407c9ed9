/** The files of a store's directory, and its VERSION. See docs/format.md. */
import { FsError, isFsError, type LayerId, StoreError } from '../base/index.ts';
import { O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_WRONLY, type System } from '../sys/index.ts';

/** Version of everything stored. A store of another version is not opened. */
export const FORMAT_VERSION = 1;
const VERSION_TEXT = `ramet store ${FORMAT_VERSION}\n`;

export class StoreLayout {
  readonly directory: string;
  readonly versionPath: string;
  readonly metaDirectory: string;
  readonly blobsDirectory: string;
  readonly journalsDirectory: string;
  /** The file that keeps space back: see `Reserve`. */
  readonly reservePath: string;
  readonly runDirectory: string;
  /** The file that dedupe locks while it runs. */
  readonly dedupeLockPath: string;
  /** The directory in which the owner process makes mount points of its own. */
  readonly mountsDirectory: string;
  /** The directories of which a store consists. */
  readonly parts: readonly string[];
  /** The parts of which a process that only reads has a private copy. */
  readonly ownParts: readonly string[];

  /** `ownDirectory`: where a process that only reads keeps its private copies; by default the store's directory. */
  constructor(directory: string, ownDirectory = directory) {
    this.directory = directory;
    this.versionPath = `${directory}/VERSION`;
    this.metaDirectory = `${ownDirectory}/meta`;
    this.blobsDirectory = `${directory}/blobs`;
    this.journalsDirectory = `${ownDirectory}/journals`;
    this.reservePath = `${directory}/reserve`;
    this.runDirectory = `${ownDirectory}/run`;
    this.dedupeLockPath = `${this.runDirectory}/dedupe.lock`;
    this.mountsDirectory = `${this.runDirectory}/mounts`;
    this.ownParts = [this.metaDirectory, this.journalsDirectory, this.runDirectory];
    this.parts = [...this.ownParts, this.blobsDirectory];
  }

  journalPath(layer: LayerId): string {
    return `${this.journalsDirectory}/${layer}`;
  }
}

/** Makes an empty store. ERR_STORE_EXISTS when there is one; ENOENT, EACCES, ENOSPC of the host. */
export function createLayout(system: System, layout: StoreLayout): void {
  if (pathExists(system, layout.versionPath)) {
    throw new StoreError(
      'ERR_STORE_EXISTS',
      'init',
      layout.directory,
      'there is a store already',
      'Use it, or name another directory.',
    );
  }
  makeDirectoryIfMissing(system, layout.directory);
  closeEmptyDirectory(system, layout.directory);
  for (const part of layout.parts) makeDirectoryIfMissing(system, part);
  // All folders of blobs are made now, so that the first write into a fork does not have to make one.
  for (let low = 0; low < 256; low++) {
    makeDirectoryIfMissing(system, `${layout.blobsDirectory}/${low.toString(16).padStart(2, '0')}`);
  }
  system.syncDirectory(layout.blobsDirectory);
  // VERSION comes last: a directory with it is a whole store.
  const fd = system.open(layout.versionPath, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  try {
    const bytes = Buffer.from(VERSION_TEXT);
    system.pwrite(fd, bytes, 0, bytes.length, 0);
    system.fullSync(fd);
  } finally {
    system.close(fd);
  }
  system.syncDirectory(layout.directory);
}

/** ERR_STORE_NOT_FOUND where there is no store, ERR_STORE_VERSION where the store has another format. */
export function checkLayout(system: System, layout: StoreLayout): void {
  const text = readText(system, layout.versionPath);
  if (text === undefined) {
    throw new StoreError(
      'ERR_STORE_NOT_FOUND',
      'open',
      layout.directory,
      'there is no store here',
      'Make one with `ramet init`, or name it with --store or RAMET_STORE.',
    );
  }
  if (text !== VERSION_TEXT) {
    throw new StoreError(
      'ERR_STORE_VERSION',
      'open',
      layout.directory,
      `its VERSION is ${JSON.stringify(text.trim())}, this program reads ${JSON.stringify(VERSION_TEXT.trim())}`,
      'Export its trees with the version that made it, and import them here.',
    );
  }
}

function readText(system: System, path: string): string | undefined {
  let fd: number;
  try {
    fd = system.open(path, O_RDONLY);
  } catch (error) {
    if (isFsError(error, 'ENOENT') || isFsError(error, 'ENOTDIR')) return undefined;
    throw error;
  }
  try {
    const bytes = Buffer.alloc(256);
    return bytes.toString('utf8', 0, system.pread(fd, bytes, 0, bytes.length, 0));
  } finally {
    system.close(fd);
  }
}

/** The error of every operation on a store that was closed. */
export function storeClosed(operation: string, directory: string): StoreError {
  return new StoreError('ERR_STORE_CLOSED', operation, directory, 'the store was closed', 'Open it again.');
}

export function pathExists(system: System, path: string): boolean {
  try {
    system.statHost(Buffer.from(path), true);
    return true;
  } catch (error) {
    if (isFsError(error, 'ENOENT') || isFsError(error, 'ENOTDIR')) return false;
    throw error;
  }
}

/**
 * If the directory is empty, takes away all rights of other users to it. Somebody may have made it for the store, with
 * more rights than `makeDirectory` gives.
 */
function closeEmptyDirectory(system: System, directory: string): void {
  if (system.readHostDirectory(Buffer.from(directory)).length > 0) return;
  const fd = system.open(directory, O_RDONLY | O_DIRECTORY);
  try {
    system.chmodFile(fd, 0o700);
  } finally {
    system.close(fd);
  }
}

function makeDirectoryIfMissing(system: System, path: string): void {
  try {
    system.makeDirectory(path);
  } catch (error) {
    if (!isFsError(error, 'EEXIST')) throw error;
  }
}

const TREE_NAME_BYTES_MAX = 200;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses.
const BAD_IN_NAME = /[\x00-\x1f\x7f/:]/;

/** EINVAL for a name that no tree may have: it must fit a path component and `FORK:/path`. */
export function checkTreeName(name: string, operation: string): void {
  const isGood =
    name.length > 0 &&
    Buffer.byteLength(name) <= TREE_NAME_BYTES_MAX &&
    !BAD_IN_NAME.test(name) &&
    name !== '.' &&
    name !== '..' &&
    !name.startsWith('-');
  if (isGood) return;
  throw new FsError('EINVAL', {
    syscall: operation,
    path: name,
    note:
      `a name is 1 to ${TREE_NAME_BYTES_MAX} bytes without '/', ':' or control characters, ` +
      `and does not begin with '-'`,
  });
}
