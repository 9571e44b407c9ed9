/**
 * Gathers the changes of one operation before any of them is made. `LayerStack.change` journals them as one record and
 * then applies them, so an operation happens wholly or not at all, even when the disk is full.
 */
import { assert, type ByteWriter, type LayerId, type Name, type Run } from '../base/index.ts';
import { type Entry, entryIno, entryKind, NO_ENTRY } from '../lower/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import { encodeInodeEffect, encodeName, encodeRuns, encodeXattrs } from './effect-format.ts';
import type { Inode } from './inode.ts';

/** A record that a batch is still changing. */
export type DraftRecord = { -readonly [Field in keyof InodeRecord]: InodeRecord[Field] };

export interface NameChange {
  readonly directory: Inode;
  readonly name: Name;
  /** `NO_ENTRY` removes the name. */
  readonly entry: Entry;
}

export class Batch {
  readonly inodes: Inode[] = [];
  readonly drafts: DraftRecord[] = [];
  readonly names: NameChange[] = [];
  /** Existing names that the upper layer takes over before `names` change; see `LayerStack.anchor`. */
  readonly anchors: NameChange[] = [];
  readonly runInodes: Inode[] = [];
  readonly runLists: (readonly Run[])[] = [];
  readonly xattrInodes: Inode[] = [];
  readonly xattrMaps: Map<string, Buffer>[] = [];

  private isOpen = false;

  open(): this {
    assert(!this.isOpen, 'one change of a tree at a time');
    this.isOpen = true;
    return this;
  }

  /** Empties the batch after its changes were applied or given up, so that the next change can use it. */
  close(): void {
    this.isOpen = false;
    empty(this.inodes);
    empty(this.drafts);
    empty(this.names);
    empty(this.anchors);
    empty(this.runInodes);
    empty(this.runLists);
    empty(this.xattrInodes);
    empty(this.xattrMaps);
  }

  get isEmpty(): boolean {
    return this.inodes.length + this.names.length + this.runInodes.length + this.xattrInodes.length === 0;
  }

  /** The record of `inode` for the caller to change: the same object each time within one batch. */
  change(inode: Inode): DraftRecord {
    const at = this.inodes.indexOf(inode);
    if (at >= 0) return this.drafts[at]!;
    const draft: DraftRecord = { ...inode.record };
    this.inodes.push(inode);
    this.drafts.push(draft);
    return draft;
  }

  /** Adds a new inode, whose record this batch may change in place. */
  create(inode: Inode): void {
    this.inodes.push(inode);
    this.drafts.push(inode.record);
  }

  setName(directory: Inode, name: Name, entry: Entry): void {
    this.names.push({ directory, name, entry });
  }

  anchorName(directory: Inode, name: Name, entry: Entry): void {
    this.anchors.push({ directory, name, entry });
  }

  /** Adds runs that `Mapping` returned, to be installed when the batch is applied. */
  setRuns(inode: Inode, runs: readonly Run[]): void {
    if (runs.length === 0) return;
    this.runInodes.push(inode);
    this.runLists.push(runs);
  }

  setXattrs(inode: Inode, xattrs: Map<string, Buffer>): void {
    this.xattrInodes.push(inode);
    this.xattrMaps.push(xattrs);
  }

  /** True when the batch removes names or blocks, and adds neither. */
  get givesBack(): boolean {
    if (this.names.length === 0 && this.runLists.length === 0) return false;
    return (
      this.names.every(({ entry }) => entry === NO_ENTRY) &&
      this.runLists.every((runs) => runs.every(({ blob }) => blob === 0))
    );
  }

  /**
   * Writes the journal record. Record and drafts name `layer` as the layer that has the maps and xattrs that the batch
   * changes.
   */
  encode(writer: ByteWriter, layer: LayerId): void {
    for (let index = 0; index < this.runInodes.length; index++) {
      const inode = this.runInodes[index]!;
      this.change(inode).extentLayer = layer;
      encodeRuns(writer, inode.ino, this.runLists[index]!);
    }
    for (const inode of this.xattrInodes) this.change(inode).xattrLayer = layer;
    for (let index = 0; index < this.inodes.length; index++) {
      encodeInodeEffect(writer, this.inodes[index]!.ino, this.drafts[index]!);
    }
    for (const names of [this.anchors, this.names]) {
      for (const { directory, name, entry } of names) {
        encodeName(writer, directory.ino, name, entryIno(entry), entryKind(entry));
      }
    }
    for (let index = 0; index < this.xattrInodes.length; index++) {
      encodeXattrs(writer, this.xattrInodes[index]!.ino, this.xattrMaps[index]!);
    }
  }
}

/** Empties a list but keeps its memory. After `length = 0` the next change would have to allocate memory again. */
function empty(list: unknown[]): void {
  while (list.length > 0) list.pop();
}
