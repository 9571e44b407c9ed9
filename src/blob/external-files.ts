/**
 * Host files as blobs: what a fork of a host directory refers to until it has bytes of its own. They belong to the
 * host, which may change or remove them at any time. So they are read by pread alone: a window over a file that
 * somebody truncates is SIGBUS.
 *
 * Two kinds. A *recorded* one has a row that says what the file was when it was copied up. Every read checks before and
 * after whether it still is that (docs/host-trees.md), and is ESTALE where it is not. A *followed* one stands, in this
 * process only, for a file without a record: it is read as it is, as a plain directory would show it.
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
 * Numbers of recorded host files: made of what the file was, so that one file in one state has one number wherever it
 * is recorded. Those of blobs stay below.
 */
export const EXTERNAL_BLOB_FIRST = 2 ** 49;
/** Numbers of followed host files: good in this process only, and never stored. */
export const FOLLOWED_BLOB_FIRST = 2 ** 50;
const FOLLOWED_BLOB_END = 2 ** 51;
const HASH_BITS = 48;

const DESCRIPTORS_MAX = 256;

/** What a recorded host file was. */
export interface ExternalState {
  /** The host tree that the file belongs to. */
  readonly layer: LayerId;
  readonly ino: HostIno;
  readonly birth: Timespec | undefined;
  readonly sizeBytes: number;
  readonly modified: Timespec;
  readonly changed: Timespec;
  /** From the root of its host tree, a byte string. */
  readonly path: string;
}

/** Where a recorded host file is. */
export interface ExternalPlace {
  /** The file's path on the host, for messages. */
  readonly shownPath: string;
  open(): number;
}

/** What is known of recorded host files elsewhere. */
export interface ExternalSource {
  /** What the tables say that a host file was. */
  externalState(blob: BlobId): ExternalState | undefined;
  /** Undefined when there is no such host tree any more. */
  externalPlace(state: ExternalState): ExternalPlace | undefined;
}

interface RecordedFile extends ExternalPlace {
  readonly state: ExternalState;
}

/** Opens the host file for reading, as it is now. */
export type OpenFollowed = () => number;

/** Whether a blob's bytes lie in a host file. */
export function isExternal(blob: BlobId | 0): boolean {
  return blob >= EXTERNAL_BLOB_FIRST && blob < FOLLOWED_BLOB_END;
}

/** Whether the number is one that only this process knows. */
export function isFollowed(blob: BlobId | 0): boolean {
  return blob >= FOLLOWED_BLOB_FIRST;
}

interface OpenExternal {
  fd: number;
  /** Undefined for a followed one. */
  readonly recorded: RecordedFile | undefined;
}

export class ExternalFiles implements BlobBytes {
  readonly isStored = false;
  /** Set by the code that opens the tables. */
  source: ExternalSource | undefined;
  private readonly system: System;
  /** Recorded files that have no row yet. */
  private readonly named = new Map<BlobId, ExternalState>();
  private readonly followed = new Map<BlobId, OpenFollowed>();
  private nextFollowed = FOLLOWED_BLOB_FIRST;
  /** In the order in which they were last used. */
  private readonly opened = new Map<BlobId, OpenExternal>();

  constructor(system: System) {
    this.system = system;
  }

  /** The number under which ranges of a host file as it is now may be named. Store `stateOf` with it. */
  name(state: ExternalState): BlobId {
    let blob = EXTERNAL_BLOB_FIRST + Number(BigInt.asUintN(HASH_BITS, checksum64(bytesOf(state))));
    for (;;) {
      const known = this.stateOf(blob as BlobId); // Made for a blob here.
      if (known === undefined) break;
      if (bytesOf(known).equals(bytesOf(state))) return blob as BlobId;
      blob = blob + 1 < FOLLOWED_BLOB_FIRST ? blob + 1 : EXTERNAL_BLOB_FIRST;
    }
    this.keep(blob as BlobId, state);
    return blob as BlobId;
  }

  /** What a recorded host file was; undefined for a number that stands for none. */
  stateOf(blob: BlobId): ExternalState | undefined {
    return this.named.get(blob) ?? this.source?.externalState(blob);
  }

  /** Takes in what a number stands for, until there is a row that says it. */
  keep(blob: BlobId, state: ExternalState): void {
    this.named.set(blob, state);
  }

  /** There is a row of the file now. */
  noteStored(blob: BlobId): void {
    this.named.delete(blob);
  }

  /** A number for a host file that is to be read as it is. */
  follow(open: OpenFollowed): BlobId {
    const blob = this.nextFollowed++ as BlobId; // The number stands for a blob from here on.
    this.followed.set(blob, open);
    return blob;
  }

  unfollow(blob: BlobId): void {
    this.close(blob);
    this.followed.delete(blob);
  }

  /**
   * Reads; bytes behind the end of the file are zeros. ESTALE when a recorded file is no longer what it was; errors of
   * the host.
   */
  read(blob: BlobId, position: number, target: Uint8Array, offset: number, length: number): void {
    this.readFile(blob, position, target, offset, length, true);
  }

  /** As `read`, but false where the disk would have to be waited for. */
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

  /**
   * lseek(2), SEEK_DATA: the first byte of data at or after `position`, as the host has it now; undefined where there
   * is none. ESTALE as of `read`.
   */
  seekData(blob: BlobId, position: number): number | undefined {
    return this.seek(blob, (fd) => this.system.seekData(fd, position));
  }

  /** SEEK_HOLE: the first hole at or after `position`; undefined where there is none before the end. As `seekData`. */
  seekHole(blob: BlobId, position: number): number | undefined {
    return this.seek(blob, (fd) => {
      const hole = this.system.seekHole(fd, position);
      // The end of every file counts as a hole.
      return hole === undefined || hole >= this.system.statFile(fd).size ? undefined : hole;
    });
  }

  private seek(blob: BlobId, seek: (fd: number) => number | undefined): number | undefined {
    const { fd, recorded } = this.use(blob);
    const found = seek(fd);
    // Once is enough: a file that changed before the call has changed after it as well.
    if (recorded !== undefined) this.requireUnchanged(fd, recorded);
    return found;
  }

  /** Brings bytes into the host's page cache by the thread pool. Tells of no failure: the read that follows does. */
  async fetch(blob: BlobId, position: number, length: number): Promise<void> {
    let fd: number;
    try {
      // A descriptor of its own: the other may be closed meanwhile.
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

  /** A descriptor good until the next call; a recorded file is what it was when this returns. */
  descriptor(blob: BlobId): number {
    const { fd, recorded } = this.use(blob);
    if (recorded !== undefined) this.requireUnchanged(fd, recorded);
    return fd;
  }

  /** What is wrong with a recorded host file, as a sentence; undefined when it is what it was. */
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

  /** What the host says of the file behind a descriptor that is open already; undefined when none is. */
  statOpen(blob: BlobId): HostStat | undefined {
    const open = this.opened.get(blob);
    return open === undefined ? undefined : this.system.statFile(open.fd);
  }

  /** The next use opens the file again. */
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

/** All that tells one state of one file from another. */
function bytesOf({ layer, ino, birth, sizeBytes, modified, changed, path }: ExternalState): Buffer {
  const times = [birth, modified, changed].flatMap((time) => [time?.seconds ?? -1, time?.nanoseconds ?? -1]);
  const numbers = new Float64Array([layer, Number(ino), sizeBytes, ...times]);
  // A number that a double cannot hold is written out with all its bits.
  if (typeof ino === 'bigint') new BigUint64Array(numbers.buffer)[1] = ino;
  return Buffer.concat([Buffer.from(numbers.buffer), Buffer.from(path, 'latin1')]);
}
