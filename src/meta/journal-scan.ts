/** Reads the records of a journal file in order, up to the first invalid one. */
import { CHECKSUM_BYTES, isChecksum } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import {
  HEADER_BYTES,
  type JournalHeader,
  MARK_PAYLOAD_BYTES,
  RECORD_FIXED_BYTES,
  RECORD_HEAD_BYTES,
  RECORD_KIND,
  readNumber,
  recordSeed,
  TERMINATOR_BYTES,
} from './journal-format.ts';

const WINDOW_BYTES = 256 * 1024;

/** Called with each record of effects. The payload is valid only during the call. */
export type RecordVisitor = (sequence: number, payload: Buffer) => void;

export interface ScanResult {
  /** Sequence of the last valid record; one less than the first sequence when there is none. */
  readonly lastSequence: number;
  /** Sequence of the last commit mark; one less than the first sequence when there is none. */
  readonly lastMarkedSequence: number;
  /** Where in the file the valid records and marks end, in bytes. */
  readonly end: number;
}

/** A window of the file that moves forward. */
class FileWindow {
  private readonly system: System;
  private readonly descriptor: number;
  private readonly sizeBytes: number;
  private start = 0;
  private end = 0;
  buffer = Buffer.allocUnsafe(WINDOW_BYTES);

  constructor(system: System, descriptor: number) {
    this.system = system;
    this.descriptor = descriptor;
    this.sizeBytes = system.fileSize(descriptor).sizeBytes;
  }

  /**
   * Reads `length` bytes of the file from `position` into `buffer`; returns their index, or -1 if the file ends before
   * they do.
   */
  load(position: number, length: number): number {
    if (position + length > this.sizeBytes) return -1;
    if (position >= this.start && position + length <= this.end) return position - this.start;
    if (length > this.buffer.length) this.buffer = Buffer.allocUnsafe(length);
    const wanted = Math.min(this.buffer.length, this.sizeBytes - position);
    const got = this.system.pread(this.descriptor, this.buffer, 0, wanted, position);
    this.start = position;
    this.end = position + got;
    return got < length ? -1 : 0;
  }
}

/**
 * Visits, in order, the valid records whose sequence is above `from` and at most `to`. The result describes the
 * whole file, whatever the bounds.
 */
export function scanRecords(
  system: System,
  descriptor: number,
  header: JournalHeader,
  visit: RecordVisitor,
  from: number,
  to: number,
): ScanResult {
  const file = new FileWindow(system, descriptor);
  const seed = recordSeed(header);
  let position = HEADER_BYTES;
  let lastSequence = header.firstSequence - 1;
  let lastMarkedSequence = lastSequence;
  for (;;) {
    const lengthAt = file.load(position, TERMINATOR_BYTES);
    if (lengthAt < 0) break;
    const payloadBytes = file.buffer.readUInt32LE(lengthAt);
    if (payloadBytes === 0) break;
    const recordBytes = payloadBytes + RECORD_FIXED_BYTES;
    const at = file.load(position, recordBytes);
    if (at < 0) break;
    const checkedEnd = at + recordBytes - CHECKSUM_BYTES;
    if (!isChecksum(file.buffer, checkedEnd, file.buffer.subarray(at, checkedEnd), seed)) break;
    const kind = file.buffer[at + 4]!;
    const sequence = readNumber(file.buffer, at + 5);
    if (kind === RECORD_KIND.effects && sequence === lastSequence + 1) {
      lastSequence = sequence;
      if (sequence > from && sequence <= to)
        visit(sequence, file.buffer.subarray(at + RECORD_HEAD_BYTES, checkedEnd));
    } else if (
      kind === RECORD_KIND.mark &&
      sequence === lastSequence &&
      payloadBytes === MARK_PAYLOAD_BYTES
    ) {
      lastMarkedSequence = sequence;
    } else {
      break;
    }
    position += recordBytes;
  }
  return { lastSequence, lastMarkedSequence, end: position };
}
