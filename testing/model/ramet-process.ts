/** One of the processes that work on a store: its engine, and the trees that it has open. */
import { StoreEngine, type Tree } from '../../src/store/index.ts';
import { CrashedError, type FaultySystem } from '../../src/sys/index.ts';

/** Low, so that chains are flattened even in short histories. */
const CHAIN_LAYERS_MAX = 4;

export class RametProcess {
  readonly engine: StoreEngine;
  private readonly system: FaultySystem;
  private readonly trees = new Map<string, Tree>();

  private constructor(engine: StoreEngine, system: FaultySystem) {
    this.engine = engine;
    this.system = system;
  }

  /** Makes no commit marks by time: a seed must give the same history, even on a slow machine. */
  static async open(directory: string, system: FaultySystem): Promise<RametProcess> {
    const options = { system, chainLayersMax: CHAIN_LAYERS_MAX, commitMarkMs: Number.POSITIVE_INFINITY };
    return new RametProcess(await StoreEngine.open(directory, options), system);
  }

  /** The tree of this name, which `open` opens if this process does not have it open. */
  keep(name: string, open: (engine: StoreEngine) => Tree): Tree {
    let tree = this.trees.get(name);
    if (tree !== undefined) return tree;
    tree = open(this.engine);
    this.trees.set(name, tree);
    return tree;
  }

  closeTree(name: string): void {
    this.trees.get(name)?.close();
    this.trees.delete(name);
  }

  async close(): Promise<void> {
    await this.engine.close();
  }

  /** Dies: all descriptors and locks are gone at once, and nothing more is stored. */
  async die(): Promise<void> {
    this.system.crash();
    await this.engine.close().catch((error: unknown) => {
      if (!(error instanceof CrashedError)) throw error;
    });
    await this.engine.tables.close();
  }
}
