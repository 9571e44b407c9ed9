/** What a benchmark is given, and what it is. */
import type { Absent } from '../../src/demo/index.ts';
import type { SamplingOptions } from './sampling.ts';
import type { Section } from './table.ts';
import type { TreeStore } from './tree-store.ts';
import type { WorkDirectory } from './work-directory.ts';

export interface BenchContext {
  readonly work: WorkDirectory;
  readonly isQuick: boolean;
  readonly sampling: SamplingOptions;
  /** Called with what is being measured now. */
  readonly onStep: (step: string) => void;
  /** A store with a tree of many files, made when it is first asked for. */
  readonly treeStore: () => Promise<TreeStore>;
  /** Where the peers from the package registry are installed, when that is first asked for, or why not. */
  readonly peerPackages: () => string | Absent;
}

export interface Benchmark {
  readonly name: string;
  readonly about: string;
  readonly run: (context: BenchContext) => Promise<Section | readonly Section[]>;
}
