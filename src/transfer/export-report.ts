/** What an export did, with a line for everything that could not come out as it is in the tree. */

export type ExportNoteKind =
  /** The host does not let us give files to others: they belong to the exporting user. */
  | 'owner'
  /** The host took no extended attribute of this name. */
  | 'xattr'
  /** A fifo, socket or device that could not be made, or has no place in a tar. */
  | 'special';

export interface ExportNote {
  readonly kind: ExportNoteKind;
  /** Path in the tree, as text. */
  readonly path: string;
  readonly message: string;
}

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

export class ExportTally {
  files = 0;
  directories = 0;
  symlinks = 0;
  specials = 0;
  hardLinks = 0;
  whiteouts = 0;
  apparentBytes = 0;
  readonly notes: ExportNote[] = [];
  private readonly noted = new Set<string>();

  note(kind: ExportNoteKind, path: string, message: string): void {
    this.notes.push({ kind, path, message });
  }

  /** A note that would be the same for many files is made once. */
  noteOnce(kind: ExportNoteKind, path: string, message: string): void {
    if (this.noted.has(message)) return;
    this.noted.add(message);
    this.note(kind, path, message);
  }

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
