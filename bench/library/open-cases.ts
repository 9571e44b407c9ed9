/** Requests of the opening benchmark to a fresh process, and the answers. */
export interface OpenArgument {
  readonly storeDirectory: string;
  readonly snapshot: string;
}

export interface OpenResult {
  readonly loadMs: number;
  readonly openMs: number;
  /** Milliseconds to open the store and a snapshot, and to stat a file in it. */
  readonly statMs: number;
  readonly residentBytes: number;
}
