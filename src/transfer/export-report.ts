/** The report of an export, with a note for everything that could not be written as it is in the tree. */
import { type Counts, type Note, Tally } from './tally.ts';

export type ExportNoteKind =
  /** The host does not let this user give files to others, so they belong to this user. */
  | 'owner'
  /** The host refused an extended attribute of this name. */
  | 'xattr'
  /** A fifo, socket or device that could not be made, or has no place in a tar. */
  | 'special';

export type ExportNote = Note<ExportNoteKind>;

export type ExportFormat = 'directory' | 'tar';

export interface ExportReport extends Counts {
  readonly name: string;
  /** Absolute path of the directory or archive; '-' for a stream. */
  readonly destination: string;
  readonly format: ExportFormat;
  readonly durationMs: number;
  readonly notes: readonly ExportNote[];
}

export class ExportTally extends Tally<ExportNoteKind> {
  report(name: string, destination: string, format: ExportFormat, durationMs: number): ExportReport {
    return { name, destination, format, ...this.counts(), durationMs, notes: this.notes };
  }
}
