/**
 * What a commit has to do in a host directory, path by path: what is as the fork has it is left alone, what is as
 * somebody expects it is replaced, and everything else is a conflict. Nothing is written.
 */
import { FsError, isDirectoryMode, isFsError } from '../base/index.ts';
import type { HostStat } from '../sys/index.ts';
import type { TreeFiles } from '../vfs/index.ts';
import { asIn, type Expectation, isDressed } from './expectation.ts';
import { type HostTarget, TEMPORARY_PREFIX } from './host-target.ts';

export interface CommitConflict {
  /** Absolute in the tree, a byte string. */
  readonly path: string;
  /** What the target has there is new, changed or gone, since the fork was made or last committed. */
  readonly kind: 'added' | 'changed' | 'removed';
  /** The fork won, because it was told to. */
  readonly isReplaced: boolean;
}

/** One path that is to become what the fork has. */
export interface CommitStep {
  readonly path: string;
  /** Mode in the fork; undefined: it goes. */
  readonly mode: number | undefined;
  /** What the target has there. */
  readonly found: HostStat | undefined;
}

export interface CommitPlan {
  /** By path, a directory before what is in it. */
  readonly steps: readonly CommitStep[];
  readonly conflicts: readonly CommitConflict[];
  /** Paths that are as the fork has them already. */
  readonly unchanged: number;
}

/** What happens to conflicts: nothing is done at all, the fork wins, or they are left out. */
export type CommitResolution = 'none' | 'force' | 'skip';

export interface PlanParts {
  readonly target: HostTarget;
  /** What is committed. */
  readonly files: TreeFiles;
  readonly paths: ReadonlySet<string>;
  readonly expected: readonly Expectation[];
  /** The store's own directory, absolute. */
  readonly storeDirectory: string;
  readonly onConflict: CommitResolution;
  /** A commit before this one ended half way. */
  readonly isResumed: boolean;
}

const STORES_OWN = "it would change the store's own files: remove it from the fork";

export function planCommit(parts: PlanParts): CommitPlan {
  const { target, files, paths, storeDirectory, onConflict } = parts;
  const steps: CommitStep[] = [];
  const conflicts: CommitConflict[] = [];
  /** Directories that do not become what the fork has, so that nothing goes into them. */
  const blocked = new Set<string>();
  /** Whether the target has the directories of paths, by path. */
  const present = new Map<string, boolean>();
  let unchanged = 0;
  for (const path of [...paths].sort()) {
    requireOutside(storeDirectory, target.shown(path), STORES_OWN);
    const mode = files.tryStat(path, false)?.mode;
    const parent = path.slice(0, path.lastIndexOf('/'));
    const isPresent = present.get(parent) ?? isDirectoryIn(target, parent);
    present.set(parent, isPresent);
    const isReachable = isPresent || (paths.has(parent) && !blocked.has(parent));
    if (!isReachable) {
      // Nothing goes from where nothing is.
      if (mode !== undefined) conflicts.push({ path, kind: 'removed', isReplaced: false });
      blocked.add(path);
      continue;
    }
    const found = statIn(target, path);
    const isAlike = asIn(files)(target, path, found);
    if (isAlike && isDressed(target, files, path, found)) {
      unchanged++;
      continue;
    }
    const stranger =
      isDirectory(found?.mode) && !isDirectory(mode) ? strangerIn(target, path, paths) : undefined;
    const isWelcome = isExpected(parts, { path, mode, found }, isAlike);
    const isReplaced = stranger === undefined && onConflict === 'force';
    if (!isWelcome) conflicts.push({ path, kind: conflictKind(parts, path, found), isReplaced });
    if (stranger !== undefined) conflicts.push({ path: stranger, kind: 'added', isReplaced: false });
    // What the fork has never seen does not go with a directory, whichever side wins.
    if (stranger !== undefined || !(isWelcome || isReplaced)) blocked.add(path);
    else steps.push({ path, mode, found });
  }
  return { steps, conflicts, unchanged };
}

export function isDirectory(mode: number | undefined): boolean {
  return mode !== undefined && isDirectoryMode(mode);
}

/** False also where a symlink is on the way. */
function isDirectoryIn(target: HostTarget, path: string): boolean {
  return path === '' || isDirectory(statIn(target, path)?.mode);
}

function statIn(target: HostTarget, path: string): HostStat | undefined {
  try {
    return target.stat(path);
  } catch (error) {
    if (isFsError(error, 'ELOOP')) return undefined;
    throw error;
  }
}

function isExpected(
  { target, expected, isResumed }: PlanParts,
  { path, mode, found }: CommitStep,
  isAlike: boolean,
): boolean {
  if (expected.some((expects) => expects(target, path, found))) return true;
  // Somebody has made the same change; only times, owner or attributes differ.
  if (isAlike) return true;
  // A commit that ended half way may have removed what is to be of another type.
  if (found === undefined) return isResumed && mode !== undefined;
  const isNew = expected.some((expects) => expects(target, path, undefined));
  return isNew && isDirectory(mode) && isDirectory(found.mode);
}

function conflictKind(
  { target, expected }: PlanParts,
  path: string,
  found: HostStat | undefined,
): CommitConflict['kind'] {
  if (found === undefined) return 'removed';
  return expected.every((expects) => expects(target, path, undefined)) ? 'added' : 'changed';
}

/** Something in a directory that is to go, which does not go with it. */
function strangerIn(target: HostTarget, path: string, paths: ReadonlySet<string>): string | undefined {
  const name = target
    .names(path)
    .find((child) => !paths.has(`${path}/${child}`) && !child.startsWith(TEMPORARY_PREFIX));
  return name === undefined ? undefined : `${path}/${name}`;
}

/** EINVAL, with a note, for a place that is the store's directory or lies in it. */
export function requireOutside(storeDirectory: string, place: string, note: string): void {
  if (place !== storeDirectory && !place.startsWith(`${storeDirectory}/`)) return;
  throw new FsError('EINVAL', { syscall: 'commit', path: place, note });
}
