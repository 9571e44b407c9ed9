/**
 * `mergeTrees`: one fork's changes into another. All work is done in forks of their own, so that the target changes in
 * one transaction at the end, or not at all: what a failure or a kill leaves are forks that the next merge drops.
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
import { MergeApplication } from './merge-apply.ts';
import { type MergeConflict, MergePlanner, type MergeResolution, type MergeSides } from './merge-plan.ts';

export interface MergeOptions {
  /** The tree that both sides are compared with. Default: what they have in common. */
  readonly base?: string | undefined;
  /** Which side wins a conflict. With 'none', the default, nothing is changed where there is one. */
  readonly onConflict?: MergeResolution | undefined;
  /** Keep no snapshot of what the target was. */
  readonly discard?: boolean | undefined;
  /** Makes a fork of the other tree, which another process may have mounted. Default: the engine does. */
  readonly trees?: { fork(source: string, name: string): Promise<unknown> } | undefined;
}

export interface MergeReport {
  readonly from: string;
  readonly into: string;
  /** Paths that were taken from the other side, and that were put together from both. */
  readonly taken: number;
  readonly merged: number;
  readonly conflicts: readonly MergeConflict[];
  /** False when conflicts kept everything as it was. */
  readonly isApplied: boolean;
  /** The snapshot of what the target was: the way back. */
  readonly keptAs: string | undefined;
}

/**
 * Brings what `from` changed since both were one into the fork `into`. ENOENT; EROFS when `into` is a snapshot; EBUSY
 * when it is open or mounted anywhere, or changes meanwhile; EINVAL when the two have nothing in common and no base is
 * named; ENOSPC, EIO. After an error `into` is as it was.
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

function scratchNames(into: string): {
  readonly base: string;
  readonly ours: string;
  readonly theirs: string;
} {
  return { base: `${into}.merging-base`, ours: `${into}.merging-ours`, theirs: `${into}.merging-theirs` };
}

/** Of this merge where it has ended, of another where that was killed. One that is in use is another merge's. */
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
  names: ReturnType<typeof scratchNames>,
  from: string,
  into: string,
  base: string | undefined,
): Tree {
  if (base !== undefined) return engine.fork(base, names.base);
  const settled = (name: string) => settleTree(engine, name, new Set());
  const common = commonState(settled(names.ours), settled(names.theirs));
  if (common === undefined) throw noCommonTree(from, into);
  return forkState(engine, common, names.base, into);
}

/** The error for two trees that have nothing in common. */
function noCommonTree(from: string, into: string): FsError {
  const note = `it has nothing in common with '${into}': name the tree that both came from as the base`;
  return new FsError('EINVAL', { syscall: 'merge', path: from, note });
}

interface Rename {
  readonly from: string;
  readonly path: string;
}

/**
 * What one side renamed is renamed in the two other trees as well, where that is in nobody's way: then a file has one
 * name in all three, and a change that the other side made to it meets it there.
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

/** The tree has the file there, nothing under its new name, and a directory for it. */
function canRename({ fileSystem }: Tree, { from, path }: Rename, base: Tree): boolean {
  const there = fileSystem.tryStat(from, false);
  const parent = fileSystem.tryStat(path.slice(0, path.lastIndexOf('/')) || '/', false);
  if (there === undefined || there.ino !== base.fileSystem.tryStat(from, false)?.ino) return false;
  if (parent === undefined || !isDirectoryMode(parent.mode) || path.startsWith(`${from}/`)) return false;
  return fileSystem.tryStat(path, false) === undefined;
}
