/** The types of a benchmark, and of the context that it runs in. */
import type { Absent } from '../../src/demo/index.ts';
import type { SamplingOptions } from './sampling.ts';
import type { Section } from './table.ts';
import type { TreeStore } from './tree-store.ts';
import type { WorkDirectory } from './work-directory.ts';

export interface BenchContext {
  readonly work: WorkDirectory;
  readonly isQuick: boolean;
  readonly sampling: SamplingOptions;
  /** A benchmark calls this with a description of the step that it begins. */
  readonly onStep: (step: string) => void;
  /** A store with a tree of many files, made at the first call. */
  readonly treeStore: () => Promise<TreeStore>;
  /** Installs the peers from the package registry at the first call. Returns their directory, or why there is none. */
  readonly peerPackages: () => string | Absent;
}

export interface Benchmark {
  readonly name: string;
  readonly about: string;
  readonly run: (context: BenchContext) => Promise<Section | readonly Section[]>;
}
