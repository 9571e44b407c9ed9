/**
 * The workload of the crash tests: some hundred operations on several forks and snapshots, chosen by a seed, and a
 * model of what each tree must hold afterwards. Seed and model decide everything, so a run that stops at some system
 * call has done exactly what a whole run does up to that call.
 */
import { assert, BLOCK_SIZE, SeededRandom } from '../../src/base/index.ts';
import type { StoreEngine, Tree } from '../../src/store/index.ts';
import { collectGarbage } from '../../src/upkeep/index.ts';
import { type OpenFile, RENAME_WHITEOUT } from '../../src/vfs/index.ts';
import { patternBytes } from '../stores/shared-store.ts';

const O_RDWR_CREAT = 0o102;
const NAMES = ['/a', '/b', '/c', '/d/a', '/d/b', '/d/e/a'];
/** The bytes that are written into an open file whose name was removed. */
const NOBODY = Buffer.from('of nobody');
const SIZES = [10, 4096, 5000, 12_288, 20_000, 70_000];

/** The most layers that a fork may stand on before it is flattened. */
export const CHAIN_LAYERS_MAX = 2;

/**
 * One state of a file, never changed; states of one file have one id, and all its names show one state. Directories
 * and whiteouts have no content.
 */
export interface FileState {
  readonly id: number;
  readonly content: Buffer | undefined;
  readonly isWhiteout?: boolean;
}

/** The files of a tree in one state, by path. */
export type TreeModel = ReadonlyMap<string, FileState>;

/** The states of a tree: the first, and one more for each step that changed it. */
export interface TreeHistory {
  readonly states: TreeModel[];
  /** Index of the last state that was made durable. */
  durable: number;
}

export interface Step {
  readonly text: string;
  /** The tree that the step changes, makes or drops; '' for none. */
  readonly tree: string;
  /** The fork that the step opens. */
  readonly opens?: string;
  /** Trees whose state is durable once the step has returned. */
  readonly durable: readonly string[];
  run(): void;
  /** The state of the tree afterwards; undefined when the tree is gone. */
  after(): TreeModel | undefined;
}

interface NamelessFile {
  readonly id: number;
  readonly content: Buffer;
  file: OpenFile | undefined;
}

export class Workload {
  readonly trees = new Map<string, TreeHistory>();
  /** Steps that have returned. */
  done = 0;
  /** The step that is running. */
  inFlight: Step | undefined;
  private readonly store: StoreEngine | undefined;
  private readonly random: SeededRandom;
  private readonly forks = new Set<string>();
  private readonly open = new Map<string, Tree>();
  /** By fork: a file that is open although its name was removed. */
  private readonly nameless = new Map<string, NamelessFile>();
  private readonly onDone: () => void;
  private nextId = 1;
  private seedOfBytes = 1;

  /** Without a store a dry run: only the histories are made. `onDone` is called after every step. */
  constructor(store: StoreEngine | undefined, seed: number, onDone: () => void = () => undefined) {
    this.store = store;
    this.random = new SeededRandom(seed);
    this.onDone = onDone;
  }

  private get engine(): StoreEngine {
    assert(this.store !== undefined, 'steps run on a store');
    return this.store;
  }

  /** Runs the workload; throws what the system throws. */
  run(steps: number): void {
    for (const step of this.createWithDirectories('one')) this.step(step);
    for (let count = 0; count < steps; count++) {
      const special = SPECIAL.get(Math.round((count * 100) / steps));
      if (
        special !== undefined &&
        Math.round(((count - 1) * 100) / steps) !== Math.round((count * 100) / steps)
      ) {
        for (const step of special(this)) this.step(step);
      }
      this.step(this.choose());
    }
  }

  private step(step: Step): void {
    this.inFlight = step;
    if (this.store !== undefined) step.run();
    if (step.opens !== undefined) this.forks.add(step.opens);
    const after = step.after();
    if (after === undefined) this.forks.delete(step.tree);
    const history = this.trees.get(step.tree);
    if (after === undefined) this.trees.delete(step.tree);
    else if (history === undefined) this.trees.set(step.tree, { states: [after], durable: 0 });
    else history.states.push(after);
    for (const name of step.durable) {
      const durable = this.trees.get(name);
      if (durable !== undefined) durable.durable = durable.states.length - 1;
    }
    this.inFlight = undefined;
    this.done++;
    this.onDone();
  }

  /** The forks that are open. */
  get openTrees(): ReadonlyMap<string, Tree> {
    return this.open;
  }

  private tree(name: string): Tree {
    return this.open.get(name)!;
  }

  private modelOf(name: string): TreeModel {
    return this.trees.get(name)?.states.at(-1) ?? new Map();
  }

  // Steps on the store.

  create(name: string): Step {
    const run = (): void => void this.open.set(name, this.engine.createEmpty(name));
    return { text: `create ${name}`, tree: name, opens: name, durable: [name], run, after: () => new Map() };
  }

  createWithDirectories(name: string): Step[] {
    return [this.create(name), ...['/d', '/d/e'].map((path) => this.makeDirectory(name, path))];
  }

  snapshot(source: string, name: string): Step {
    const run = (): void => void this.engine.snapshot(source, name);
    const after = (): TreeModel => this.modelOf(source);
    return { text: `snapshot ${source} ${name}`, tree: name, durable: [source, name], run, after };
  }

  fork(source: string, name: string): Step {
    const run = (): void => void this.open.set(name, this.engine.fork(source, name));
    const after = (): TreeModel => this.modelOf(source);
    return { text: `fork ${source} ${name}`, tree: name, opens: name, durable: [source, name], run, after };
  }

  drop(name: string): Step {
    this.nameless.delete(name);
    const run = (): void => {
      this.open.get(name)?.close();
      this.open.delete(name);
      this.engine.drop(name);
    };
    return { text: `drop ${name}`, tree: name, durable: [], run, after: () => undefined };
  }

  gc(): Step {
    const durable = [...this.forks];
    const run = (): void => void collectGarbage(this.engine);
    return { text: 'gc', tree: durable[0]!, durable, run, after: () => this.modelOf(durable[0]!) };
  }

  /** Flattens long chains of layers, which changes no tree. */
  flatten(name: string): Step {
    const run = (): void => this.engine.flattener.finish();
    return { text: 'flatten', tree: name, durable: [], run, after: () => this.modelOf(name) };
  }

  reopen(name: string): Step {
    this.nameless.delete(name);
    const run = (): void => {
      this.tree(name).close();
      this.open.set(name, this.engine.openTree(name));
    };
    return this.unchanging(`reopen ${name}`, name, run);
  }

  private unchanging(text: string, name: string, run: () => void): Step {
    return { text, tree: name, durable: [name], run, after: () => this.modelOf(name) };
  }

  // Steps on a tree.

  private choose(): Step {
    const { random } = this;
    const forks = [...this.forks];
    const name = forks[random.below(forks.length)]!;
    const files = [...this.modelOf(name)]
      .filter(([, { content }]) => content !== undefined)
      .map(([path]) => path);
    const path = NAMES[random.below(NAMES.length)]!;
    const kind = random.below(14);
    const isHidden = this.modelOf(name).get(path)?.isWhiteout === true;
    if (isHidden && (files.length === 0 || kind < 4)) return this.unlink(name, path);
    if (files.length === 0 || (kind < 4 && !files.includes(path))) return this.make(name, path);
    const existing = files[random.below(files.length)]!;
    if (kind < 5) return this.write(name, existing);
    if (kind < 6) return this.truncate(name, existing);
    if (kind < 7) return this.rename(name, existing, path, random.below(2) === 0);
    if (kind < 8) return this.unlink(name, existing);
    if (kind < 9) return this.sync(name, existing);
    if (kind < 10) return this.punch(name, existing);
    if (kind < 11) return this.reflink(name, existing, path);
    if (kind < 12) return this.link(name, existing, path);
    const nameless = this.nameless.get(name);
    if (kind < 13 && nameless !== undefined) return this.appendNameless(name, nameless);
    if (kind < 13) return this.unlinkOpen(name, existing);
    return this.unchanging(`checkpoint ${name}`, name, () => this.tree(name).checkpoint());
  }

  /** A step that changes the tree; `change` does the same to the model. */
  private changing(
    text: string,
    name: string,
    run: () => void,
    change: (model: Map<string, FileState>) => void,
  ): Step {
    const after = (): TreeModel => {
      const model = new Map(this.modelOf(name));
      change(model);
      return model;
    };
    return { text: `${text} in ${name}`, tree: name, durable: [], run, after };
  }

  private makeDirectory(name: string, path: string): Step {
    const id = this.nextId++;
    const run = (): void => this.tree(name).fileSystem.makeDirectory(path, 0o755);
    return this.changing(`mkdir ${path}`, name, run, (model) => model.set(path, { id, content: undefined }));
  }

  private make(name: string, path: string): Step {
    const id = this.nextId++;
    const run = (): void => {
      const { fileSystem } = this.tree(name);
      fileSystem.close(fileSystem.open(path, O_RDWR_CREAT, 0o644));
    };
    return this.changing(`create ${path}`, name, run, (model) =>
      model.set(path, { id, content: Buffer.alloc(0) }),
    );
  }

  private write(name: string, path: string): Step {
    const length = SIZES[this.random.below(SIZES.length)]!;
    const { id, content } = this.modelOf(name).get(path)!;
    const old = content!;
    const position = this.random.below(old.length + 1);
    const bytes = patternBytes(length, this.seedOfBytes++);
    const run = (): void => {
      const { fileSystem } = this.tree(name);
      const file = fileSystem.open(path, O_RDWR_CREAT, 0o644);
      fileSystem.write(file, bytes, 0, length, position);
      fileSystem.close(file);
    };
    return this.changing(`write ${path} ${position}+${length}`, name, run, (model) => {
      const next = Buffer.alloc(Math.max(old.length, position + length));
      old.copy(next);
      bytes.copy(next, position);
      setContent(model, id, next);
    });
  }

  private truncate(name: string, path: string): Step {
    const { id, content } = this.modelOf(name).get(path)!;
    const old = content!;
    const size = this.random.below(old.length + 6000);
    const run = (): void => this.tree(name).fileSystem.truncate(path, size);
    return this.changing(`truncate ${path} ${size}`, name, run, (model) => {
      const next = Buffer.alloc(size);
      old.copy(next, 0, 0, Math.min(size, old.length));
      setContent(model, id, next);
    });
  }

  private punch(name: string, path: string): Step {
    const { id, content } = this.modelOf(name).get(path)!;
    const old = content!;
    const start = this.random.below(old.length + 1);
    const length = 1 + this.random.below(9000);
    const run = (): void => {
      const { fileSystem } = this.tree(name);
      const file = fileSystem.open(path, O_RDWR_CREAT, 0o644);
      fileSystem.punch(file, start, length);
      fileSystem.close(file);
    };
    return this.changing(`punch ${path} ${start}+${length}`, name, run, (model) => {
      setContent(model, id, Buffer.from(old).fill(0, start, Math.min(old.length, start + length)));
    });
  }

  /** Makes an existing file a reflink of the source; if the target is no other file, a sync instead. */
  private reflink(name: string, from: string, to: string): Step {
    const source = this.modelOf(name).get(from)!;
    const known = this.modelOf(name).get(to);
    if (known === undefined || known.content === undefined || known.id === source.id)
      return this.sync(name, from);
    const run = (): void => {
      const { fileSystem } = this.tree(name);
      const [file, target] = [fileSystem.open(from, 0, 0), fileSystem.open(to, O_RDWR_CREAT, 0o644)];
      fileSystem.reflink(file, target);
      for (const one of [file, target]) fileSystem.close(one);
    };
    return this.changing(`reflink ${from} ${to}`, name, run, (model) =>
      setContent(model, known.id, Buffer.from(source.content!)),
    );
  }

  private link(name: string, from: string, to: string): Step {
    const state = this.modelOf(name).get(from)!;
    if (this.modelOf(name).has(to)) return this.sync(name, from);
    const run = (): void => this.tree(name).fileSystem.link(from, to, false);
    return this.changing(`link ${from} ${to}`, name, run, (model) => model.set(to, state));
  }

  /** Removes a name of a file, which stays open until a crash, or until the fork is closed. */
  private unlinkOpen(name: string, path: string): Step {
    const { id, content } = this.modelOf(name).get(path)!;
    const run = (): void => {
      const { fileSystem } = this.tree(name);
      this.nameless.get(name)!.file = fileSystem.open(path, O_RDWR_CREAT, 0o644);
      fileSystem.unlink(path);
    };
    this.nameless.set(name, { id, content: content!, file: undefined });
    return this.changing(`unlink open ${path}`, name, run, (model) => model.delete(path));
  }

  /** Appends a block to such a file. No state with the name has this block, but a power cut may leave it on disk. */
  private appendNameless(name: string, known: NamelessFile): Step {
    const current =
      [...this.modelOf(name).values()].find(({ id }) => id === known.id)?.content ?? known.content;
    const end = Math.ceil(current.length / BLOCK_SIZE) * BLOCK_SIZE;
    const next = Buffer.alloc(end + NOBODY.length);
    current.copy(next);
    NOBODY.copy(next, end);
    this.nameless.delete(name);
    const run = (): void => void this.tree(name).fileSystem.write(known.file!, NOBODY, 0, NOBODY.length, end);
    // The file may have other names.
    return this.changing('append to nobody', name, run, (model) => setContent(model, known.id, next));
  }

  private rename(name: string, from: string, to: string, leavesWhiteout: boolean): Step {
    const id = this.nextId++;
    const flags = leavesWhiteout ? RENAME_WHITEOUT : 0;
    const run = (): void => this.tree(name).fileSystem.rename(from, to, flags);
    return this.changing(`rename ${from} ${to} with flags ${flags}`, name, run, (model) => {
      const state = model.get(from)!;
      // rename(2) of one name of a file to another does nothing.
      if (model.get(to)?.id === state.id) return;
      if (leavesWhiteout) model.set(from, { id, content: undefined, isWhiteout: true });
      else model.delete(from);
      model.set(to, state);
    });
  }

  private unlink(name: string, path: string): Step {
    const run = (): void => this.tree(name).fileSystem.unlink(path);
    return this.changing(`unlink ${path}`, name, run, (model) => model.delete(path));
  }

  private sync(name: string, path: string): Step {
    return this.unchanging(`fsync ${name}`, name, () => {
      const { fileSystem } = this.tree(name);
      const file = fileSystem.open(path, 0, 0);
      fileSystem.sync(file, false);
      fileSystem.close(file);
    });
  }
}

/** All names of a file show the new content. */
function setContent(model: Map<string, FileState>, id: number, content: Buffer): void {
  for (const [path, state] of model) if (state.id === id) model.set(path, { id, content });
}

/** Steps on the store as a whole, by the percentage of the workload at which they run. */
const SPECIAL = new Map<number, (workload: Workload) => Step[]>([
  [5, (work) => work.createWithDirectories('four')],
  [15, (work) => [work.snapshot('one', 'base')]],
  [20, (work) => [work.fork('base', 'two')]],
  [25, (work) => [work.fork('two', 'five')]],
  [30, (work) => [work.snapshot('two', 'early')]],
  [38, (work) => [work.gc()]],
  [44, (work) => [work.snapshot('two', 'later'), work.fork('one', 'three')]],
  [50, (work) => [work.flatten('two')]],
  [56, (work) => [work.reopen('two'), work.snapshot('five', 'of-five')]],
  [62, (work) => [work.drop('three'), work.drop('base')]],
  [68, (work) => [work.snapshot('one', 'again'), work.drop('early')]],
  [74, (work) => [work.gc()]],
  [80, (work) => [work.reopen('five'), work.flatten('five')]],
  [88, (work) => [work.snapshot('two', 'last'), work.drop('later')]],
  [94, (work) => [work.gc()]],
]);
