/**
 * Sealing in the background: computes the checksums of blobs that were just frozen, in short slices between the
 * program's own events. It never keeps a process alive: if the process ends first, the next gc does the rest.
 */
import { type BlobId, isFsError, type LayerId } from '../base/index.ts';
import { type BlobSpace, Sealing } from '../blob/index.ts';
import type { MetaTables } from '../meta/index.ts';

/** Number of blocks hashed in one slice, which takes about 2 ms. */
const SLICE_BLOCKS = 1024;

interface Job {
  readonly layer: LayerId;
  readonly blob: BlobId;
  work: Sealing | undefined;
}

export class Sealer {
  private readonly tables: MetaTables;
  private readonly blobs: BlobSpace;
  private readonly jobs: Job[] = [];
  private isScheduled = false;

  constructor(tables: MetaTables, blobs: BlobSpace) {
    this.tables = tables;
    this.blobs = blobs;
  }

  get isBusy(): boolean {
    return this.jobs.length > 0;
  }

  add(layer: LayerId, blobs: readonly BlobId[]): void {
    for (const blob of blobs) this.jobs.push({ layer, blob, work: undefined });
    this.schedule();
  }

  private schedule(): void {
    if (this.isScheduled || !this.isBusy) return;
    this.isScheduled = true;
    setImmediate(() => {
      this.isScheduled = false;
      this.step();
      this.schedule();
    }).unref();
  }

  /** Does a slice of the first job. */
  private step(): void {
    const job = this.jobs[0];
    if (job === undefined) return;
    try {
      job.work ??= new Sealing(this.blobs, job.blob, this.blobs.lengthBlocks(job.blob));
      if (!job.work.step(SLICE_BLOCKS)) return;
      this.jobs.shift();
      this.recordSealed(job);
    } catch (error) {
      // A blob that cannot be read stays unsealed, and fsck and gc report it.
      this.jobs.shift();
      if (!isFsError(error)) throw error;
    }
  }

  private recordSealed(job: Job): void {
    this.tables.transaction(() => {
      const blob = this.tables.blobs.get(job.blob);
      if (blob !== undefined) this.tables.blobs.put(job.blob, { ...blob, state: 'sealed' });
      const layer = this.tables.layers.get(job.layer);
      if (layer === undefined) return;
      const unsealedBlobs = layer.unsealedBlobs.filter((id) => id !== job.blob);
      this.tables.layers.put(job.layer, { ...layer, unsealedBlobs });
    });
  }

  /** Does all that is left, at once. */
  finish(): void {
    while (this.isBusy) this.step();
  }

  stop(): void {
    this.jobs.length = 0;
  }
}
