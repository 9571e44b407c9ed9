/** The library's forms of commits, merges, rollbacks and exports of changes: names are text, errors in Node's shape. */
import { nameToString } from '../base/index.ts';
import { type CommitReport, commitTree, type MergeReport, mergeTrees } from '../lifecycle/index.ts';
import { MountedTrees, type MountRecord } from '../owner/index.ts';
import { freeName, replaceTree, type StoreEngine, settleTree, stateFrom } from '../store/index.ts';
import { type ExportReport, exportChanges } from '../transfer/index.ts';
import type { TreeFiles } from '../vfs/index.ts';
import { systemFailure } from './errors.ts';
import { treeFailure } from './fork-mount.ts';

export interface CommitOptions {
  /** The host directory; the one that was imported unless told. */
  readonly to?: string;
  /** The tree that the directory was like; the snapshot that was imported from it unless told. */
  readonly base?: string;
  /** 'none' (unless told) changes nothing where there is a conflict, 'force' replaces, 'skip' leaves out. */
  readonly conflicts?: 'none' | 'force' | 'skip';
  readonly dryRun?: boolean;
}

export interface MergeOptions {
  /** The tree that both are compared with; what they have in common unless told. */
  readonly base?: string;
  /** Who wins where both changed something; 'none' (unless told) changes nothing then. */
  readonly conflicts?: 'none' | 'ours' | 'theirs' | 'markers';
  /** Keep no snapshot of what the fork was. */
  readonly discard?: boolean;
}

export interface RollbackOptions {
  /** Keep no snapshot of what the fork was. */
  readonly discard?: boolean;
}

export interface ExportChangesOptions {
  /** The tree to compare with; the one that the fork was made from unless told. */
  readonly against?: string;
  /** `oci` (unless told): a tar layer, with gzip by its name; `overlay`: an upper directory of overlayfs. */
  readonly format?: 'oci' | 'overlay';
}

async function failing<T>(operation: string, name: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw treeFailure(operation, name, error);
  }
}

function withText<T extends { readonly path: string }>(items: readonly T[]): T[] {
  return items.map((item) => ({ ...item, path: nameToString(item.path) }));
}

/** Another tree may be mounted: its owner forks it, or makes a snapshot. */
async function throughOwner<T>(engine: StoreEngine, run: (mounted: MountedTrees) => Promise<T>): Promise<T> {
  const mounted = new MountedTrees(engine.directory, engine.system);
  try {
    return await run(mounted);
  } finally {
    await mounted.close();
  }
}

/** Where a tree that is not open here is mounted. */
async function mountElsewhere(
  engine: StoreEngine,
  mounted: MountedTrees,
  name: string,
): Promise<MountRecord | undefined> {
  return engine.openTreeOf(name) === undefined ? await mounted.find(name) : undefined;
}

export async function commitFork(
  engine: StoreEngine,
  name: string,
  { conflicts: favour, ...options }: CommitOptions,
): Promise<CommitReport> {
  const report = await failing('commit', name, () =>
    throughOwner(engine, (mounted) => {
      const snapshot = async (source: string, as: string): Promise<void> => {
        const mount = await mountElsewhere(engine, mounted, source);
        if (mount === undefined) engine.snapshot(source, as);
        else await mounted.snapshot(mount, as);
      };
      return commitTree(engine, name, { ...options, favour, snapshot });
    }),
  );
  return { ...report, conflicts: withText(report.conflicts) };
}

/** The fork `into` must be closed here. */
export async function mergeFork(
  engine: StoreEngine,
  from: string,
  into: string,
  { conflicts: favour, ...options }: MergeOptions,
): Promise<MergeReport> {
  const report = await failing('merge', into, () =>
    throughOwner(engine, (mounted) => {
      const fork = async (source: string, as: string): Promise<void> => {
        const mount = await mountElsewhere(engine, mounted, source);
        if (mount === undefined) engine.fork(source, as).close();
        else await mounted.fork(mount, as);
      };
      return mergeTrees(engine, from, into, { ...options, favour, fork });
    }),
  );
  return { ...report, conflicts: withText(report.conflicts) };
}

/** The fork must be closed here. Returns the name of the snapshot of what it was. */
export async function rollbackFork(
  engine: StoreEngine,
  name: string,
  snapshot: string,
  { discard = false }: RollbackOptions,
): Promise<string | undefined> {
  return await failing('rollback', name, async () => {
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
    const note = 'it was made from no other tree: say which to compare with (against)';
    throw systemFailure('EINVAL', 'export', name, undefined, note);
  }
  return await failing('export', name, () =>
    throughOwner(engine, async (mounted) => {
      const others = new Set([name, against].filter((tree) => engine.openTreeOf(tree) === undefined));
      const settled = await mounted.settle(others);
      const before = settleTree(engine, stateFrom(engine, name, against), settled);
      const after = settleTree(engine, name, settled);
      return await exportChanges(engine, { name, files, before, after }, destination, { format });
    }),
  );
}
