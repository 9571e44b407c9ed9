/** What an export did, with a line for everything that could not come out as it is in the tree. */
import { type Note, Tally } from './tally.ts';

export type ExportNoteKind =
  /** The host does not let us give files to others: they belong to the exporting user. */
  | 'owner'
  /** The host took no extended attribute of this name. */
  | 'xattr'
  /** A fifo, socket or device that could not be made, or has no place in a tar. */
  | 'special';

export type ExportNote = Note<ExportNoteKind>;

export type ExportFormat = 'directory' | 'tar';

export interface ExportReport {
  readonly name: string;
  /** Absolute; '-' for a stream. */
  readonly destination: string;
  readonly format: ExportFormat;
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  readonly specials: number;
  readonly hardLinks: number;
  /** Of an export of changes: names that it takes away. */
  readonly whiteouts: number;
  /** Sum of file sizes. */
  readonly apparentBytes: number;
  readonly durationMs: number;
  readonly notes: readonly ExportNote[];
}

/** Where an export stands. */
export interface ExportProgress {
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
  readonly path: string;
}

export class ExportTally extends Tally<ExportNoteKind> {
  report(name: string, destination: string, format: ExportFormat, durationMs: number): ExportReport {
    const { files, directories, symlinks, specials, hardLinks, whiteouts, apparentBytes, notes } = this;
    return {
      name,
      destination,
      format,
      files,
      directories,
      symlinks,
      specials,
      hardLinks,
      whiteouts,
      apparentBytes,
      durationMs,
      notes,
    };
  }
}
