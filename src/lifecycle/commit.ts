/**
 * `commitTree`: a fork's changes into the host directory that it came from. What is committed is a snapshot, so the
 * fork may be worked in meanwhile. The snapshot stays, as `FORK.committed`, since what the directory has then is known
 * by it: a further commit expects that, or what a commit that ended half way (`FORK.committing`) left.
 */
import { realpathSync } from 'node:fs';
import { FsError, isFsError, type LayerId } from '../base/index.ts';
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
  type TreeInfo,
  type TreeState,
} from '../store/index.ts';
import { changedPaths, recordedOnHost, settleOnHost } from '../survey/index.ts';
import type { ExportNote } from '../transfer/index.ts';
import { CommitApplication } from './commit-apply.ts';
import {
  type CommitConflict,
  type CommitResolution,
  type PlanParts,
  planCommit,
  requireOutside,
} from './commit-plan.ts';
import { asIn, asRecorded, type Expectation } from './expectation.ts';
import { HostTarget, TEMPORARY_PREFIX } from './host-target.ts';

export interface CommitOptions {
  /** The directory. Default: where the fork came from. */
  readonly to?: string | undefined;
  /** The tree that the directory was like. Default: the snapshot that was imported from it. */
  readonly base?: string | undefined;
  readonly onConflict?: CommitResolution | undefined;
  /** Only report what a commit would do. */
  readonly dryRun?: boolean | undefined;
  /** Makes a snapshot of the fork, which another process may have mounted. Default: the engine does. */
  readonly trees?: { snapshot(source: string, name: string): Promise<unknown> } | undefined;
}

export interface CommitReport {
  readonly fork: string;
  /** Absolute path of the directory. */
  readonly target: string;
  /** Files and directories that were written, and that went. */
  readonly written: number;
  readonly removed: number;
  /** Paths that were as the fork has them already. */
  readonly unchanged: number;
  readonly conflicts: readonly CommitConflict[];
  readonly notes: readonly ExportNote[];
  /** False when conflicts, or a dry run, kept everything as it was. */
  readonly isDone: boolean;
}

/** Where a fork came from: the snapshot that was imported, or the live directory as a state; and the directory. */
export interface CommitOrigin {
  readonly base: TreeState;
  readonly directory: string;
  /** Which directory it was; undefined where that was not recorded. */
  readonly identity: HostIdentity | undefined;
}

/**
 * The import, or the directory itself, that a fork stands on. ENOTSUP when it stands on several; ENOENT when its import
 * is not there any more. Both name the way out.
 */
export function commitOrigin(engine: StoreEngine, fork: string): CommitOrigin {
  const seen = new Set<string>();
  for (let name = fork; !seen.has(name); ) {
    seen.add(name);
    const { source, kind, imported } = engine.info(name);
    const host = hostState(engine, name);
    const identity = host === undefined ? imported : engine.rows.layer(host.layer).host;
    if (host !== undefined && identity === undefined) throw standsOnSeveral(fork);
    if (host !== undefined) return { base: host, directory: source, identity };
    // No tree's name has a slash.
    if (kind === 'snapshot' && source.startsWith('/')) return { base: name, directory: source, identity };
    if (source === '' || !engine.list().some((tree) => tree.name === source)) break;
    name = source;
  }
  const note =
    'the import that it came from is not there: name the directory (--to) and what it was like (--base)';
  throw new FsError('ENOENT', { syscall: 'commit', path: fork, note });
}

function standsOnSeveral(fork: string): FsError {
  const note =
    'it stands on several lowers: name the directory to commit to (--to) and a snapshot of what it was like (--base)';
  return new FsError('ENOTSUP', { syscall: 'commit', path: fork, note });
}

/**
 * Makes the host directory what the fork is, in what the fork changed. Every file is the old one or the new one, whole,
 * at every moment; what fails or is killed half way is finished by a further commit. ENOENT; EBUSY when another process
 * has the fork open, or commits to the directory; EINVAL for a target inside of the store; ENOSPC, EACCES, EIO with the
 * path and what was done.
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
    // What is written to the fork from here on is not committed.
    const name = freeName(engine, `${fork}.committing`);
    await (options.trees ?? engine).snapshot(fork, name);
    const { layer } = engine.info(fork);
    const open = (of: TreeState): Tree => {
      const tree = typeof of === 'string' ? engine.openTree(of) : engine.openState(of);
      trees.push(tree);
      return tree;
    };
    const run = new CommitRun(engine, target, open(name), [base, ...earlier].map(open), options);
    try {
      const report = await run.all(
        fork,
        earlier.length > Number(earlier.includes(`${fork}.committed`)),
        storeDirectory,
      );
      for (const tree of trees) tree.close();
      if (!report.isDone) engine.drop(name);
      else if (typeof base !== 'string' && options.to === undefined)
        standAnew(engine, fork, [name, ...earlier], base, layer, report);
      else renameSnapshot(engine, name, `${fork}.committed`, earlier);
      return report;
    } catch (error) {
      // Nothing was begun: no commit that ended half way has to be known.
      if (!run.hasBegun) engine.drop(name);
      throw run.hasBegun ? halfWay(error, run) : error;
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
  requireOutside(storeDirectory, place, 'it is inside of the store');
  return new HostTarget(engine.system, place);
}

/**
 * The directory has what the fork had: the fork stands on it again, with nothing of its own. What conflicts have kept
 * out is still the fork's alone, which then stays as it is. What was kept to know the directory by goes. EBUSY when the
 * fork was written to meanwhile.
 */
function standAnew(
  engine: StoreEngine,
  fork: string,
  snapshots: readonly string[],
  base: TreeInfo,
  layer: LayerId,
  { conflicts }: CommitReport,
): void {
  if (conflicts.every(({ isReplaced }) => isReplaced))
    replaceTree(engine, fork, base, { unchangedSince: layer });
  for (const name of snapshots) engine.drop(name);
}

/** Snapshots of what earlier commits of the fork have made of a directory, or begun to. */
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

function halfWay(error: unknown, { application }: CommitRun): unknown {
  if (!(error instanceof FsError)) return error;
  const { note } = error;
  const done =
    `${application.written} written and ${application.removed} removed so far, every file whole: ` +
    'commit again to finish';
  return error.in({ note: note === undefined ? done : `${note}; ${done}` });
}

/** One commit, of a snapshot that is open, to a target that is open. */
class CommitRun {
  hasBegun = false;
  readonly application: CommitApplication;
  private readonly engine: StoreEngine;
  private readonly target: HostTarget;
  private readonly tree: Tree;
  private readonly known: readonly Tree[];
  private readonly options: CommitOptions;

  constructor(
    engine: StoreEngine,
    target: HostTarget,
    tree: Tree,
    known: readonly Tree[],
    options: CommitOptions,
  ) {
    this.engine = engine;
    this.target = target;
    this.tree = tree;
    this.known = known;
    this.options = options;
    const { info, fileSystem } = tree;
    this.application = new CommitApplication(target, info.name, fileSystem);
  }

  async all(fork: string, isResumed: boolean, storeDirectory: string): Promise<CommitReport> {
    const { engine, target, tree, known, application, options } = this;
    const stored = ({ info }: Tree) => settleTree(engine, info, new Set());
    const after = stored(tree);
    const paths = new Set<string>();
    for (const state of known) {
      const { gone, put } = changedPaths(engine, stored(state), after);
      for (const path of [...gone.keys(), ...put.keys()]) if (path !== '/') paths.add(path);
    }
    if (isResumed) this.clearLeftovers(paths);
    const expected = this.expectations(after);
    const { onConflict = 'none', dryRun = false } = options;
    const parts: PlanParts = {
      target,
      files: tree.fileSystem,
      paths,
      expected,
      storeDirectory,
      onConflict,
      isResumed,
    };
    const plan = planCommit(parts);
    const report = { fork, target: target.directory, unchanged: plan.unchanged };
    const isRefused = onConflict === 'none' && plan.conflicts.length > 0;
    if (dryRun || isRefused) {
      const written = isRefused ? 0 : plan.steps.filter(({ mode }) => mode !== undefined).length;
      const removed = isRefused ? 0 : plan.steps.length - written;
      return { ...report, written, removed, conflicts: plan.conflicts, notes: [], isDone: false };
    }
    this.hasBegun = true;
    await application.all(plan, after);
    const { written, removed, lateConflicts, tally } = application;
    const conflicts = [...plan.conflicts, ...lateConflicts];
    return { ...report, written, removed, conflicts, notes: tally.notes, isDone: true };
  }

  /** The first of what is known is the base: of a live directory that is what it is now, which says nothing. */
  private expectations(after: StoredTree): Expectation[] {
    const [base, ...earlier] = this.known;
    const { fileSystem, info } = base!;
    const isLive = fileSystem.stack.chain.live !== undefined && fileSystem.stack.lowers.length === 1;
    const recorded = isLive ? recordedOnHost(this.engine, after, info.layer) : undefined;
    const first = recorded === undefined ? asIn(fileSystem) : asRecorded(this.tree.fileSystem, recorded);
    return [first, ...earlier.map((tree) => asIn(tree.fileSystem))];
  }

  /** What a commit that was killed had written beside its place. */
  private clearLeftovers(paths: ReadonlySet<string>): void {
    const directories = new Set([...paths].map((path) => path.slice(0, path.lastIndexOf('/'))));
    for (const directory of directories) {
      let names: string[] = [];
      try {
        names = this.target.names(directory).filter((name) => name.startsWith(TEMPORARY_PREFIX));
      } catch (error) {
        if (!isFsError(error, 'ENOENT') && !isFsError(error, 'ENOTDIR') && !isFsError(error, 'ELOOP'))
          throw error;
      }
      for (const name of names) {
        const path = `${directory}/${name}`;
        this.target.at('unlink', path, (files) => files.unlink(path));
      }
    }
  }
}
