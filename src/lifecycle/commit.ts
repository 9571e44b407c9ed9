/**
 * `commitTree`: writes a fork's changes into the host directory that it came from. It commits a snapshot, so the fork
 * may change meanwhile. The snapshot stays, as `FORK.committed`, to show what the directory contains afterwards. (For a
 * fork over the directory itself, `commitTree` drops it.) The next commit expects either that content or that of
 * `FORK.committing`, the snapshot of a commit that ended half way.
 */
import { realpathSync } from 'node:fs';
import { FsError, isMissing } from '../base/index.ts';
import type { HostIdentity } from '../meta/index.ts';
import {
  freeName,
  hostState,
  renameSnapshot,
  replaceTree,
  type StoredTree,
  type StoreEngine,
  settleTree,
  type Tree,
  type TreeState,
} from '../store/index.ts';
import { changedPaths, recordedOnHost, settleOnHost } from '../survey/index.ts';
import type { ExportNote } from '../transfer/index.ts';
import { CommitApplication } from './commit-apply.ts';
import { type CommitConflict, type CommitResolution, planCommit, requireOutside } from './commit-plan.ts';
import { asIn, asRecorded, type Expectation } from './expectation.ts';
import { HostTarget, TEMPORARY_PREFIX } from './host-target.ts';

export interface CommitOptions {
  /** The host directory. Default: the one that was imported, or that the fork stands on. */
  readonly to?: string | undefined;
  /** The tree that the directory was equal to. Default: the snapshot that was imported from the directory. */
  readonly base?: string | undefined;
  readonly onConflict?: CommitResolution | undefined;
  /** Only reports what a commit would do. */
  readonly dryRun?: boolean | undefined;
  /** Makes a snapshot of the fork, which another process may have mounted. Default: `engine.snapshot`. */
  readonly trees?: { snapshot(source: string, name: string): Promise<unknown> } | undefined;
}

export interface CommitReport {
  readonly fork: string;
  /** Absolute path of the directory. */
  readonly target: string;
  /** Number of files and directories written, and number removed. */
  readonly written: number;
  readonly removed: number;
  /** Number of paths at which the directory already had what the fork has. */
  readonly unchanged: number;
  readonly conflicts: readonly CommitConflict[];
  readonly notes: readonly ExportNote[];
  /** False when nothing was written: because of conflicts, or for a dry run. */
  readonly isDone: boolean;
}

/** Where a fork came from: a host directory, and the snapshot imported from it or the state of the live directory. */
export interface CommitOrigin {
  readonly base: TreeState;
  readonly directory: string;
  /** The identity of the directory; undefined where none was recorded. */
  readonly identity: HostIdentity | undefined;
}

/**
 * The import, or the directory itself, that a fork stands on. ENOTSUP when the fork stands on several lowers; ENOENT
 * when its import was dropped. The texts of both errors say what to do.
 */
export function commitOrigin(engine: StoreEngine, fork: string): CommitOrigin {
  const seen = new Set<string>();
  for (let name = fork; !seen.has(name); ) {
    seen.add(name);
    const { source, kind, imported } = engine.info(name);
    const host = hostState(engine, name);
    const identity = host === undefined ? imported : engine.rows.layer(host.layer).host;
    if (host !== undefined && identity === undefined) {
      const note =
        'it stands on several lowers: ' +
        'name the directory to commit to (--to) and a snapshot with its earlier content (--base)';
      throw new FsError('ENOTSUP', { syscall: 'commit', path: fork, note });
    }
    if (host !== undefined) return { base: host, directory: source, identity };
    // No tree's name has a slash, so this source is a directory.
    if (kind === 'snapshot' && source.startsWith('/')) return { base: name, directory: source, identity };
    if (source === '' || !engine.list().some((tree) => tree.name === source)) break;
    name = source;
  }
  const note =
    'the import that it came from is not there: ' +
    'name the directory (--to) and a snapshot with its earlier content (--base)';
  throw new FsError('ENOENT', { syscall: 'commit', path: fork, note });
}

/**
 * Brings the fork's changes into the host directory. At every moment each file is wholly old or wholly new. If a commit
 * fails or is killed half way, the next commit finishes it. ENOENT when the fork, its import or the directory is
 * missing; EBUSY when another process has the fork open, or commits to the directory; EINVAL for a target inside the
 * store; ENOSPC, EACCES, EIO with the path and what was done.
 */
export async function commitTree(
  engine: StoreEngine,
  fork: string,
  options: CommitOptions = {},
): Promise<CommitReport> {
  const origin =
    options.to !== undefined && options.base !== undefined ? undefined : commitOrigin(engine, fork);
  const base = options.base ?? origin?.base ?? '';
  const storeDirectory = realpathSync(engine.directory);
  const target = openTarget(engine, options.to ?? origin?.directory ?? '', storeDirectory);
  const trees: Tree[] = [];
  try {
    if (options.to === undefined) target.requireSame(origin?.identity);
    const earlier = committed(engine, fork);
    if (typeof base !== 'string') settleOnHost(engine, fork, base.layer);
    // Commit a snapshot, which leaves out later writes to the fork.
    const name = freeName(engine, `${fork}.committing`);
    await (options.trees ?? engine).snapshot(fork, name);
    const { layer } = engine.info(fork);
    const open = (of: TreeState): Tree => {
      const tree = typeof of === 'string' ? engine.openTree(of) : engine.openState(of);
      trees.push(tree);
      return tree;
    };
    const tree = open(name);
    const application = new CommitApplication(target, name, tree.fileSystem);
    const parts: CommitParts = {
      engine,
      fork,
      target,
      tree,
      known: [base, ...earlier].map(open),
      application,
      isResumed: earlier.some((snapshot) => snapshot !== `${fork}.committed`),
      storeDirectory,
      options,
    };
    try {
      const report = await runCommit(parts);
      for (const tree of trees) tree.close();
      if (!report.isDone) engine.drop(name);
      else if (typeof base !== 'string' && options.to === undefined) {
        // The directory now has the fork's changes, so the fork can start from it again without changes, unless
        // conflicts kept some of them out.
        const isComplete = report.conflicts.every(({ isReplaced }) => isReplaced);
        if (isComplete) replaceTree(engine, fork, base, { unchangedSince: layer });
        for (const snapshot of [name, ...earlier]) engine.drop(snapshot);
      } else renameSnapshot(engine, name, `${fork}.committed`, earlier);
      return report;
    } catch (error) {
      // If nothing was begun, there is no half-done commit to remember.
      if (!application.hasBegun) engine.drop(name);
      throw application.hasBegun ? halfWay(error, application) : error;
    }
  } finally {
    for (const tree of trees) tree.close();
    target.close();
  }
}

function openTarget(engine: StoreEngine, directory: string, storeDirectory: string): HostTarget {
  let place: string;
  try {
    place = realpathSync(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const note = 'the directory to commit to is not there: name another with --to';
    throw new FsError('ENOENT', { syscall: 'commit', path: directory, note });
  }
  requireOutside(storeDirectory, place, 'it is inside the store');
  return new HostTarget(engine.system, place);
}

/** Snapshots of earlier commits of the fork, done or half done. */
function committed(engine: StoreEngine, fork: string): string[] {
  const stems = [`${fork}.committed`, `${fork}.committing`];
  return engine
    .list()
    .filter(
      ({ name, kind, source }) =>
        kind === 'snapshot' && source === fork && stems.some((stem) => isOf(stem, name)),
    )
    .map(({ name }) => name);
}

function isOf(stem: string, name: string): boolean {
  return name === stem || (name.startsWith(`${stem}-`) && /^\d+$/.test(name.slice(stem.length + 1)));
}

function halfWay(error: unknown, { written, removed }: CommitApplication): unknown {
  if (!(error instanceof FsError)) return error;
  const { note } = error;
  const done = `${written} written and ${removed} removed so far, and no file is half written: commit again to finish`;
  return error.in({ note: note === undefined ? done : `${note}; ${done}` });
}

interface CommitParts {
  readonly engine: StoreEngine;
  readonly fork: string;
  readonly target: HostTarget;
  /** The snapshot to commit. */
  readonly tree: Tree;
  /** The base, then earlier commits: the target may be equal to any of them. */
  readonly known: readonly Tree[];
  readonly application: CommitApplication;
  /** True when an earlier commit ended half way. */
  readonly isResumed: boolean;
  readonly storeDirectory: string;
  readonly options: CommitOptions;
}

/** Plans a commit, and carries it out unless it is a dry run or meets conflicts that no option resolves. */
async function runCommit(parts: CommitParts): Promise<CommitReport> {
  const { engine, fork, target, tree, known, application, isResumed, storeDirectory, options } = parts;
  const stored = ({ info }: Tree) => settleTree(engine, info, new Set());
  const after = stored(tree);
  const paths = new Set<string>();
  for (const state of known) {
    const { gone, put } = changedPaths(engine, stored(state), after);
    for (const path of [...gone.keys(), ...put.keys()]) if (path !== '/') paths.add(path);
  }
  if (isResumed) clearLeftovers(target, paths);
  const expected = expectations(parts, after);
  const { onConflict = 'none', dryRun = false } = options;
  const files = tree.fileSystem;
  const plan = planCommit({ target, files, paths, expected, storeDirectory, onConflict, isResumed });
  const report = { fork, target: target.directory, unchanged: plan.unchanged };
  const isRefused = onConflict === 'none' && plan.conflicts.length > 0;
  if (dryRun || isRefused) {
    const written = isRefused ? 0 : plan.steps.filter(({ mode }) => mode !== undefined).length;
    const removed = isRefused ? 0 : plan.steps.length - written;
    return { ...report, written, removed, conflicts: plan.conflicts, notes: [], isDone: false };
  }
  await application.all(plan, after);
  const { written, removed, lateConflicts, tally } = application;
  const conflicts = [...plan.conflicts, ...lateConflicts];
  return { ...report, written, removed, conflicts, notes: tally.notes, isDone: true };
}

/**
 * The states that a commit may replace: those of the base and of earlier commits. If the base is the live directory,
 * which always equals itself, the state that the fork recorded of it takes its place.
 */
function expectations({ engine, tree, known }: CommitParts, after: StoredTree): Expectation[] {
  const [base, ...earlier] = known;
  const { fileSystem, info } = base!;
  const isLive = fileSystem.stack.chain.live !== undefined && fileSystem.stack.lowers.length === 1;
  const recorded = isLive ? recordedOnHost(engine, after, info.layer) : undefined;
  const first = recorded === undefined ? asIn(fileSystem) : asRecorded(tree.fileSystem, recorded);
  return [first, ...earlier.map(({ fileSystem: files }) => asIn(files))];
}

/** Removes temporary files of a commit that was killed. */
function clearLeftovers(target: HostTarget, paths: ReadonlySet<string>): void {
  const directories = new Set([...paths].map((path) => path.slice(0, path.lastIndexOf('/'))));
  for (const directory of directories) {
    let names: string[] = [];
    try {
      names = target.names(directory).filter((name) => name.startsWith(TEMPORARY_PREFIX));
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    for (const name of names) {
      const path = `${directory}/${name}`;
      target.at('unlink', path, (files) => files.unlink(path));
    }
  }
}
