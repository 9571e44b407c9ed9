/** Where the owner of a store is found: a lock that only one process has, a socket, a log, and its own mount points. */
import { closeSync, existsSync, mkdirSync, openSync, rmdirSync } from 'node:fs';
import { codeOfErrno, FsError, isFsError } from '../base/index.ts';
import { StoreLayout } from '../store/index.ts';
import { O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR, type System } from '../sys/index.ts';

const DESCRIPTORS = '/proc/self/fd';

export class OwnerPlace {
  private readonly layout: StoreLayout;
  private readonly shown: StoreLayout;

  /** `shownDirectory` is what others call the store, where this process has another name for it. */
  constructor(storeDirectory: string, shownDirectory = storeDirectory) {
    this.layout = new StoreLayout(storeDirectory);
    this.shown = new StoreLayout(shownDirectory);
  }

  /** The store's `run`. */
  get runDirectory(): string {
    return this.layout.runDirectory;
  }

  get lockPath(): string {
    return `${this.runDirectory}/owner.lock`;
  }

  get socketPath(): string {
    return `${this.runDirectory}/owner.sock`;
  }

  get logPath(): string {
    return `${this.runDirectory}/owner.log`;
  }

  /** The ordinary path of the store. */
  get shownDirectory(): string {
    return this.shown.directory;
  }

  /** Mount points that the owner makes itself, for `hold`: the ordinary path of their directory. */
  get mountsDirectory(): string {
    return this.shown.mountsDirectory;
  }

  mountPath(tree: string): string {
    return `${this.mountsDirectory}/${tree}`;
  }

  /** Makes the mount point of a tree; nothing where there is one. Asks nothing of what may be mounted there. */
  makeMountPoint(tree: string): void {
    makeMissing(this.layout.mountsDirectory);
    makeMissing(`${this.layout.mountsDirectory}/${tree}`);
  }

  removeMountPoint(tree: string): void {
    rmdirSync(`${this.layout.mountsDirectory}/${tree}`);
  }
}

/** Unlike `mkdir -p` it does not look at what is there. */
function makeMissing(directory: string): void {
  try {
    mkdirSync(directory, 0o700);
  } catch (error) {
    // The cast: what node:fs throws has a code.
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/**
 * The lock that makes this process the owner, held until `close`, or the end of the process. Undefined while another
 * has it. The file stays: were it removed, one process could lock the old file while another locks a new one.
 */
export function takeOwnerLock(system: System, place: OwnerPlace): (() => void) | undefined {
  const fd = system.open(place.lockPath, O_RDWR | O_CREAT, 0o600);
  if (system.tryLock(fd)) return () => system.close(fd);
  system.close(fd);
  return undefined;
}

/**
 * The path of the socket as the kernel is given it. An address holds 107 bytes and a path may be longer, so the
 * directory is named by a descriptor; it must stay open until the socket is bound or connected, and, to be removed,
 * closed.
 */
export class SocketAddress {
  readonly path: string;
  private fd: number | undefined;

  /** ENOENT where there is no such directory. */
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

/** A failure of the socket, by the path that people know. */
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

/** The failure of a request whose owner is gone. */
export function ownerGone(pid: number | undefined, place: OwnerPlace): FsError {
  const who = pid === undefined ? 'the owner process' : `the owner process (${pid})`;
  return new FsError('ENOTCONN', {
    syscall: 'owner',
    note: `${who} ended before it answered: run it again, and see ${place.logPath}`,
  });
}
