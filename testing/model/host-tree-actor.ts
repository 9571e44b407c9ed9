/**
 * A store whose forks come to stand on directories of the host: whenever a history closes a fork, this actor exports it
 * to a new directory, drops it, and makes it again as a fork of that directory. The tree looks the same, so history
 * and model are those of any store. `close` asserts that the directories have not changed.
 */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isFsError } from '../../src/base/index.ts';
import type { StoreEngine, Tree } from '../../src/store/index.ts';
import { exportTree } from '../trees/export-tree.ts';
import { fingerprint } from '../trees/host-tree.ts';
import {
  describeBytes,
  FIRST_TREE,
  type Operation,
  type Outcome,
  succeeded,
  type ViewOperation,
} from './operation.ts';
import { RametActor } from './ramet-actor.ts';
import { readBytes } from './ramet-paths.ts';

export class HostTreeActor extends RametActor {
  override readonly name = 'ramet over host trees';
  /** The fingerprints that the directories must have at the end, by path. */
  readonly directories = new Map<string, readonly string[]>();
  private nextDirectory = 0;
  /** Maps that were refused, with the outcome that reading them must have. */
  private readonly unmappable = new Map<number, Outcome>();
  private readonly isPinned: boolean;
  private readonly hostScratch = mkdtempSync(join(tmpdir(), 'ramet-model-trees-'));

  constructor(isPinned: boolean) {
    super();
    this.isPinned = isPinned;
  }

  static over(isPinned: boolean): Promise<HostTreeActor> {
    const actor = new HostTreeActor(isPinned);
    return actor.start((engine) => actor.forkOver(engine, actor.newDirectory(), FIRST_TREE));
  }

  private newDirectory(): string {
    const directory = join(this.hostScratch, String(this.nextDirectory++));
    mkdirSync(directory);
    chmodSync(directory, 0o755);
    return directory;
  }

  private forkOver(engine: StoreEngine, directory: string, name: string): Tree {
    this.directories.set(directory, fingerprint(directory));
    return engine.forkHost(directory, name, this.isPinned);
  }

  override async apply(operation: Operation): Promise<Outcome> {
    const outcome = 'view' in operation ? await this.applyView(operation) : await super.apply(operation);
    // Before a power cut nothing may happen that the model does not know of.
    if (this.watched !== undefined) return outcome;
    if (operation.op === 'handOver') await this.rebase(operation.tree);
    else if (operation.op === 'reopen') {
      for (const [tree, owner] of [...this.owners]) if (owner === operation.process) await this.rebase(tree);
    }
    return outcome;
  }

  /** A file of a snapshot whose bytes are the host's cannot be mapped. Answers for such a map with the file's bytes. */
  private async applyView(operation: ViewOperation): Promise<Outcome> {
    const known = this.unmappable.get(operation.view);
    if (operation.op === 'readView' && known !== undefined) return known;
    if (operation.op === 'closeView' && this.unmappable.delete(operation.view)) return succeeded();
    const outcome = await super.apply(operation);
    if (operation.op !== 'map' || outcome !== 'EROFS') return outcome;
    const { fileSystem, file } = this.handles.get(operation.handle)!;
    this.unmappable.set(operation.view, succeeded(describeBytes(readBytes(fileSystem, file, 1 << 24, 0))));
    return succeeded();
  }

  /** Moves a closed fork onto a new directory; snapshots stay as they are. */
  private async rebase(name: string): Promise<void> {
    const owner = this.ownerOf(name);
    const { engine } = owner;
    if (engine.list().find((tree) => tree.name === name)?.kind !== 'fork') return;
    const directory = this.newDirectory();
    try {
      await exportTree(engine, name, directory);
    } catch (error) {
      // The host has no space for an xattr of some thousand bytes: this tree is not moved.
      if (isFsError(error, 'ENOSPC') || isFsError(error, 'E2BIG')) return;
      throw error;
    }
    engine.drop(name);
    owner.keep(name, () => this.forkOver(engine, directory, name));
  }

  override async close(): Promise<void> {
    await super.close();
    for (const [directory, before] of this.directories) {
      assert.deepEqual(fingerprint(directory), before, 'a directory is as it was');
    }
    rmSync(this.hostScratch, { recursive: true, force: true });
  }
}
