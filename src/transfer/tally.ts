/** The counts, notes and progress of an import or export. */

export interface Note<Kind> {
  readonly kind: Kind;
  /** Path in the tree, or under the imported directory, as text. */
  readonly path: string;
  readonly message: string;
}

/** The most notes in one report; the last of them says that there were more. */
const NOTES_MAX = 10_000;

export interface Counts {
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  readonly specials: number;
  /** Additional names of files with several names. */
  readonly hardLinks: number;
  /** Import: names that are hidden in lower layers or, over a base, removed. Export of changes: removed names. */
  readonly whiteouts: number;
  /** Sum of file sizes. */
  readonly apparentBytes: number;
}

/** How far an import or export is. */
export interface TransferProgress {
  readonly files: number;
  readonly directories: number;
  readonly bytes: number;
  /** The directory or file that is being read, as text. */
  readonly path: string;
}

/** The counts and notes of a report while it is being made. */
export class Tally<Kind> implements Counts {
  files = 0;
  directories = 0;
  symlinks = 0;
  specials = 0;
  hardLinks = 0;
  whiteouts = 0;
  apparentBytes = 0;
  readonly notes: Note<Kind>[] = [];
  private readonly noted = new Set<string>();

  counts(): Counts {
    const { files, directories, symlinks, specials, hardLinks, whiteouts, apparentBytes } = this;
    return { files, directories, symlinks, specials, hardLinks, whiteouts, apparentBytes };
  }

  progress(path: string): TransferProgress {
    return { files: this.files, directories: this.directories, bytes: this.apparentBytes, path };
  }

  note(kind: Kind, path: string, message: string): void {
    const left = NOTES_MAX - this.notes.length;
    if (left > 1) this.notes.push({ kind, path, message });
    else if (left === 1)
      this.notes.push({ kind, path, message: `${message}; there is more that is not noted` });
  }

  /** Makes a note, unless one with this message was made before, so that many files cause one note only. */
  noteOnce(kind: Kind, path: string, message: string): void {
    if (this.noted.has(message) || this.notes.length === NOTES_MAX) return;
    this.noted.add(message);
    this.note(kind, path, message);
  }
}
