/** Counts and notes that reports of imports and of exports have in common, while they are being made. */

export interface Note<Kind> {
  readonly kind: Kind;
  /** Path in the tree, or under the imported directory, as text. */
  readonly path: string;
  readonly message: string;
}

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
    this.notes.push({ kind, path, message });
  }

  /** A note that would be the same for many files is made once. */
  noteOnce(kind: Kind, path: string, message: string): void {
    if (this.noted.has(message)) return;
    this.noted.add(message);
    this.note(kind, path, message);
  }
}
