/** Counts, notes and progress, which imports and exports have in common. */

export interface Note<Kind> {
  readonly kind: Kind;
  /** Path in the tree, or under the imported directory, as text. */
  readonly path: string;
  readonly message: string;
}

/** Notes of one report; the last one says that there were more. */
const NOTES_MAX = 10_000;

export interface Counts {
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  readonly specials: number;
  /** Further names of files that have several. */
  readonly hardLinks: number;
  /** Of an import: what is hidden in lower layers or, over a base, removed. Of an export of changes: removed names. */
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

  /** A note that would be the same for many files is made once. */
  noteOnce(kind: Kind, path: string, message: string): void {
    if (this.noted.has(message) || this.notes.length === NOTES_MAX) return;
    this.noted.add(message);
    this.note(kind, path, message);
  }
}
