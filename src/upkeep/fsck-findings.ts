/** The input of fsck's passes, and their findings. */
import type { LayerId } from '../base/index.ts';
import type { LayerRecord } from '../meta/index.ts';
import type { StoreEngine } from '../store/index.ts';

export interface FsckPass {
  readonly name: string;
  /** How many objects the pass looked at. */
  readonly checked: number;
  /** One sentence for each problem. */
  readonly problems: readonly string[];
}

export class Findings implements FsckPass {
  readonly name: string;
  checked = 0;
  readonly problems: string[] = [];

  constructor(name: string) {
    this.name = name;
  }

  add(problem: string): void {
    this.problems.push(problem);
  }
}

export interface Checked {
  readonly engine: StoreEngine;
  /** The layers that trees stand on, each after the layers below it. */
  readonly layers: ReadonlyMap<LayerId, LayerRecord>;
  /** `layers` without the upper layers that another process is changing. */
  readonly settled: ReadonlyMap<LayerId, LayerRecord>;
}
