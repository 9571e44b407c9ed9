/** What the opening benchmark asks of a fresh process, and gets. */
export interface OpenArgument {
  readonly storeDirectory: string;
  readonly snapshot: string;
}

export interface OpenResult {
  readonly loadMs: number;
  readonly openMs: number;
  /** From before opening until a file of the snapshot was looked at. */
  readonly statMs: number;
  readonly residentBytes: number;
}
