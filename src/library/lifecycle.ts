/** Commits, merges, rollbacks and exports of changes for the library, with names as text and errors in Node's shape. */
import { nameToString } from '../base/index.ts';
import {
  type CommitReport,
  type CommitResolution,
  commitTree,
  type MergeReport,
  type MergeResolution,
  mergeTrees,
  type CommitOptions as TreeCommitOptions,
  type MergeOptions as TreeMergeOptions,
} from '../lifecycle/index.ts';
import { freeName, replaceTree, type StoreEngine, stateFrom } from '../store/index.ts';
import { type ExportReport, exportChanges } from '../transfer/index.ts';
import type { TreeFiles } from '../vfs/index.ts';
import { systemFailure } from './errors.ts';
import { named, reaching } from './tree-calls.ts';

export interface CommitOptions extends Omit<TreeCommitOptions, 'onConflict' | 'trees'> {
  /**
   * How to treat conflicts: 'none' (the default) changes nothing if there is one, 'force' replaces the path in the
   * target, 'skip' leaves the path out.
   */
  readonly conflicts?: CommitResolution;
}

export interface MergeOptions extends Omit<TreeMergeOptions, 'onConflict' | 'trees'> {
  /**
   * The side that wins a conflict, or 'markers' to put both versions into text files; 'none' (the default) changes
   * nothing if there is a conflict.
   */
  readonly conflicts?: MergeResolution;
}

export type RollbackOptions = Pick<MergeOptions, 'discard'>;

export interface ExportChangesOptions {
  /** The tree to compare with. Default: the tree that the fork was made from. */
  readonly against?: string;
  /** `oci` (the default): a tar layer, gzipped if its name says so; `overlay`: an upper directory of overlayfs. */
  readonly format?: 'oci' | 'overlay';
}

function withText<T extends { readonly path: string }>(items: readonly T[]): T[] {
  return items.map((item) => ({ ...item, path: nameToString(item.path) }));
}

export async function commitFork(
  engine: StoreEngine,
  name: string,
  { conflicts: onConflict, ...options }: CommitOptions,
): Promise<CommitReport> {
  const report = await reaching(engine, 'commit', name, (trees) =>
    commitTree(engine, name, { ...options, onConflict, trees }),
  );
  return { ...report, conflicts: withText(report.conflicts) };
}

/** The fork `into` must be closed in this process. */
export async function mergeFork(
  engine: StoreEngine,
  from: string,
  into: string,
  { conflicts: onConflict, ...options }: MergeOptions,
): Promise<MergeReport> {
  const report = await reaching(engine, 'merge', into, (trees) =>
    mergeTrees(engine, from, into, { ...options, onConflict, trees }),
  );
  return { ...report, conflicts: withText(report.conflicts) };
}

/**
 * Makes a fork, which must be closed in this process, equal to a snapshot. Returns the name of the snapshot that keeps
 * the fork's former state; undefined with `discard`.
 */
export function rollbackFork(
  engine: StoreEngine,
  name: string,
  snapshot: string,
  { discard = false }: RollbackOptions,
): string | undefined {
  return named('rollback', name, () => {
    const keepAs = discard ? undefined : freeName(engine, `${name}.before-rollback`);
    replaceTree(engine, name, snapshot, { keepAs });
    return keepAs;
  });
}

export async function exportForkChanges(
  engine: StoreEngine,
  { name, source, files }: { readonly name: string; readonly source: string; readonly files: TreeFiles },
  destination: string,
  { against = source, format }: ExportChangesOptions,
): Promise<ExportReport> {
  if (against === '') {
    const note = 'it was not made from another tree: name a tree to compare with (against)';
    throw systemFailure('EINVAL', 'export', name, undefined, note);
  }
  return await reaching(engine, 'export', name, async (trees) => {
    const [before, after] = await trees.settle(stateFrom(engine, name, against), name);
    return await exportChanges(engine, { name, files, before, after }, destination, { format });
  });
}
