/**
 * Rows for the host files that extents name (docs/format.md, "external"). A row is journalled with this layer's first
 * extent that names its file, and stored at the next checkpoint, before the extents.
 */
import type { BlobId, ByteWriter } from '../base/index.ts';
import { assert } from '../base/index.ts';
import { type BlobSpace, isExternal } from '../blob/index.ts';
import type { ExternalRecord, MetaTables } from '../meta/index.ts';
import type { Batch } from './batch.ts';
import { encodeExternalEffect } from './effect-format.ts';

export class ExternalRecords {
  private readonly tables: MetaTables;
  private readonly blobs: BlobSpace;
  private readonly pending = new Map<BlobId, ExternalRecord>();

  constructor(tables: MetaTables, blobs: BlobSpace) {
    this.tables = tables;
    this.blobs = blobs;
  }

  /** Writes effects for the host files that a batch's runs name and that have no row yet. */
  encode(writer: ByteWriter, batch: Batch): void {
    let last = 0;
    for (const runs of batch.runLists) {
      for (const { blob } of runs) {
        // A sparse file may have thousands of runs in the same blob: look the blob up only once.
        if (blob !== last && isExternal(blob)) this.encodeOne(writer, blob);
        last = blob;
      }
    }
  }

  private encodeOne(writer: ByteWriter, blob: BlobId): void {
    if (this.pending.has(blob) || this.tables.externals.get(blob) !== undefined) return;
    const state = this.blobs.externals.stateOf(blob);
    assert(state !== undefined, 'a host file that is named has a state');
    encodeExternalEffect(writer, blob, state);
    this.pending.set(blob, state);
  }

  /** For a replay: takes over a host file from a journal record. */
  keep(blob: BlobId, external: ExternalRecord): void {
    this.blobs.externals.keep(blob, external);
    this.pending.set(blob, external);
  }

  /** For the checkpoint: stores the rows. It must run before the extents that name the files are stored. */
  *store(): Generator<void> {
    for (const [blob, external] of this.pending) {
      this.tables.externals.put(blob, external);
      yield;
    }
  }

  /** Forgets the rows, which are now stored. Call when the checkpoint is done. */
  clear(): void {
    for (const blob of this.pending.keys()) this.blobs.externals.noteStored(blob);
    this.pending.clear();
  }
}
