/** What a `BlobSpace` may take, and what it has taken. */

export interface BlobSpaceLimits {
  /** Open descriptors; 1,024 when not given. */
  readonly descriptorsMax?: number;
  /** Windows of 16 MiB of address space each; 1,024 when not given. */
  readonly windowsMax?: number;
}

export interface BlobSpaceCounts {
  readonly openDescriptors: number;
  readonly windows: number;
  /** Blocks whose checksum was compared by reads of this process. */
  readonly blocksVerified: number;
}
