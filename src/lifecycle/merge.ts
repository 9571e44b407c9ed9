/**
 * `mergeTrees`: brings one fork's changes into another. It works in scratch forks, and the target changes in one
 * transaction at the end, or not at all. If a merge is killed, the next merge into the same fork drops the scratch
 * forks that are left.
 */
import { FsError, isDirectoryMode, isFsError } from '../base/index.ts';
import {
  commonState,
  dropOpen,
  forkState,
  freeName,
  replaceTree,
  type StoreEngine,
  settleTree,
  type Tree,
} from '../store/index.ts';
import { diffTrees } from '../survey/index.ts';
import type { MergeLabels } from './line-diff.ts';
import { MergeApplication } from './merge-apply.ts';
import { type MergeConflict, MergePlanner, type MergeResolution, type MergeSides } from './merge-plan.ts';

export interface MergeOptions {
  /** The tree that both sides are compared with. Default: their common state. */
  readonly base?: string | undefined;
  /** The side that wins a conflict. With 'none', the default, any conflict prevents the merge. */
  readonly onConflict?: MergeResolution | undefined;
  /** True: keeps no snapshot of the target's former state. */
  readonly discard?: boolean | undefined;
  /**
   * Its `fork` makes a fork of the other tree, even if another process has mounted that tree. Default: `engine.fork`.
   */
  readonly trees?: { fork(source: string, name: string): Promise<unknown> } | undefined;
}

export interface MergeReport {
  readonly from: string;
  readonly into: string;
  /** Number of paths taken from the other side; `merged` counts the paths whose content was merged from both sides. */
  readonly taken: number;
  readonly merged: number;
  readonly conflicts: readonly MergeConflict[];
  /** False when conflicts prevented the merge. */
  readonly isApplied: boolean;
  /** Name of the snapshot with the target's former state, to roll back to; undefined if none was kept. */
  readonly keptAs: string | undefined;
}

/**
 * Brings the changes of `from` since the common state into the fork `into`. ENOENT; EROFS for a snapshot `into`; EBUSY
 * when `into` is open or mounted anywhere, or changes meanwhile; EINVAL when the two have nothing in common and the
 * caller names no base; ENOSPC, EIO. After an error `into` is as it was.
 */
export async function mergeTrees(
  engine: StoreEngine,
  from: string,
  into: string,
  options: MergeOptions = {},
): Promise<MergeReport> {
  const names = scratchNames(into);
  dropLeftovers(engine, into);
  const open: Tree[] = [];
  try {
    if (options.trees === undefined) engine.fork(from, names.theirs).close();
    else await options.trees.fork(from, names.theirs);
    const ours = engine.fork(into, names.ours);
    open.push(ours);
    const since = engine.info(into).layer;
    const theirs = engine.openTree(names.theirs);
    open.push(theirs);
    const base = forkBase(engine, names, from, into, options.base);
    open.push(base);
    const sides = { base, ours, theirs };
    shareRenames(engine, sides);
    const labels = { ours: into, base: options.base ?? 'base', theirs: from };
    const { onConflict = 'none' } = options;
    const plan = new MergePlanner(engine, sides, onConflict, labels).plan();
    const { take, merge, conflicts } = plan;
    const report = { from, into, taken: take.size, merged: merge.size, conflicts };
    const isRefused = conflicts.length > 0 && onConflict === 'none';
    if (isRefused) return { ...report, taken: 0, merged: 0, isApplied: false, keptAs: undefined };
    new MergeApplication(engine, sides, plan).all(plan);
    engine.freeze(ours);
    const keptAs = options.discard === true ? undefined : freeName(engine, `${into}.before-merge`);
    replaceTree(engine, into, names.ours, { keepAs: keptAs, drops: open, unchangedSince: since });
    return { ...report, isApplied: true, keptAs };
  } finally {
    dropOpen(engine, open);
    dropLeftovers(engine, into);
  }
}

function scratchNames(into: string): MergeLabels {
  return { base: `${into}.merging-base`, ours: `${into}.merging-ours`, theirs: `${into}.merging-theirs` };
}

/** Drops the scratch forks of this merge, or of a merge that was killed. EBUSY if another merge is using them. */
function dropLeftovers(engine: StoreEngine, into: string): void {
  for (const name of Object.values(scratchNames(into))) {
    try {
      engine.drop(name);
    } catch (error) {
      if (!isFsError(error, 'ENOENT') && !isFsError(error, 'ENOSPC') && !isFsError(error, 'EIO')) throw error;
    }
  }
}

function forkBase(
  engine: StoreEngine,
  names: MergeLabels,
  from: string,
  into: string,
  base: string | undefined,
): Tree {
  if (base !== undefined) return engine.fork(base, names.base);
  const settled = (name: string) => settleTree(engine, name, new Set());
  const common = commonState(settled(names.ours), settled(names.theirs));
  if (common !== undefined) return forkState(engine, common, names.base, into);
  const note = `it has nothing in common with '${into}': name the tree that both came from as the base`;
  throw new FsError('EINVAL', { syscall: 'merge', path: from, note });
}

interface Rename {
  readonly from: string;
  readonly path: string;
}

/**
 * Repeats each side's renames in the other two trees, unless something is in the way. Then a file has one name in all
 * three trees, and the planner finds the other side's changes to the file under that name.
 */
function shareRenames(engine: StoreEngine, { base, ours, theirs }: MergeSides): void {
  for (const [side, other] of [
    [theirs, ours],
    [ours, theirs],
  ] as const) {
    const changes = diffTrees(engine, base.info.name, side.info.name);
    let left: Rename[] = changes.flatMap(({ kind, path, from }) =>
      kind === 'renamed' && from !== undefined ? [{ from, path }] : [],
    );
    for (let before = -1; before !== left.length; ) {
      before = left.length;
      left = left.filter((rename) => {
        if (!canRename(base, rename, base) || !canRename(other, rename, base)) return true;
        for (const { fileSystem } of [base, other]) fileSystem.rename(rename.from, rename.path);
        return false;
      });
    }
  }
}

/** Whether the tree has the file under its old name, nothing under the new name, and the new name's directory. */
function canRename({ fileSystem }: Tree, { from, path }: Rename, base: Tree): boolean {
  const there = fileSystem.tryStat(from, false);
  const parent = fileSystem.tryStat(path.slice(0, path.lastIndexOf('/')) || '/', false);
  if (there === undefined || there.ino !== base.fileSystem.tryStat(from, false)?.ino) return false;
  if (parent === undefined || !isDirectoryMode(parent.mode) || path.startsWith(`${from}/`)) return false;
  return fileSystem.tryStat(path, false) === undefined;
}
