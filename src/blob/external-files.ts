/**
 * Host files as blobs: a fork of a host directory refers to them until it has bytes of its own. The host may change or
 * remove them at any time. So they are read only by pread and never mapped: access to a mapped page beyond the end of a
 * truncated file raises SIGBUS.
 *
 * There are two kinds. A *recorded* file has a row with its state when it was copied up. Before and after every read,
 * the file's state is compared with the row (docs/host-trees.md); ESTALE if the file has changed. A *followed* file has
 * no row, and its number is valid only in this process. It is read as it is now, as a plain directory would show it.
 */
import {
  type BlobId,
  checksum64,
  FsError,
  type HostIno,
  isFsError,
  isMissing,
  isSameTimespec,
  type LayerId,
  type Timespec,
} from '../base/index.ts';
import type { HostStat, System } from '../sys/index.ts';
import type { BlobBytes } from './blob-bytes.ts';
import { readThrough } from './fetches.ts';

/**
 * The first number of a recorded host file. The number is a hash of the file's state, so that one file in one state has
 * the same number wherever it is recorded. Stored blobs have lower numbers.
 */
export const EXTERNAL_BLOB_FIRST = 2 ** 49;
/** The first number of a followed host file. These numbers are valid in this process only, and never stored. */
export const FOLLOWED_BLOB_FIRST = 2 ** 50;
const FOLLOWED_BLOB_END = 2 ** 51;
const HASH_BITS = 48;

const DESCRIPTORS_MAX = 256;

/** The state of a host file when it was recorded. */
export interface ExternalState {
  /** The host tree that the file belongs to. */
  readonly layer: LayerId;
  readonly ino: HostIno;
  readonly birth: Timespec | undefined;
  readonly sizeBytes: number;
  readonly modified: Timespec;
  readonly changed: Timespec;
  /** Relative to the root of its host tree, a byte string. */
  readonly path: string;
}

/** How to open a recorded host file. */
export interface ExternalPlace {
  /** The file's path on the host, for messages. */
  readonly shownPath: string;
  open(): number;
}

/** Tells what the store knows of recorded host files. */
export interface ExternalSource {
  /** The state in the blob's row; undefined if there is no row. */
  externalState(blob: BlobId): ExternalState | undefined;
  /** How to open the file; undefined when its host tree is no longer in the store. */
  externalPlace(state: ExternalState): ExternalPlace | undefined;
}

interface RecordedFile extends ExternalPlace {
  readonly state: ExternalState;
}

/** True if a blob's bytes lie in a host file. */
export function isExternal(blob: BlobId | 0): boolean {
  return blob >= EXTERNAL_BLOB_FIRST && blob < FOLLOWED_BLOB_END;
}

interface OpenExternal {
  fd: number;
  /** Undefined for a followed file. */
  readonly recorded: RecordedFile | undefined;
}

export class ExternalFiles implements BlobBytes {
  readonly isStored = false;
  /** Set by the code that opens the tables. */
  source: ExternalSource | undefined;
  private readonly system: System;
  /** The states of recorded files that have no row yet. */
  private readonly named = new Map<BlobId, ExternalState>();
  /** How to open the followed files. */
  private readonly followed = new Map<BlobId, () => number>();
  private nextFollowed = FOLLOWED_BLOB_FIRST;
  /** The open files, least recently used first. */
  private readonly opened = new Map<BlobId, OpenExternal>();

  constructor(system: System) {
    this.system = system;
  }

  /** The blob number for a host file in this state. Extents with this number need a row with `stateOf` of it. */
  name(state: ExternalState): BlobId {
    let blob = EXTERNAL_BLOB_FIRST + Number(BigInt.asUintN(HASH_BITS, checksum64(bytesOf(state))));
    for (;;) {
      const known = this.stateOf(blob as BlobId); // The cast: here numbers become blobs.
      if (known === undefined) break;
      if (bytesOf(known).equals(bytesOf(state))) return blob as BlobId;
      blob = blob + 1 < FOLLOWED_BLOB_FIRST ? blob + 1 : EXTERNAL_BLOB_FIRST;
    }
    this.keep(blob as BlobId, state);
    return blob as BlobId;
  }

  /** The recorded state; undefined for a number that is not in use. */
  stateOf(blob: BlobId): ExternalState | undefined {
    return this.named.get(blob) ?? this.source?.externalState(blob);
  }

  /** Keeps the state for a number until it has a row. */
  keep(blob: BlobId, state: ExternalState): void {
    this.named.set(blob, state);
  }

  /** Call when the file has a row. */
  noteStored(blob: BlobId): void {
    this.named.delete(blob);
  }

  /** A number for a host file that is read as it is now; `open` opens it for reading. */
  follow(open: () => number): BlobId {
    const blob = this.nextFollowed++ as BlobId; // The cast: here numbers become blobs.
    this.followed.set(blob, open);
    return blob;
  }

  unfollow(blob: BlobId): void {
    this.close(blob);
    this.followed.delete(blob);
  }

  read(blob: BlobId, position: number, target: Uint8Array, offset: number, length: number): void {
    this.readFile(blob, position, target, offset, length, true);
  }

  tryRead(blob: BlobId, position: number, target: Uint8Array, offset: number, length: number): boolean {
    return this.readFile(blob, position, target, offset, length, false);
  }

  private readFile(
    blob: BlobId,
    position: number,
    target: Uint8Array,
    offset: number,
    length: number,
    mayWait: boolean,
  ): boolean {
    const { system } = this;
    const { fd, recorded } = this.use(blob);
    if (recorded !== undefined) this.requireUnchanged(fd, recorded);
    const read = mayWait ? system.pread : system.tryPread;
    const count = read.call(system, fd, target, offset, length, position);
    if (count < 0) return false;
    if (recorded !== undefined) this.requireUnchanged(fd, recorded);
    target.fill(0, offset + count, offset + length);
    return true;
  }

  seekData(blob: BlobId, position: number): number | undefined {
    return this.seek(blob, (fd) => this.system.seekData(fd, position));
  }

  seekHole(blob: BlobId, position: number): number | undefined {
    return this.seek(blob, (fd) => {
      const hole = this.system.seekHole(fd, position);
      // lseek(2) reports a hole at the end of every file.
      return hole === undefined || hole >= this.system.statFile(fd).size ? undefined : hole;
    });
  }

  private seek(blob: BlobId, seek: (fd: number) => number | undefined): number | undefined {
    const { fd, recorded } = this.use(blob);
    const found = seek(fd);
    // One check is enough: it also finds a change from before the call.
    if (recorded !== undefined) this.requireUnchanged(fd, recorded);
    return found;
  }

  async fetch(blob: BlobId, position: number, length: number): Promise<void> {
    let fd: number;
    try {
      // Opens a descriptor of its own, because the one in `opened` may be closed meanwhile.
      fd = this.openFile(blob).fd;
    } catch (error) {
      if (isFsError(error)) return;
      throw error;
    }
    try {
      await readThrough(this.system, fd, position, length);
    } finally {
      this.system.close(fd);
    }
  }

  /** The descriptor of the blob's file, opened if necessary. ESTALE if a recorded file has changed. */
  descriptor(blob: BlobId): number {
    const { fd, recorded } = this.use(blob);
    if (recorded !== undefined) this.requireUnchanged(fd, recorded);
    return fd;
  }

  problem(blob: BlobId): string | undefined {
    try {
      this.close(blob);
      this.descriptor(blob);
      return undefined;
    } catch (error) {
      if (!isFsError(error)) throw error;
      return error.note ?? error.message;
    }
  }

  /** statx(2) of a file that is open already; undefined when it is not. */
  statOpen(blob: BlobId): HostStat | undefined {
    const open = this.opened.get(blob);
    return open === undefined ? undefined : this.system.statFile(open.fd);
  }

  /** Closes the descriptor; the next use opens the file again. */
  close(blob: BlobId): void {
    const open = this.opened.get(blob);
    if (open === undefined) return;
    this.opened.delete(blob);
    this.system.close(open.fd);
  }

  closeAll(): void {
    for (const blob of [...this.opened.keys()]) this.close(blob);
  }

  private use(blob: BlobId): OpenExternal {
    let open = this.opened.get(blob);
    if (open !== undefined) {
      this.opened.delete(blob);
    } else {
      if (this.opened.size >= DESCRIPTORS_MAX) {
        const oldest = this.opened.keys().next();
        if (oldest.done !== true) this.close(oldest.value);
      }
      open = this.openFile(blob);
    }
    this.opened.set(blob, open);
    return open;
  }

  private openFile(blob: BlobId): OpenExternal {
    const open = this.followed.get(blob);
    if (open !== undefined) return { fd: open(), recorded: undefined };
    const state = this.stateOf(blob);
    const place = state === undefined ? undefined : this.source?.externalPlace(state);
    if (state === undefined || place === undefined) {
      throw new FsError('EIO', { syscall: 'read', note: `the host file of blob ${blob} is not recorded` });
    }
    const recorded = { ...place, state };
    let fd: number;
    try {
      fd = recorded.open();
    } catch (error) {
      throw isMissing(error) ? stale(recorded, 'is gone') : error;
    }
    try {
      this.requireUnchanged(fd, recorded);
      return { fd, recorded };
    } catch (error) {
      this.system.close(fd);
      throw error;
    }
  }

  private requireUnchanged(fd: number, recorded: RecordedFile): void {
    const { state } = recorded;
    const now = this.system.statFile(fd);
    if (now.ino !== state.ino || !isSameTimespec(now.btime, state.birth))
      throw stale(recorded, 'was replaced');
    const isSame =
      now.size === state.sizeBytes &&
      isSameTimespec(now.mtime, state.modified) &&
      isSameTimespec(now.ctime, state.changed);
    if (!isSame || now.nlink === 0) throw stale(recorded, now.nlink === 0 ? 'was removed' : 'was changed');
  }
}

function stale({ shownPath }: RecordedFile, what: string): FsError {
  const note =
    `the host file '${shownPath}' ${what} after this file was copied up: ` +
    'what the fork has not written itself is lost to it; see docs/host-trees.md';
  return new FsError('ESTALE', { syscall: 'read', note });
}

/** All fields of the state, for comparing and hashing it. */
function bytesOf({ layer, ino, birth, sizeBytes, modified, changed, path }: ExternalState): Buffer {
  const times = [birth, modified, changed].flatMap((time) => [time?.seconds ?? -1, time?.nanoseconds ?? -1]);
  const numbers = new Float64Array([layer, Number(ino), sizeBytes, ...times]);
  // A double cannot hold a 64-bit number exactly: its bits are stored instead.
  if (typeof ino === 'bigint') new BigUint64Array(numbers.buffer)[1] = ino;
  return Buffer.concat([Buffer.from(numbers.buffer), Buffer.from(path, 'latin1')]);
}
