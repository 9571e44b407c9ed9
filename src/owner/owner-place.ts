/**
 * The owner's files in a store: a lock that one process holds, a socket, a log, and the mount points that the owner
 * makes.
 */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmdirSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codeOfErrno, FsError, isFsError } from '../base/index.ts';
import { StoreLayout } from '../store/index.ts';
import { O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, O_RDWR, type System } from '../sys/index.ts';

const DESCRIPTORS = '/proc/self/fd';

/**
 * The store's `run`. If this user cannot write to it, a directory of the user's own takes its place. EACCES if that
 * directory belongs to somebody else, or is open to others.
 */
function runDirectoryOf({ directory, runDirectory }: StoreLayout): string {
  try {
    accessSync(runDirectory, constants.W_OK);
    return runDirectory;
  } catch (error) {
    // The cast: errors of node:fs have a code.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EROFS' && code !== 'EACCES') return runDirectory;
  }
  const { dev, ino } = statSync(directory);
  const uid = process.getuid?.() ?? 0;
  const own = join(process.env.XDG_RUNTIME_DIR ?? tmpdir(), `ramet-${uid}`);
  makeMissing(own);
  const { mode, uid: madeBy } = lstatSync(own);
  if (madeBy !== uid || (mode & 0o077) !== 0)
    throw new FsError('EACCES', { syscall: 'open', path: own, note: 'it is not for you alone: remove it' });
  const run = join(own, `${dev}-${ino}`);
  makeMissing(run);
  return run;
}

export class OwnerPlace {
  /** The store's `run`, or the directory in its place: see `runDirectoryOf`. */
  readonly runDirectory: string;
  readonly lockPath: string;
  readonly socketPath: string;
  readonly logPath: string;
  /** The store's path, as other processes use it. */
  readonly shownDirectory: string;
  /** The path, for other processes, of the directory with the mount points that the owner makes itself, for `hold`. */
  readonly mountsDirectory: string;
  /** The path of `mountsDirectory` for this process. */
  private readonly ownMountsDirectory: string;

  /** `shownDirectory` is the store's path for other processes, if this one uses another. */
  constructor(storeDirectory: string, shownDirectory = storeDirectory) {
    const layout = new StoreLayout(storeDirectory);
    const run = runDirectoryOf(layout);
    this.runDirectory = run;
    this.lockPath = `${run}/owner.lock`;
    this.socketPath = `${run}/owner.sock`;
    this.logPath = `${run}/owner.log`;
    this.shownDirectory = shownDirectory;
    const isStores = run === layout.runDirectory;
    this.mountsDirectory = isStores ? new StoreLayout(shownDirectory).mountsDirectory : `${run}/mounts`;
    this.ownMountsDirectory = `${run}/mounts`;
  }

  mountPath(tree: string): string {
    return `${this.mountsDirectory}/${tree}`;
  }

  /** Makes the mount point of a tree if it is missing. Never touches a mount that may be there. */
  makeMountPoint(tree: string): void {
    makeMissing(this.ownMountsDirectory);
    makeMissing(`${this.ownMountsDirectory}/${tree}`);
  }

  removeMountPoint(tree: string): void {
    rmdirSync(`${this.ownMountsDirectory}/${tree}`);
  }
}

/** Makes a directory if it is missing. Unlike `mkdir -p`, never stats an existing directory, which may be a mount. */
function makeMissing(directory: string): void {
  try {
    mkdirSync(directory, 0o700);
  } catch (error) {
    // The cast: errors of node:fs have a code.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * Takes the lock that makes this process the owner. Returns a function that releases the lock, or undefined while
 * another process holds it. The file stays: if it were removed, one process could lock the old file and another a new
 * one.
 */
export function takeOwnerLock(system: System, place: OwnerPlace): (() => void) | undefined {
  const fd = system.open(place.lockPath, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
  if (system.tryLock(fd)) return () => system.close(fd);
  system.close(fd);
  return undefined;
}

/**
 * The path of the socket, for connect(2) and bind(2). An address holds 107 bytes and a path may be longer, so this path
 * names the directory by a descriptor, which must stay open until a client is connected, or a server closed.
 */
export class SocketAddress {
  readonly path: string;
  private fd: number | undefined;

  /** ENOENT if the run directory is missing. */
  constructor(place: OwnerPlace) {
    if (!existsSync(DESCRIPTORS)) {
      this.path = place.socketPath;
      return;
    }
    this.fd = openSync(place.runDirectory, O_RDONLY | O_DIRECTORY);
    this.path = `${DESCRIPTORS}/${this.fd}/owner.sock`;
  }

  release(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }
}

/** A failure of the socket as an FsError, with the socket's ordinary path. */
export function socketFailure(syscall: string, error: NodeJS.ErrnoException, place: OwnerPlace): Error {
  if (error.errno === undefined) return error;
  return new FsError(codeOfErrno(-error.errno), { syscall, path: place.socketPath });
}

/** Removes the socket that a killed owner left. Only for the holder of the lock. */
export function removeStaleSocket(system: System, place: OwnerPlace): void {
  try {
    system.unlink(place.socketPath);
  } catch (error) {
    if (!isFsError(error, 'ENOENT')) throw error;
  }
}

/** The error of a request whose owner is gone. */
export function ownerGone(pid: number | undefined, place: OwnerPlace): FsError {
  const who = pid === undefined ? 'the owner process' : `the owner process (${pid})`;
  return new FsError('ENOTCONN', {
    syscall: 'owner',
    note: `${who} ended before it answered: run it again, and see ${place.logPath}`,
  });
}
