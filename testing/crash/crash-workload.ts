/**
 * What the crash tests do to a store: about 200 operations over two forks and a snapshot, chosen by a seed, and the
 * model that says what each tree must hold afterwards. Everything is decided by the seed and by the model, so a run
 * that stops at some system call has done exactly what a whole run does up to there.
 */
import { SeededRandom } from '../../src/base/index.ts';
import type { StoreEngine, Tree } from '../../src/store/index.ts';
import { patternBytes } from '../shared-store.ts';

const O_RDWR_CREAT = 0o102;
const NAMES = ['/a', '/b', '/c', '/d/a', '/d/b', '/d/e/a'];
const SIZES = [10, 4096, 5000, 12_288, 20_000, 70_000];

/** Files by path; directories are fixed. */
export type TreeModel = Map<string, Buffer>;

export interface Step {
  readonly text: string;
  /** The tree that it changes; '' for steps of the store as a whole. */
  readonly tree: string;
  run(): void;
  /** Changes the model as the step changes the tree. */
  model(): void;
  /** The file that is overwritten: after a power cut its blocks may be old or new. */
  readonly overwrites?: string;
}

export class Workload {
  readonly engine: StoreEngine;
  readonly trees = new Map<string, TreeModel>();
  /** Steps that have returned. */
  done = 0;
  /** The step that was running when the process died. */
  inFlight: Step | undefined;
  private readonly random: SeededRandom;
  private readonly open = new Map<string, Tree>();
  private readonly onDone: (step: Step) => void;
  private seedOfBytes = 1;

  constructor(engine: StoreEngine, seed: number, onDone: (step: Step) => void = () => {}) {
    this.engine = engine;
    this.random = new SeededRandom(seed);
    this.onDone = onDone;
  }

  /** Runs the whole of it; throws where the system does. */
  run(steps: number): void {
    this.step(this.create('one'));
    for (const path of ['/d', '/d/e']) this.step(this.makeDirectory('one', path));
    for (let count = 0; count < steps; count++) {
      const special = SPECIAL.get(Math.round((count * 100) / steps));
      if (special !== undefined && Math.round(((count - 1) * 100) / steps) !== Math.round((count * 100) / steps)) {
        for (const step of special(this)) this.step(step);
      }
      this.step(this.choose());
    }
  }

  private step(step: Step): void {
    this.inFlight = step;
    step.run();
    step.model();
    this.inFlight = undefined;
    this.done++;
    this.onDone(step);
  }

  private tree(name: string): Tree {
    return this.open.get(name)!;
  }

  modelOf(name: string): TreeModel {
    return this.trees.get(name)!;
  }

  create(name: string): Step {
    return {
      text: `create ${name}`,
      tree: name,
      run: () => void this.open.set(name, this.engine.createEmpty(name)),
      model: () => void this.trees.set(name, new Map()),
    };
  }

  snapshot(source: string, name: string): Step {
    return {
      text: `snapshot ${source} ${name}`,
      tree: name,
      run: () => void this.engine.snapshot(source, name),
      model: () => void this.trees.set(name, new Map(this.modelOf(source))),
    };
  }

  fork(source: string, name: string): Step {
    return {
      text: `fork ${source} ${name}`,
      tree: name,
      run: () => void this.open.set(name, this.engine.fork(source, name)),
      model: () => void this.trees.set(name, new Map(this.modelOf(source))),
    };
  }

  drop(name: string): Step {
    return {
      text: `drop ${name}`,
      tree: name,
      run: () => {
        this.open.get(name)?.close();
        this.engine.drop(name);
      },
      model: () => {
        this.open.delete(name);
        this.trees.delete(name);
      },
    };
  }

  gc(): Step {
    return { text: 'gc', tree: '', run: () => void this.engine.gc(), model: () => {} };
  }

  reopen(name: string): Step {
    return {
      text: `reopen ${name}`,
      tree: name,
      run: () => {
        this.tree(name).close();
        this.open.set(name, this.engine.openTree(name));
      },
      model: () => {},
    };
  }

  private makeDirectory(name: string, path: string): Step {
    return { text: `mkdir ${path}`, tree: name, run: () => this.tree(name).fileSystem.makeDirectory(path, 0o755), model: () => {} };
  }

  private choose(): Step {
    const { random } = this;
    const forks = [...this.open.keys()];
    const name = forks[random.below(forks.length)]!;
    const files = [...this.modelOf(name).keys()].sort();
    const path = NAMES[random.below(NAMES.length)]!;
    const existing = files.length > 0 ? files[random.below(files.length)]! : undefined;
    const kind = random.below(10);
    if (existing === undefined || kind < 4) return this.write(name, path);
    if (kind < 5) return this.truncate(name, existing);
    if (kind < 6) return this.rename(name, existing, path);
    if (kind < 7) return this.unlink(name, existing);
    if (kind < 8) return this.sync(name, existing);
    if (kind < 9) return this.write(name, existing);
    return this.checkpoint(name);
  }

  private write(name: string, path: string): Step {
    const length = SIZES[this.random.below(SIZES.length)]!;
    const old = this.modelOf(name).get(path);
    const position = old === undefined ? 0 : this.random.below(old.length + 1);
    const bytes = patternBytes(length, this.seedOfBytes++);
    return {
      text: `write ${name}:${path} ${position}+${length}`,
      tree: name,
      overwrites: path,
      run: () => {
        const { fileSystem } = this.tree(name);
        const file = fileSystem.open(path, O_RDWR_CREAT, 0o644);
        fileSystem.write(file, bytes, 0, length, position);
        fileSystem.close(file);
      },
      model: () => {
        const content = Buffer.alloc(Math.max(old?.length ?? 0, position + length));
        old?.copy(content);
        bytes.copy(content, position);
        this.modelOf(name).set(path, content);
      },
    };
  }

  private truncate(name: string, path: string): Step {
    const old = this.modelOf(name).get(path)!;
    const size = this.random.below(old.length + 6000);
    return {
      text: `truncate ${name}:${path} ${size}`,
      tree: name,
      run: () => this.tree(name).fileSystem.truncate(path, size),
      model: () => {
        const content = Buffer.alloc(size);
        old.copy(content, 0, 0, Math.min(size, old.length));
        this.modelOf(name).set(path, content);
      },
    };
  }

  private rename(name: string, from: string, to: string): Step {
    return {
      text: `rename ${name}:${from} ${to}`,
      tree: name,
      run: () => this.tree(name).fileSystem.rename(from, to),
      model: () => {
        const model = this.modelOf(name);
        const content = model.get(from)!;
        model.delete(from);
        model.set(to, content);
      },
    };
  }

  private unlink(name: string, path: string): Step {
    return {
      text: `unlink ${name}:${path}`,
      tree: name,
      run: () => this.tree(name).fileSystem.unlink(path),
      model: () => void this.modelOf(name).delete(path),
    };
  }

  private sync(name: string, path: string): Step {
    return {
      text: `fsync ${name}`,
      tree: name,
      run: () => {
        const { fileSystem } = this.tree(name);
        const file = fileSystem.open(path, 0, 0);
        fileSystem.sync(file);
        fileSystem.close(file);
      },
      model: () => {},
    };
  }

  private checkpoint(name: string): Step {
    return { text: `checkpoint ${name}`, tree: name, run: () => this.tree(name).checkpoint(), model: () => {} };
  }
}

/** What happens to the store as a whole, at so many percent of the steps. */
const SPECIAL = new Map<number, (workload: Workload) => Step[]>([
  [15, (work) => [work.snapshot('one', 'base')]],
  [25, (work) => [work.fork('base', 'two')]],
  [40, (work) => [work.gc()]],
  [50, (work) => [work.fork('one', 'three')]],
  [60, (work) => [work.reopen('two')]],
  [70, (work) => [work.drop('three'), work.drop('base')]],
  [80, (work) => [work.gc()]],
  [90, (work) => [work.snapshot('two', 'last')]],
]);
