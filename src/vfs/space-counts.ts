/** Space and inodes of the filesystem that holds a store, as statfs(2) counts them. */
export interface SpaceCounts {
  /** The magic number of the filesystem's type. */
  readonly type: number;
  /** Bytes per block, the unit of the next three. */
  readonly bsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
}
