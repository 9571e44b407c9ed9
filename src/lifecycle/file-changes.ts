/**
 * Differences of two trees file by file, as in a patch. A patch has no directories, so each file in a renamed directory
 * counts as a renamed file.
 */
import {
  DT_DIR,
  isDirectoryMode,
  isFileMode,
  isSymlinkMode,
  kindOfMode,
  nameToBytes,
} from '../base/index.ts';
import { dataOf, isSameData } from '../files/index.ts';
import type { Change, ChangedPaths } from '../survey/index.ts';
import { O_RDONLY } from '../sys/index.ts';
import type { Attributes, TreeFiles } from '../vfs/index.ts';

/** A changed file before or after the change. */
export interface FileSide {
  /** Absolute path, a byte string. */
  readonly path: string;
  readonly attributes: Attributes;
}

/** A file, symlink or node that is new (no `before`), gone (no `after`), or changed. */
export interface FileChange {
  readonly before: FileSide | undefined;
  readonly after: FileSide | undefined;
}

/** Every file whose content, mode or name differs, in byte order of the paths. */
export function* fileChanges(
  { changes, put, gone }: ChangedPaths,
  before: TreeFiles,
  after: TreeFiles,
): Generator<FileChange> {
  const sources = new Map<string, FileSide>();
  const moved = new Set<string>();
  const origins = originsOf(changes);
  for (const path of put.keys()) {
    const from = origins(path);
    if (from === undefined || from === path || sideOf(before, path) !== undefined) continue;
    const source = sideOf(before, from);
    // In a patch a rename needs a new name that was free before, and an old one that is free now.
    if (source === undefined || sideOf(after, from) !== undefined || moved.has(from)) continue;
    sources.set(path, source);
    moved.add(from);
  }
  const unseen = new Set(changes.filter(isUnseen).map(({ path }) => path));
  for (const path of [...new Set([...gone.keys(), ...put.keys()])].sort()) {
    if (moved.has(path) || unseen.has(path)) continue;
    const old = sources.get(path) ?? sideOf(before, path);
    const now = sideOf(after, path);
    if (old !== undefined || now !== undefined) yield { before: old, after: now };
  }
}

/** True for a change that a patch cannot express. */
function isUnseen({ kind, from, parts }: Change): boolean {
  if (kind !== 'modified' || from !== undefined) return false;
  return parts.every((part) => part === 'times' || part === 'owner' || part === 'xattrs');
}

/**
 * Makes a function that finds the old path of a file that was renamed, either itself or with a directory. If several
 * directories on its path were renamed, the innermost counts.
 */
function originsOf(changes: readonly Change[]): (path: string) => string | undefined {
  const files = new Map<string, string>();
  const directories = new Map<string, string>();
  for (const { path, from, type } of changes) {
    if (from !== undefined) (type === DT_DIR ? directories : files).set(path, from);
  }
  return (path) => {
    const own = files.get(path);
    if (own !== undefined) return own;
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const from = directories.get(path.slice(0, slash));
      if (from !== undefined) return from + path.slice(slash);
    }
    return undefined;
  };
}

function sideOf(files: TreeFiles, path: string): FileSide | undefined {
  const attributes = files.tryStat(path, false);
  if (attributes === undefined || isDirectoryMode(attributes.mode)) return undefined;
  return { path, attributes };
}

/** Whether two files have the same bytes, or symlinks the same target. */
export function isSameContent(before: TreeFiles, old: FileSide, after: TreeFiles, now: FileSide): boolean {
  const { mode, size } = old.attributes;
  if (kindOfMode(mode) !== kindOfMode(now.attributes.mode) || size !== now.attributes.size) return false;
  if (!isFileMode(mode)) return contentOf(before, old).equals(contentOf(after, now));
  const [left, right] = [before.open(old.path, O_RDONLY, 0), after.open(now.path, O_RDONLY, 0)];
  try {
    return isSameData(dataOf(before, left, size), dataOf(after, right, size));
  } finally {
    before.close(left);
    after.close(right);
  }
}

/** A file's bytes (all in memory), or a symlink's target; nothing for other types. */
export function contentOf(files: TreeFiles, { path, attributes }: FileSide): Buffer {
  if (isSymlinkMode(attributes.mode)) return nameToBytes(files.readLink(path));
  if (!isFileMode(attributes.mode)) return Buffer.alloc(0);
  const file = files.open(path, O_RDONLY, 0);
  try {
    const bytes = Buffer.alloc(attributes.size);
    let length = 0;
    while (length < bytes.length) {
      const count = files.read(file, bytes, length, bytes.length - length, length);
      if (count === 0) break;
      length += count;
    }
    return bytes.subarray(0, length);
  } finally {
    files.close(file);
  }
}
