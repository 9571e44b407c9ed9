/** Counts and notes that reports of imports and of exports have in common, while they are being made. */

export interface Note<Kind> {
  readonly kind: Kind;
  /** Path in the tree, or under the imported directory, as text. */
  readonly path: string;
  readonly message: string;
}

/** Notes of one report; the last one says that there were more. */
const NOTES_MAX = 10_000;

export class Tally<Kind> {
  files = 0;
  directories = 0;
  symlinks = 0;
  specials = 0;
  hardLinks = 0;
  whiteouts = 0;
  apparentBytes = 0;
  readonly notes: Note<Kind>[] = [];
  private readonly noted = new Set<string>();

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
