/** What one inode's bytes need of the tree they belong to. */
import type { BlobId } from '../base/index.ts';
import type { ActiveBlob, BlobSpace } from '../blob/index.ts';
import type { System } from '../sys/index.ts';
import type { MapBudget } from './budget.ts';

/** The physical space of one layer stack, as one inode needs it. */
export interface PhysicalSpace {
  readonly system: System;
  readonly blobs: BlobSpace;
  readonly budget: MapBudget;
  /** The blob the upper layer appends to; 0 while there is none. */
  readonly activeId: BlobId | 0;
  /** A file has lost its last memory map; `unmapListener` is what its `Mapping` was given. */
  onUnmapped?(unmapListener: object): void;
  /** That blob, made at first need. EROFS when the tree is read-only. */
  activeBlob(): ActiveBlob;
  /** Makes everything acknowledged so far durable: what was freed can be used again. ENOSPC, EIO. */
  commitMark(): void;
}
