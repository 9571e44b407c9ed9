/**
 * The journal of one writable layer: redo records of acknowledged operations, in a file that its owner keeps locked.
 *
 * Invariants: replay yields a prefix of the appended records. After the death of a process the prefix holds every
 * record whose `append` returned. After a power cut it holds at least the records before the last `mark` that was
 * followed by `sync`, and nothing after the last mark. Space is allocated before it is written, so that an append to a
 * full disk fails cleanly.
 */
import { assert, checksum64, FsError, isDiskFull, isFsError, type LayerId } from '../base/index.ts';
import { O_CREAT, O_NOFOLLOW, O_RDWR, type System } from '../sys/index.ts';
import {
  decodeHeader,
  decodeOwner,
  encodeHeader,
  encodeOwner,
  HEADER_BYTES,
  type JournalHeader,
  MARK_PAYLOAD_BYTES,
  OWNER_AT,
  RECORD_FIXED_BYTES,
  RECORD_KIND,
  RecordWriter,
  recordSeed,
  slotAt,
  TERMINATOR_BYTES,
} from './journal-format.ts';
import { type RecordVisitor, scanRecords } from './journal-scan.ts';

/**
 * The file starts at this length and then doubles, by at most 4 MiB at a time. 16 KiB, not more, because a thousand
 * forks that change one file each have a thousand journals.
 */
const FIRST_BYTES = 16 * 1024;
const STEP_BYTES_MAX = 4 * 1024 * 1024;
/** A journal that is larger than this shrinks to this size when it restarts. */
const KEPT_BYTES_MAX = 4 * 1024 * 1024;
/** Bytes kept allocated for records that give space back, so that files can be removed on a full disk. */
const SPARE_BYTES = 4096;
const PAYLOAD_BYTES_MAX = 2 ** 30;
const MARK_PAYLOAD = new Uint8Array(MARK_PAYLOAD_BYTES);
const ZERO = new Uint8Array(TERMINATOR_BYTES);
const PAGE_BYTES = 4096;
/** All journals of the process share it, because a record is built and written in one go. */
const RECORDS = new RecordWriter();

export class Journal {
  readonly path: string;
  readonly layer: LayerId;
  private readonly system: System;
  private readonly descriptor: number;
  private header: JournalHeader | undefined;
  private seed = 0n;
  private isAppendable = false;
  /**
   * The arguments of the last `begin`, if it failed. All records before it are in the tables, so `append` may call
   * `begin` again.
   */
  private failedBegin: { readonly generation: number; readonly nextSequence: number } | undefined;
  private syncError: FsError | undefined;
  private isOpen = true;
  /** Offset in the file at which the next record goes. */
  private position = HEADER_BYTES;
  private allocatedBytes: number;
  private count = 0;
  private sequence = 0;
  private markedSequence = 0;

  private constructor(system: System, path: string, layer: LayerId, descriptor: number, page: Buffer) {
    const header = decodeHeader(page, layer);
    this.system = system;
    this.path = path;
    this.layer = layer;
    this.descriptor = descriptor;
    this.header = header;
    this.allocatedBytes = system.fileSize(descriptor).sizeBytes;
    if (header !== undefined) {
      this.sequence = header.firstSequence - 1;
      this.markedSequence = this.sequence;
    }
  }

  /**
   * Opens a layer's journal, creates the file if it is missing, and locks it. Calls neither `replay` nor `begin`.
   * Errors: EBUSY when another process (or another Journal of this process) has the lock, with the owner's process id
   * in the note; those of open(2), flock(2), pwrite(2).
   */
  static open(system: System, path: string, layer: LayerId): Journal {
    const descriptor = system.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    try {
      const page = Buffer.alloc(HEADER_BYTES);
      const isLocked = system.tryLock(descriptor);
      system.pread(descriptor, page, 0, HEADER_BYTES, 0);
      if (!isLocked) {
        const pid = decodeOwner(page);
        const owner = pid === undefined ? 'another process' : `process ${pid}`;
        throw new FsError('EBUSY', {
          syscall: 'flock',
          path,
          note: `layer ${layer} is open for writing in ${owner}`,
        });
      }
      const journal = new Journal(system, path, layer, descriptor, page);
      journal.reserve(0);
      const owner = encodeOwner(process.pid);
      system.pwrite(descriptor, owner, 0, owner.length, OWNER_AT);
      return journal;
    } catch (error) {
      system.close(descriptor);
      throw error;
    }
  }

  /** True if the file has no valid header, so that there is nothing to replay. */
  get isFresh(): boolean {
    return this.header === undefined;
  }

  /** Generation of the header; 0 for a new file. */
  get generation(): number {
    return this.header?.generation ?? 0;
  }

  /** Bytes of records since `begin`. */
  get lengthBytes(): number {
    return this.position - HEADER_BYTES;
  }

  /** Number of records since `begin`, without marks; between `replay` and `begin`, number of records that count. */
  get recordCount(): number {
    return this.count;
  }

  get lastSequence(): number {
    return this.sequence;
  }

  /** The last sequence that a commit mark covers, or that was in the tables before `begin`. */
  get lastMarkedSequence(): number {
    return this.markedSequence;
  }

  /**
   * Visits, in order, the records that count and whose sequence is above `appliedSequence`. Under a header of this boot
   * every valid record counts; under a header of another boot, only those up to the last commit mark. Afterwards
   * `lastSequence` and `recordCount` describe the records that count, so that a checkpoint can store them *before*
   * `begin` gives them up. Errors: those of pread(2) and of `visit`.
   */
  replay(visit: RecordVisitor, appliedSequence: number): void {
    assert(
      this.isOpen && !this.isAppendable,
      'a journal is replayed after it was opened and before it is begun',
    );
    const { header, system, descriptor } = this;
    if (header === undefined) return;
    const found = scanRecords(system, descriptor, header, visit, 0, 0);
    const last = header.bootId === system.bootId() ? found.lastSequence : found.lastMarkedSequence;
    scanRecords(system, descriptor, header, visit, appliedSequence, last);
    this.sequence = last;
    this.markedSequence = found.lastMarkedSequence;
    this.position = found.end;
    this.seed = recordSeed(header);
    this.count = last - header.firstSequence + 1;
  }

  /**
   * Restarts the journal under `generation`, or under the header's generation plus one if that is higher. Gives up all
   * records so far, so the tables must hold them durably. Errors: ENOSPC, EIO; then the next `append` tries again.
   */
  begin(generation: number, nextSequence: number): void {
    assert(this.isOpen, 'the journal is open');
    assert(generation >= 0, `generation ${generation} is not negative`);
    assert(nextSequence > 0, 'sequences are counted from 1');
    this.isAppendable = false;
    this.failedBegin = { generation, nextSequence };
    const header: JournalHeader = {
      layer: this.layer,
      generation: this.header === undefined ? generation : Math.max(generation, this.header.generation + 1),
      firstSequence: nextSequence,
      salt: this.nextSalt(),
      bootId: this.system.bootId(),
    };
    this.reserve(HEADER_BYTES + TERMINATOR_BYTES);
    const bytes = encodeHeader(header);
    this.system.pwrite(this.descriptor, bytes, 0, bytes.length, slotAt(header.generation));
    // Now the old records are invalid, so the zero may overwrite the first of them.
    this.system.pwrite(this.descriptor, ZERO, 0, TERMINATOR_BYTES, HEADER_BYTES);
    this.header = header;
    this.seed = recordSeed(header);
    this.position = HEADER_BYTES;
    this.count = 0;
    this.sequence = nextSequence - 1;
    this.markedSequence = this.sequence;
    this.isAppendable = true;
    this.failedBegin = undefined;
    if (this.allocatedBytes <= KEPT_BYTES_MAX) return;
    this.system.truncate(this.descriptor, KEPT_BYTES_MAX);
    this.allocatedBytes = KEPT_BYTES_MAX;
  }

  /** A salt that no earlier `begin` of this journal used, so that no old record becomes valid again. */
  private nextSalt(): bigint {
    const { seconds, nanoseconds } = this.system.clock.now();
    const text = `${seconds}.${nanoseconds} ${process.pid} ${this.position}`;
    return checksum64(Buffer.from(text, 'latin1'), this.header?.salt ?? 0n);
  }

  /**
   * Appends the effects of one operation and returns its sequence. The bytes are then in the host's page cache, so the
   * death of the process loses nothing. Errors: ENOSPC, EDQUOT, EIO; then no record was added. A record that gives
   * space back may use the spare bytes on a full disk.
   */
  append(payload: Uint8Array, givesBack = false): number {
    assert(payload.length > 0 && payload.length <= PAYLOAD_BYTES_MAX, 'a record has a payload');
    if (this.failedBegin !== undefined)
      this.begin(this.failedBegin.generation, this.failedBegin.nextSequence);
    assert(this.isAppendable, 'a journal takes records once it is begun');
    this.write(RECORD_KIND.effects, this.sequence + 1, payload, givesBack ? 0 : SPARE_BYTES);
    this.sequence++;
    this.count++;
    return this.sequence;
  }

  /**
   * Appends a commit mark; the data of all operations so far must be durable. Does nothing when every record is marked.
   * Before `begin`, marks the records that `replay` found, so that several transactions can store them.
   */
  mark(): void {
    if (this.markedSequence === this.sequence) return;
    this.write(RECORD_KIND.mark, this.sequence, MARK_PAYLOAD, 0);
    this.markedSequence = this.sequence;
  }

  private write(kind: number, sequence: number, payload: Uint8Array, spareBytes: number): void {
    this.reserve(this.position + RECORD_FIXED_BYTES + payload.length + TERMINATOR_BYTES + spareBytes);
    const recordBytes = RECORDS.write(kind, sequence, payload, this.seed);
    try {
      this.system.pwrite(this.descriptor, RECORDS.buffer, 0, recordBytes + TERMINATOR_BYTES, this.position);
    } catch (error) {
      this.eraseFailed();
      throw error;
    }
    this.position += recordBytes;
  }

  /** A failed write may have stored the whole record. Erases it: nobody acknowledged it, so replay must not find it. */
  private eraseFailed(): void {
    try {
      this.system.pwrite(this.descriptor, ZERO, 0, TERMINATOR_BYTES, this.position);
    } catch {
      // The next record that can be written goes to the same place, over the failed one.
    }
  }

  /** Makes the file at least `end` bytes long, in steps. */
  private reserve(end: number): void {
    const have = this.allocatedBytes;
    if (end <= have && have >= HEADER_BYTES) return;
    const exact = Math.ceil(Math.max(end, HEADER_BYTES) / PAGE_BYTES) * PAGE_BYTES;
    const wanted = Math.max(exact, FIRST_BYTES, have + Math.min(have, STEP_BYTES_MAX));
    this.allocatedBytes = this.grow(have, wanted, exact);
  }

  private grow(have: number, wanted: number, exact: number): number {
    try {
      this.system.allocate(this.descriptor, have, wanted - have);
      return wanted;
    } catch (error) {
      if (wanted === exact || !isDiskFull(error)) throw error;
    }
    this.system.allocate(this.descriptor, have, exact - have);
    return exact;
  }

  /** True once a `sync` has failed: then nobody knows which records are durable. */
  get hasSyncFailed(): boolean {
    return this.syncError !== undefined;
  }

  /**
   * Makes all records durable with fdatasync(2). After a failure every later call fails with EIO: the kernel has marked
   * the pages clean, so a second fdatasync(2) would succeed with the records lost.
   */
  sync(): void {
    if (this.syncError !== undefined) {
      const note = `an earlier sync of the journal failed with ${this.syncError.code}; open the fork again`;
      throw new FsError('EIO', { syscall: 'fdatasync', path: this.path, note });
    }
    try {
      this.system.dataSync(this.descriptor);
    } catch (error) {
      if (isFsError(error)) this.syncError = error;
      throw error;
    }
  }

  /**
   * Empties the file, so that the next opener finds it fresh, and closes it. Only for a layer whose records are all in
   * the tables. After a crash, or after `close` alone, the header stays in the file and tells the next opener to
   * replay.
   */
  closeClean(): void {
    if (!this.isOpen) return;
    this.system.truncate(this.descriptor, 0);
    this.close();
  }

  /** Closes the file, which releases the lock. May be called twice. */
  close(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.isAppendable = false;
    this.system.close(this.descriptor);
  }

  /** Removes the file, then closes. */
  remove(): void {
    assert(this.isOpen, 'the journal is open');
    this.system.unlink(this.path);
    this.close();
  }
}
