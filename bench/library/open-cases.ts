/** Requests of the opening benchmark to a fresh process, and the answers. */
export interface OpenArgument {
  readonly storeDirectory: string;
  readonly snapshot: string;
}

export interface OpenResult {
  readonly loadMs: number;
  readonly openMs: number;
  /** Opening the store and a snapshot, and the stat of a file in it. */
  readonly statMs: number;
  readonly residentBytes: number;
}
