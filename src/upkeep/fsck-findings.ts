/** What fsck's passes look at, and what they fill in. */
import type { LayerId } from '../base/index.ts';
import type { LayerRecord } from '../meta/index.ts';
import type { StoreEngine } from '../store/index.ts';

export interface FsckPass {
  readonly name: string;
  /** How many things of the pass's kind were looked at. */
  readonly checked: number;
  /** A sentence each. */
  readonly problems: readonly string[];
}

/** What a pass fills in while it runs. */
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

/** What all passes look at. */
export interface Checked {
  readonly engine: StoreEngine;
  /** The layers that trees stand on, each behind the one it stands on. */
  readonly layers: ReadonlyMap<LayerId, LayerRecord>;
  /** Of these, the upper layers that another process is changing. */
  readonly owned: ReadonlySet<LayerId>;
}
