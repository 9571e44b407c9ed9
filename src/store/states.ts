/**
 * Operations on states of trees: finds the state that two trees have in common, forks a state, and gives a fork another
 * state. Each change is one transaction, so that a fork always has either the old state or the new one.
 */
import { FsError, type LayerId } from '../base/index.ts';
import type { StoreEngine } from './engine.ts';
import { checkTreeName } from './layout.ts';
import { isHostPath, LOWERS_SEPARATOR } from './lowers.ts';
import { retire } from './stacks.ts';
import { commonLayer, type StoredTree, type TreeState } from './stored-tree.ts';
import type { Tree, TreeInfo } from './tree.ts';

/** Names of forks that another process owns and has just stored for this one, so the tables have all their changes. */
export type SettledElsewhere = ReadonlySet<string>;

/**
 * Stores a fork's journal in the tables, and returns the tree. A snapshot or a state has no journal. ENOENT; EBUSY when
 * another process owns the fork and has not stored its journal, which only the owner may read.
 */
export function settleTree(engine: StoreEngine, name: TreeState, elsewhere: SettledElsewhere): StoredTree {
  if (typeof name !== 'string') return engine.chains.storedTree(name);
  const open = engine.openTreeOf(name);
  if (open !== undefined) open.checkpoint();
  else if (engine.info(name).kind === 'fork' && !elsewhere.has(name)) engine.openTree(name).close();
  return engine.chains.storedTree(engine.info(name));
}

/** All trees of the store. A fork that another process owns appears as it was last stored. */
export function storedTrees(engine: StoreEngine): StoredTree[] {
  for (const tree of engine.openTrees.forks) tree.checkpoint();
  return engine.list().map((info) => engine.chains.storedTree(info));
}

/** The state in which two trees were last the same, under a name that no tree has; undefined if they never were. */
export function commonState(a: StoredTree, b: StoredTree): TreeInfo | undefined {
  const layer = commonLayer(a, b);
  return layer === undefined ? undefined : { ...a.info, kind: 'snapshot', layer, name: 'common:base' };
}

/** The state of the host directory or union under a fork, as it is now; undefined for every other tree. */
export function hostState(engine: StoreEngine, name: string): TreeInfo | undefined {
  const info = engine.info(name);
  // The name of a tree contains neither '/' nor ':'.
  if (info.kind !== 'fork' || !(info.source.startsWith('/') || info.source.includes(LOWERS_SEPARATOR)))
    return undefined;
  const { base, derived } = engine.chains.storedTree(info);
  return derived === undefined ? undefined : { ...info, kind: 'snapshot', layer: base.id, name: info.source };
}

/** The state that `other` names, to compare a fork with: the directory or union under the fork, or another tree. */
export function stateFrom(engine: StoreEngine, name: string, other: string): TreeState {
  const below = hostState(engine, name);
  return below?.name === other ? below : other;
}

/** Makes a writable fork of a state, and opens it. EINVAL, EEXIST. */
export function forkState(engine: StoreEngine, state: TreeInfo, name: string, source: string): Tree {
  checkTreeName(name, 'fork');
  engine.tables.transaction(() => {
    engine.rows.requireFree(name, 'fork');
    engine.rows.insertFork(name, state.root, state.layer, source);
  });
  return engine.openTree(name);
}

/**
 * Makes a fork over `lowers`, uppermost first, and opens it. Lowers are trees by name and directories of the host by
 * absolute path; without any, the fork is empty. Errors: those of the engine's `fork`, `forkHost`, `forkUnion` and
 * `createEmpty`.
 */
export function forkOver(
  engine: StoreEngine,
  lowers: readonly string[],
  name: string,
  isPinned: boolean,
): Tree {
  const [lower, ...others] = lowers;
  if (lower === undefined) return engine.createEmpty(name);
  if (others.length > 0) return engine.forkUnion(lowers, name, isPinned);
  return isHostPath(lower) ? engine.forkHost(lower, name, isPinned) : engine.fork(lower, name);
}

export interface ReplaceOptions {
  /** Name of a snapshot to make of the fork's present state. */
  readonly keepAs?: string | undefined;
  /** Open forks that are dropped in the same transaction. */
  readonly drops?: readonly Tree[];
  /** The layer that the fork had when the caller looked at it. EBUSY if the fork was written to since. */
  readonly unchangedSince?: LayerId;
}

/**
 * Gives the fork `name`, which must not be open, the content of `source`: a snapshot, a fork that was just frozen, or a
 * state. EBUSY, ENOENT, EEXIST (`keepAs`), EROFS (`name` is a snapshot). When this fails, the fork is as it was.
 */
export function replaceTree(
  engine: StoreEngine,
  name: string,
  source: TreeState,
  { keepAs, drops = [], unchangedSince }: ReplaceOptions,
): void {
  if (engine.info(name).kind !== 'fork') throw new FsError('EROFS', { syscall: 'rollback', path: name });
  if (keepAs !== undefined) checkTreeName(keepAs, 'rollback');
  const tree = engine.openTree(name);
  const { tables, rows } = engine;
  try {
    if (unchangedSince !== undefined) requireUnchanged(tree, unchangedSince);
    if (keepAs !== undefined) engine.freeze(tree);
    const from = typeof source === 'string' ? engine.info(source, 'rollback') : source;
    tables.transaction(() => {
      const layer = from === source ? from.layer : rows.frozenTop(from, 'rollback');
      if (keepAs !== undefined) {
        rows.requireFree(keepAs, 'rollback');
        const before = rows.frozenTop(tree.info, 'rollback');
        rows.insertSnapshot(keepAs, before, tree.info.root, name);
      }
      rows.replaceFork(tree.info, from.root, layer);
      for (const { info } of drops) tables.trees.remove(info.name);
    });
  } catch (error) {
    tree.close();
    throw error;
  }
  for (const gone of [tree, ...drops]) giveUp(gone);
}

function giveUp(tree: Tree): void {
  if (tree.isClosed) return;
  if (tree.stack.upper !== undefined) retire(tree.stack.upper);
  tree.giveUp();
}

/** Drops forks that are open here, with everything that was written to them. Leaves closed forks alone. */
export function dropOpen({ tables, reserve }: StoreEngine, trees: readonly Tree[]): void {
  const open = trees.filter((tree) => !tree.isClosed);
  try {
    reserve.during(() =>
      tables.transaction(() => {
        for (const { info } of open) tables.trees.remove(info.name);
      }),
    );
  } finally {
    for (const tree of open) giveUp(tree);
  }
}

function requireUnchanged({ info, stack }: Tree, layer: LayerId): void {
  if (info.layer === layer && stack.writable().isPristine && stack.dirty.size === 0) return;
  const note = 'it was changed meanwhile: try again';
  throw new FsError('EBUSY', { syscall: 'rollback', path: info.name, note });
}

/**
 * Renames the snapshot `from` to `to`, in place of any tree of that name, and drops the trees `drops`, all in one
 * transaction. ENOENT.
 */
export function renameSnapshot(
  engine: StoreEngine,
  from: string,
  to: string,
  drops: readonly string[],
): void {
  checkTreeName(to, 'rename');
  const { trees } = engine.tables;
  engine.tables.transaction(() => {
    const record = trees.get(from);
    if (record === undefined) throw new FsError('ENOENT', { syscall: 'rename', path: from });
    for (const name of [from, ...drops]) trees.remove(name);
    trees.put(to, record);
  });
}

/** The first of `stem`, `stem-2`, `stem-3` … that no tree has. */
export function freeName(engine: StoreEngine, stem: string): string {
  const taken = new Set(engine.list().map(({ name }) => name));
  let name = stem;
  for (let count = 2; taken.has(name); count++) name = `${stem}-${count}`;
  return name;
}
