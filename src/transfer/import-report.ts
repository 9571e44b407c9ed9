/** The report of an import: counts, sizes, and a note for everything that was not imported as it was. */
import { type FsError, nameToString } from '../base/index.ts';
import { XATTR_VALUE_BYTES_MAX, xattrRefusal, xattrValueLack } from '../vfs/index.ts';
import type { FileContent } from './stored-content.ts';
import { type Counts, type Note, Tally } from './tally.ts';

export type ImportNoteKind =
  /** A fifo, socket or device: recorded as such, it has no content. */
  | 'special'
  /** The store's own directory, left out. */
  | 'store'
  /** A file that could not be read, left out (`skipUnreadable`). */
  | 'unreadable'
  /** A file or directory that kept changing while it was read: its stored form may mix two states, or miss entries. */
  | 'changed'
  /** A file that disappeared after its name was listed and before it was read. */
  | 'vanished'
  /** An extended attribute that a tree cannot have, left out: noted once, for the first file that has it. */
  | 'xattr';

export type ImportNote = Note<ImportNoteKind>;

export interface ImportReport extends Counts {
  /** The snapshot that was made. */
  readonly name: string;
  /** Absolute path of the host directory or archive. */
  readonly source: string;
  /** Bytes written to new blobs. */
  readonly storedBytes: number;
  /** Bytes not stored, because the store or an earlier file of the import has the same bytes. */
  readonly sharedBytes: number;
  /** The part of `storedBytes` that was reflinked instead of copied. */
  readonly clonedBytes: number;
  readonly durationMs: number;
  readonly notes: readonly ImportNote[];
}

/** The report while it is being made. */
export class ImportTally extends Tally<ImportNoteKind> {
  storedBytes = 0;
  sharedBytes = 0;
  clonedBytes = 0;

  count({ sizeBytes, storedBytes, sharedBytes, clonedBytes }: FileContent): void {
    this.files++;
    this.apparentBytes += sizeBytes;
    this.storedBytes += storedBytes;
    this.sharedBytes += sharedBytes;
    this.clonedBytes += clonedBytes;
  }

  special(path: string, word: string): void {
    this.specials++;
    this.note('special', path, `recorded as a ${word}: it has no content`);
  }

  unreadable(path: string, error: FsError): void {
    this.note('unreadable', path, `left out: ${error.message}`);
  }

  /** The attributes that a file of this mode can have in a tree; the others are noted. */
  keptXattrs(path: string, mode: number, xattrs: Map<string, Buffer>): Map<string, Buffer> {
    const kept = new Map(xattrs);
    for (const [name, value] of xattrs) {
      const why = whyLeftOut(name, mode, value);
      if (why === undefined) continue;
      kept.delete(name);
      const message = `attribute '${nameToString(name)}' left out, here and elsewhere: ${why}`;
      this.noteOnce('xattr', path === '' ? '.' : path, message);
    }
    return kept;
  }

  report(name: string, source: string, durationMs: number): ImportReport {
    const { storedBytes, sharedBytes, clonedBytes, notes } = this;
    return { name, source, ...this.counts(), storedBytes, sharedBytes, clonedBytes, durationMs, notes };
  }
}

function whyLeftOut(name: string, mode: number, value: Buffer): string | undefined {
  const refusal = xattrRefusal(name, mode);
  if (refusal === 'EPERM') return 'only files and directories can have user.* attributes';
  if (refusal !== undefined) return 'it belongs to the filesystem or system that it comes from';
  if (value.length > XATTR_VALUE_BYTES_MAX) return 'its value is longer than 64 KiB';
  const lack = xattrValueLack(name, value);
  return lack === undefined ? undefined : `its value is not ${lack}`;
}
