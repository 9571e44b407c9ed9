/**
 * States of trees: what two trees have in common, a fork of it, and a fork that becomes what another tree is. Each is
 * one transaction, so that a fork is wholly one state or wholly the other, whatever happens meanwhile.
 */
import { FsError } from '../base/index.ts';
import { commonLayer } from './diff.ts';
import type { StoreEngine } from './engine.ts';
import { checkTreeName } from './layout.ts';
import type { StoredTree } from './stored-tree.ts';
import type { Tree, TreeInfo } from './tree.ts';
import { retire } from './uppers.ts';

/** What both trees were when they parted, under a name that no tree has; undefined where they never were one. */
export function commonState(a: StoredTree, b: StoredTree): TreeInfo | undefined {
  const layer = commonLayer(a, b);
  return layer === undefined ? undefined : { ...a.info, kind: 'snapshot', layer, name: 'common:base' };
}

/** A writable fork of a state, opened. EINVAL, EEXIST. */
export function forkState(engine: StoreEngine, state: TreeInfo, name: string, source: string): Tree {
  checkTreeName(name, 'fork');
  engine.tables.transaction(() => {
    engine.rows.requireFree(name, 'fork');
    engine.rows.insertFork(name, state.root, state.layer, source);
  });
  return engine.openTree(name);
}

export interface ReplaceOptions {
  /** Keep what the fork was as a snapshot of this name. */
  readonly keepAs?: string | undefined;
  /** Open forks that are dropped in the same transaction. */
  readonly drops?: readonly Tree[];
}

/**
 * The fork `name` becomes what the tree `source` is (a snapshot, or a fork that was just frozen). It must not be open:
 * EBUSY. ENOENT, EEXIST (`keepAs`). Where it fails the fork is as it was.
 */
export function replaceTree(
  engine: StoreEngine,
  name: string,
  source: string,
  { keepAs, drops = [] }: ReplaceOptions,
): void {
  if (engine.info(name).kind !== 'fork') throw new FsError('EROFS', { syscall: 'rollback', path: name });
  if (keepAs !== undefined) checkTreeName(keepAs, 'rollback');
  const tree = engine.openTree(name);
  const { tables, rows } = engine;
  try {
    if (keepAs !== undefined) engine.freeze(tree);
    const from = engine.info(source, 'rollback');
    tables.transaction(() => {
      const layer = engine.frozenTopOf(source, from, 'rollback');
      if (keepAs !== undefined) {
        rows.requireFree(keepAs, 'rollback');
        const before = engine.frozenTopOf(name, tree.info, 'rollback');
        rows.insertSnapshot(keepAs, before, tree.info.root, name);
      }
      rows.replaceFork(tree.info, from.root, layer);
      for (const { info } of drops) tables.trees.remove(info.name);
    });
  } catch (error) {
    tree.close();
    throw error;
  }
  for (const gone of [tree, ...drops]) {
    if (gone.stack.upper !== undefined) retire(gone.stack.upper);
    gone.giveUp();
  }
}

/** A snapshot gets another name, whose owner goes, with the other snapshots named. ENOENT. */
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
