/** Histories from a seed: lists of operations over several trees. One seed gives one history. */
import { SeededRandom } from '../../src/base/index.ts';
import { type ChoiceOptions, Choices } from './choices.ts';
import { XATTR_CREATE, XATTR_REPLACE } from './model-files.ts';
import { ModelFs } from './model-fs.ts';
import {
  CUT_OPERATIONS_MAX,
  FIRST_TREE,
  type HandleOperation,
  type Operation,
  type OperationName,
  type ProcessNumber,
} from './operation.ts';

export interface HistoryOptions extends ChoiceOptions {
  /** Operations to leave out. */
  readonly without: ReadonlySet<OperationName>;
}

const TREES_MAX = 7;
const HANDLES_MAX = 12;
const VIEWS_MAX = 8;

type Make = (choices: Choices, tree: string) => Operation;

/** The weight of each operation that changes a tree, and the function that draws its arguments. */
const changing: readonly (readonly [weight: number, make: Make])[] = [
  [
    8,
    (c, tree) => ({ op: 'create', tree, path: c.anywhere(tree), mode: c.fileMode(), exclusive: c.oneIn(2) }),
  ],
  [
    14,
    (c, tree) => ({
      op: 'write',
      tree,
      path: c.path(tree, 'file'),
      position: c.position(),
      length: c.length(),
      salt: c.salt(),
    }),
  ],
  [5, (c, tree) => ({ op: 'append', tree, path: c.path(tree, 'file'), length: c.length(), salt: c.salt() })],
  [4, (c, tree) => ({ op: 'replace', tree, path: c.path(tree, 'file'), length: c.length(), salt: c.salt() })],
  [6, (c, tree) => ({ op: 'truncate', tree, path: c.path(tree, 'file'), size: c.position() })],
  [
    5,
    (c, tree) => ({
      op: 'punch',
      tree,
      path: c.path(tree, 'file'),
      position: c.position(),
      length: c.length(),
    }),
  ],
  [
    5,
    (c, tree) => ({
      op: 'clone',
      tree,
      path: c.path(tree, 'file'),
      fromTree: tree,
      from: c.path(tree, 'file'),
    }),
  ],
  [4, cloneRange],
  [7, (c, tree) => ({ op: 'mkdir', tree, path: c.anywhere(tree), mode: c.directoryMode() })],
  [4, (c, tree) => ({ op: 'rmdir', tree, path: c.path(tree, 'directory') })],
  [7, (c, tree) => ({ op: 'unlink', tree, path: c.path(tree, 'file', 'symlink') })],
  [10, (c, tree) => ({ op: 'rename', tree, path: c.path(tree), to: c.path(tree) })],
  [2, (c, tree) => ({ op: 'exchange', tree, path: c.path(tree), to: c.path(tree) })],
  [2, (c, tree) => ({ op: 'whiteout', tree, path: c.path(tree), to: c.path(tree) })],
  [5, (c, tree) => ({ op: 'link', tree, path: c.path(tree, 'file', 'symlink'), to: c.anywhere(tree) })],
  [4, (c, tree) => ({ op: 'symlink', tree, path: c.anywhere(tree), target: c.target(tree) })],
  [4, (c, tree) => ({ op: 'chmod', tree, path: c.path(tree), mode: c.fileMode() })],
  [
    2,
    (c, tree) => ({ op: 'chown', tree, path: c.path(tree), uid: 1000 + c.below(3), gid: 2000 + c.below(3) }),
  ],
  [4, (c, tree) => ({ op: 'utimes', tree, path: c.path(tree), mtimeSeconds: c.below(1_000_000) })],
  [4, setXattr],
  [3, (c, tree) => ({ op: 'removexattr', tree, ...c.xattr(tree) })],
];

const looking: readonly (readonly [weight: number, make: Make])[] = [
  [
    6,
    (c, tree) => ({
      op: 'read',
      tree,
      path: c.path(tree, 'file'),
      position: c.position(),
      length: c.length(),
    }),
  ],
  [2, (c, tree) => ({ op: 'readlink', tree, path: c.path(tree, 'symlink') })],
  [3, (c, tree) => ({ op: 'readdir', tree, path: c.path(tree, 'directory') })],
  [3, (c, tree) => ({ op: 'stat', tree, path: c.path(tree), follow: c.oneIn(2) })],
  [2, (c, tree) => ({ op: 'getxattr', tree, ...c.xattr(tree) })],
];

function cloneRange(c: Choices, tree: string): Operation {
  const block = (): number => c.below(12) * 4096 + (c.oneIn(10) ? 1 : 0);
  const length = c.oneIn(3) ? 0 : (1 + c.below(4)) * 4096 + (c.oneIn(6) ? -7 : 0);
  const [path, from] = [c.path(tree, 'file'), c.path(tree, 'file')];
  return { op: 'cloneRange', tree, path, from, fromPosition: block(), length, position: block() };
}

function setXattr(c: Choices, tree: string): Operation {
  const flags = c.of([0, 0, 0, XATTR_CREATE, XATTR_REPLACE]);
  const length = c.of([0, 1, 20, 200, 5000]);
  return { op: 'setxattr', tree, ...c.xattr(tree), flags, length, salt: c.salt() };
}

function weighted(c: Choices, table: readonly (readonly [number, Make])[]): Make {
  const total = table.reduce((sum, [weight]) => sum + weight, 0);
  let left = c.below(total);
  for (const [weight, make] of table) {
    left -= weight;
    if (left < 0) return make;
  }
  throw new Error('the weights do not add up');
}

/** Draws operations and plays them on a model, so that most of them name existing files. */
class HistoryWriter {
  private readonly model = new ModelFs({ uid: 0, gid: 0, umask: 0o022 });
  private readonly choices: Choices;
  private readonly without: ReadonlySet<OperationName>;
  private nextTree = 1;
  /** The power cut comes after this many more operations. */
  private cutIn: number | undefined;
  private nextHandle = 1;
  private nextView = 1;

  constructor(seed: number, options: HistoryOptions) {
    this.choices = new Choices(new SeededRandom(seed), this.model, options);
    this.without = options.without;
  }

  next(): Operation {
    for (;;) {
      const operation = this.draw();
      if (this.without.has(operation.op)) continue;
      this.model.apply(operation);
      return operation;
    }
  }

  private draw(): Operation {
    const c = this.choices;
    if (this.cutIn !== undefined && this.cutIn-- === 0) {
      this.cutIn = undefined;
      return { op: 'powerCut', salt: c.salt() };
    }
    const kind = c.below(100);
    if (kind < 6) return this.drawStoreOperation();
    if (kind < 12) return this.drawViewOperation();
    if (kind < 30) return this.drawHandleOperation();
    const tree = c.of(this.model.trees());
    const onlyLooks = this.model.tree(tree).isReadOnly && !c.oneIn(8);
    if (onlyLooks || kind < 44) return weighted(c, looking)(c, tree);
    const operation = weighted(c, changing)(c, tree);
    if (operation.op !== 'clone' || !c.oneIn(4))
      return this.model.tree(tree).isReadOnly ? overWriting(c, tree) : operation;
    // A clone from another tree needs a source with frozen blocks: a snapshot.
    const snapshots = this.model.trees().filter((name) => this.model.tree(name).isReadOnly);
    if (snapshots.length === 0) return operation;
    const fromTree = c.of(snapshots);
    return { ...operation, fromTree, from: c.path(fromTree, 'file') };
  }

  private drawStoreOperation(): Operation {
    const c = this.choices;
    const names = this.model.trees();
    const tree = c.of(names);
    const process = c.below(2) as ProcessNumber; // The cast: this is 0 or 1.
    const kind = c.below(30);
    if (kind > 23) return { op: 'dedupe', process };
    if (kind < 2) return { op: 'crash', process };
    if (kind === 2) return { op: 'reopen', process };
    if (kind < 5) return { op: 'collect', process };
    if (kind < 7) return { op: 'checkpoint', tree };
    if (kind < 9) return { op: 'handOver', tree };
    if (kind < 11) {
      this.cutIn ??= 1 + c.below(CUT_OPERATIONS_MAX - 4);
      return { op: 'mark' };
    }
    if (names.length > TREES_MAX || (kind < 14 && names.length > 3)) {
      return { op: 'drop', tree: c.of(names.filter((name) => name !== FIRST_TREE)) };
    }
    const made = `${kind < 18 ? 'fork' : 'snapshot'}-${this.nextTree++}`;
    return { op: kind < 18 ? 'fork' : 'snapshot', tree: made, source: tree };
  }

  private drawViewOperation(): Operation {
    const c = this.choices;
    const handles = [...this.model.openHandles()];
    const views = this.model.openViews();
    if (views.length === 0 || (views.length < VIEWS_MAX && c.oneIn(4))) {
      const handle = handles.length === 0 ? 0 : c.of(handles)[0];
      return { op: 'map', handle, view: this.nextView++ };
    }
    const view = c.of(views);
    return c.oneIn(8) ? { op: 'closeView', view } : { op: 'readView', view };
  }

  private drawHandleOperation(): Operation {
    const c = this.choices;
    const open = [...this.model.openHandles()];
    if (open.length === 0 || (open.length < HANDLES_MAX && c.oneIn(4))) {
      const tree = c.of(this.model.trees());
      const flags = this.model.tree(tree).isReadOnly
        ? 'r'
        : c.of(['r', 'r+', 'r+', 'w+', 'a+', 'wx+'] as const);
      return { op: 'open', tree, path: c.path(tree, 'file'), handle: this.nextHandle++, flags };
    }
    const [handle] = c.oneIn(50) ? [0] : c.of(open);
    const position = c.oneIn(3) ? null : c.position();
    const content = { length: c.length(), salt: c.salt() };
    const operations: readonly HandleOperation[] = [
      { op: 'close', handle },
      { op: 'readHandle', handle, position, length: c.length() },
      { op: 'readHandle', handle, position, length: c.length() },
      { op: 'writeHandle', handle, position, ...content },
      { op: 'writeHandle', handle, position, ...content },
      { op: 'writeHandle', handle, position, ...content },
      { op: 'truncateHandle', handle, size: c.position() },
      { op: 'statHandle', handle },
      { op: 'syncHandle', handle },
    ];
    return c.of(operations);
  }
}

/** A change of an existing file: the tree is a snapshot, so this can fail only for that reason. */
function overWriting(c: Choices, tree: string): Operation {
  const path = c.existing(tree, 'file');
  return c.oneIn(2) ? { op: 'chmod', tree, path, mode: 0o600 } : { op: 'truncate', tree, path, size: 1 };
}

/** `count` operations, the same for the same seed and options. */
export function generateHistory(seed: number, count: number, options: HistoryOptions): Operation[] {
  const writer = new HistoryWriter(seed, options);
  return Array.from({ length: count }, () => writer.next());
}
