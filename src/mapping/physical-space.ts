/** The physical space of a layer stack: the part of the stack that the mapping of an inode needs. */
import type { BlobId } from '../base/index.ts';
import type { ActiveBlob, BlobSpace } from '../blob/index.ts';
import type { System } from '../sys/index.ts';
import type { MapBudget } from './budget.ts';

export interface PhysicalSpace {
  readonly system: System;
  readonly blobs: BlobSpace;
  readonly budget: MapBudget;
  /** The id of the active blob; 0 while there is none. */
  readonly activeId: BlobId | 0;
  /** Called when the last memory map of a file is gone, with the `unmapListener` of its `Mapping`. */
  onUnmapped?(unmapListener: object): void;
  /** The blob that the upper layer writes to, made when first needed. EROFS when the tree is read-only. */
  activeBlob(): ActiveBlob;
  /** Makes everything acknowledged so far durable, so that freed blocks can be used again. ENOSPC, EIO. */
  commitMark(): void;
}
