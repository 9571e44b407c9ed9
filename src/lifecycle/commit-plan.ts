/**
 * Plans a commit to a host directory, path by path. A path that is already as in the fork stays; a path that is in an
 * expected state is replaced; any other path is a conflict. Planning writes nothing.
 */
import { FsError, isDirectoryMode, isFsError } from '../base/index.ts';
import type { HostStat } from '../sys/index.ts';
import type { TreeFiles } from '../vfs/index.ts';
import { asIn, type Expectation, isDressed } from './expectation.ts';
import { type HostTarget, TEMPORARY_PREFIX } from './host-target.ts';

export interface CommitConflict {
  /** Absolute in the tree, a byte string. */
  readonly path: string;
  /** How the path changed in the target since the fork was made or last committed. */
  readonly kind: 'added' | 'changed' | 'removed';
  /** True if the fork's version replaces the target's, because of 'force'. */
  readonly isReplaced: boolean;
}

/** One path to make equal to the fork. */
export interface CommitStep {
  readonly path: string;
  /** Mode in the fork; undefined to remove it. */
  readonly mode: number | undefined;
  /** The stat of the path in the target; undefined if nothing is there. */
  readonly found: HostStat | undefined;
}

export interface CommitPlan {
  /** Sorted by path, so a directory comes before its contents. */
  readonly steps: readonly CommitStep[];
  readonly conflicts: readonly CommitConflict[];
  /** Paths that already are as the fork has them. */
  readonly unchanged: number;
}

/** How to treat conflicts: commit nothing ('none'), let the fork win ('force'), leave the paths out ('skip'). */
export type CommitResolution = 'none' | 'force' | 'skip';

export interface PlanParts {
  readonly target: HostTarget;
  /** The tree to commit. */
  readonly files: TreeFiles;
  readonly paths: ReadonlySet<string>;
  readonly expected: readonly Expectation[];
  /** The store's own directory, absolute. */
  readonly storeDirectory: string;
  readonly onConflict: CommitResolution;
  /** True when an earlier commit ended half way. */
  readonly isResumed: boolean;
}

const STORES_OWN = "it would change the store's own files: remove it from the fork";

export function planCommit(parts: PlanParts): CommitPlan {
  const { target, files, paths, storeDirectory, onConflict } = parts;
  const steps: CommitStep[] = [];
  const conflicts: CommitConflict[] = [];
  /** Paths that stay different from the fork, so that nothing is put into them. */
  const blocked = new Set<string>();
  /** For each path: whether it is a directory in the target. */
  const present = new Map<string, boolean>();
  let unchanged = 0;
  for (const path of [...paths].sort()) {
    requireOutside(storeDirectory, target.files.shown(path), STORES_OWN);
    const mode = files.tryStat(path, false)?.mode;
    const parent = path.slice(0, path.lastIndexOf('/'));
    const isPresent = present.get(parent) ?? isDirectoryIn(target, parent);
    present.set(parent, isPresent);
    const isReachable = isPresent || (paths.has(parent) && !blocked.has(parent));
    if (!isReachable) {
      // If the directory is not there, nothing has to be removed from it.
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
    // Never remove a directory that holds something that the fork has not seen, not even with 'force'.
    if (stranger !== undefined || !(isWelcome || isReplaced)) blocked.add(path);
    else steps.push({ path, mode, found });
  }
  return { steps, conflicts, unchanged };
}

export function isDirectory(mode: number | undefined): boolean {
  return mode !== undefined && isDirectoryMode(mode);
}

/** True if the path is a directory in the target. False also if the path has a symlink in it. */
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
  // Somebody has made the same change already; only times, owner or attributes differ.
  if (isAlike) return true;
  // A commit that ended half way may have removed something to put another type in its place.
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

/** For a directory to be removed: the path of an entry that the commit does not remove, if there is one. */
function strangerIn(target: HostTarget, path: string, paths: ReadonlySet<string>): string | undefined {
  const name = target
    .names(path)
    .find((child) => !paths.has(`${path}/${child}`) && !child.startsWith(TEMPORARY_PREFIX));
  return name === undefined ? undefined : `${path}/${name}`;
}

/** EINVAL, with `note`, for a place that is the store's directory or lies in it. */
export function requireOutside(storeDirectory: string, place: string, note: string): void {
  if (place !== storeDirectory && !place.startsWith(`${storeDirectory}/`)) return;
  throw new FsError('EINVAL', { syscall: 'commit', path: place, note });
}
