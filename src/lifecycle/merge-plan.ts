/**
 * Plans a merge from both sides' changes since the common state, path by path. If one side changed a path, its change
 * is taken. If both did, their changes are merged part by part, and text line by line. What cannot be merged is a
 * conflict.
 */
import { DT_DIR, DT_REG, type Ino, kindOfMode } from '../base/index.ts';
import { type StoredTree, type StoreEngine, settleTree, type Tree } from '../store/index.ts';
import { type ChangedPart, type ChangedPaths, changedPaths, InodeComparison } from '../survey/index.ts';
import type { Attributes } from '../vfs/index.ts';
import { contentOf } from './file-changes.ts';
import { canBeText, isText, type MergedText, type MergeLabels, mergeTexts } from './line-diff.ts';
import { isOfRepository } from './repositories.ts';

export type ConflictKind =
  /** Both sides changed the path in different ways. */
  | 'both-modified'
  /** Both sides created the name. */
  | 'both-added'
  /** The other side changed the path, and ours removed it. */
  | 'modified-removed'
  /** The other side removed the path, and ours changed it. */
  | 'removed-modified'
  /** The path has a different type on each side. */
  | 'type'
  /** Both sides renamed the file, to different names. */
  | 'both-renamed';

export interface MergeConflict {
  /** Absolute path, a byte string. */
  readonly path: string;
  readonly kind: ConflictKind;
}

/** Parts to change in a file that both sides changed; undefined parts stay as they are. */
export interface MergedParts {
  readonly content?: 'theirs' | Buffer | undefined;
  readonly mode?: number | undefined;
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  readonly xattrs?: ReadonlyMap<string, Buffer | undefined> | undefined;
}

export interface MergePlan {
  /** Paths to make equal to the other side. A path that the other side does not have is removed. */
  readonly take: ReadonlySet<string>;
  /** Paths to remove with everything below them. */
  readonly drop: ReadonlySet<string>;
  /** Parts to change, by the path of the file. */
  readonly merge: ReadonlyMap<string, MergedParts>;
  readonly conflicts: readonly MergeConflict[];
}

/** How to resolve conflicts. `markers` puts both versions into text files, except files of repositories. */
export type MergeResolution = 'none' | 'ours' | 'theirs' | 'markers';

export interface MergeSides {
  readonly base: Tree;
  readonly ours: Tree;
  readonly theirs: Tree;
}

/** A file on one side. */
interface Found {
  readonly ino: Ino;
  readonly kind: number;
  readonly attributes: Attributes;
}

export class MergePlanner {
  private readonly take = new Set<string>();
  private readonly drop = new Set<string>();
  /** Paths that the plan leaves out, with everything below them. */
  private readonly skipped = new Set<string>();
  private readonly merge = new Map<string, MergedParts>();
  private readonly conflicts: MergeConflict[] = [];
  private readonly sides: MergeSides;
  private readonly onConflict: MergeResolution;
  private readonly labels: MergeLabels;
  private readonly fromBase: ChangedPaths;
  private readonly ourChanges: ChangedPaths;
  private readonly baseAndTheirs: InodeComparison;
  private readonly baseAndOurs: InodeComparison;
  private readonly oursAndTheirs: InodeComparison;

  constructor(engine: StoreEngine, sides: MergeSides, onConflict: MergeResolution, labels: MergeLabels) {
    this.sides = sides;
    this.onConflict = onConflict;
    this.labels = labels;
    const stored = (tree: Tree): StoredTree => settleTree(engine, tree.info.name, new Set());
    const [base, ours, theirs] = [stored(sides.base), stored(sides.ours), stored(sides.theirs)];
    this.fromBase = changedPaths(engine, base, theirs);
    this.ourChanges = changedPaths(engine, base, ours);
    this.baseAndTheirs = new InodeComparison(engine.blobs, base, theirs);
    this.baseAndOurs = new InodeComparison(engine.blobs, base, ours);
    this.oursAndTheirs = new InodeComparison(engine.blobs, ours, theirs);
  }

  plan(): MergePlan {
    const { gone, put } = this.fromBase;
    this.renamedTwice();
    for (const path of [...new Set([...gone.keys(), ...put.keys()])].sort()) this.path(path);
    const { take, drop, merge, conflicts } = this;
    conflicts.sort((a, b) => (a.path < b.path ? -1 : 1));
    return { take, drop, merge, conflicts };
  }

  private find(side: keyof MergeSides, path: string): Found | undefined {
    const attributes = this.sides[side].fileSystem.tryStat(path, false);
    if (attributes === undefined) return undefined;
    // The cast: the attributes of a tree's file have its inode number.
    return { ino: attributes.ino as Ino, kind: kindOfMode(attributes.mode), attributes };
  }

  /** Notes a conflict. Returns true if the other side wins. */
  private conflict(path: string, kind: ConflictKind): boolean {
    this.conflicts.push({ path, kind });
    return this.onConflict === 'theirs';
  }

  /** Finds files to which both sides gave different new names. Otherwise such a file would get both. */
  private renamedTwice(): void {
    const names = new Map<string, string>();
    for (const { kind, path, from } of this.ourChanges.changes)
      if (kind === 'renamed' && from !== undefined) names.set(from, path);
    for (const { kind, path, from } of this.fromBase.changes) {
      if (kind !== 'renamed' || from === undefined) continue;
      const ours = names.get(from);
      if (ours === undefined || ours === path) continue;
      if (this.conflict(path, 'both-renamed')) this.drop.add(ours);
      else this.skipped.add(path);
    }
  }

  private isSkipped(path: string): boolean {
    for (let at = path; at !== ''; at = at.slice(0, at.lastIndexOf('/')))
      if (this.skipped.has(at)) return true;
    return false;
  }

  private path(path: string): void {
    if (this.isSkipped(path)) return;
    const theirs = this.find('theirs', path);
    const isOurs = this.ourChanges.put.has(path) || this.ourChanges.gone.has(path);
    if (isOurs) this.bothChanged(path, theirs);
    else if (theirs !== undefined && !this.hasDirectory(path)) {
      if (this.conflict(path, 'modified-removed')) this.take.add(path);
    } else if (theirs?.kind === DT_DIR || !this.keepsBelow(path) || theirs === undefined) {
      this.take.add(path);
    }
  }

  /** True if our side has the parent directory of `path`, or the plan takes it from the other side. */
  private hasDirectory(path: string): boolean {
    const parent = path.slice(0, path.lastIndexOf('/'));
    return parent === '' || this.take.has(parent) || this.find('ours', parent)?.kind === DT_DIR;
  }

  /**
   * Notes a conflict for each file that our side added to a directory that the other side removed or replaced. Returns
   * true if such files stay; if the other side wins, the plan drops them.
   */
  private keepsBelow(path: string): boolean {
    if (this.find('ours', path)?.kind !== DT_DIR) return false;
    let keeps = false;
    for (const name of this.sides.ours.fileSystem.readDirectoryNames(path)) {
      const child = `${path}/${name}`;
      if (this.fromBase.gone.has(child)) continue;
      if (this.conflict(child, 'removed-modified')) this.drop.add(child);
      else keeps = true;
    }
    return keeps;
  }

  private bothChanged(path: string, theirs: Found | undefined): void {
    const ours = this.find('ours', path);
    const base = this.find('base', path);
    if (ours === undefined && theirs === undefined) return;
    if (ours === undefined || theirs === undefined) {
      if (this.conflict(path, ours === undefined ? 'modified-removed' : 'removed-modified'))
        this.take.add(path);
    } else if (ours.kind !== theirs.kind) {
      if (this.conflict(path, 'type')) this.take.add(path);
    } else {
      this.parts(path, base?.kind === ours.kind ? base : undefined, ours, theirs);
    }
  }

  /** Merges, part by part, a path that has the same type on both sides. */
  private parts(path: string, base: Found | undefined, ours: Found, theirs: Found): void {
    const { kind } = ours;
    const isDifferent = hasData(this.oursAndTheirs.parts(ours.ino, theirs.ino, kind));
    const owners = threeWay(ownerOf(base), ownerOf(ours), ownerOf(theirs));
    const modes = threeWay(base?.attributes.mode, ours.attributes.mode, theirs.attributes.mode);
    const xattrs = this.xattrs(path, base);
    let isConflict = owners === 'conflict' || modes === 'conflict' || xattrs === 'conflict';
    let content: MergedParts['content'];
    if (isDifferent) {
      const isOurs = !base || hasData(this.baseAndOurs.parts(base.ino, ours.ino, kind));
      const isTheirs = !base || hasData(this.baseAndTheirs.parts(base.ino, theirs.ino, kind));
      if (!isOurs) content = 'theirs';
      else if (isTheirs) {
        const text = kind === DT_REG ? this.mergedText(path, base, ours, theirs) : undefined;
        isConflict ||= text === undefined || text.conflicts > 0;
        if (text !== undefined && (text.conflicts === 0 || this.takesMarkers(path))) content = text.bytes;
      }
    }
    if (isConflict && this.conflict(path, base === undefined ? 'both-added' : 'both-modified')) {
      this.take.add(path);
      return;
    }
    const mode = modes === 'theirs' ? theirs.attributes.mode : undefined;
    const owner = owners === 'theirs' ? theirs.attributes : undefined;
    this.merge.set(path, { content, mode, owner, xattrs: xattrs === 'conflict' ? undefined : xattrs });
  }

  /** True if markers are to be written into the file. Files of a repository get none: markers break them. */
  private takesMarkers(path: string): boolean {
    const { ours, theirs } = this.sides;
    return this.onConflict === 'markers' && !isOfRepository([ours.fileSystem, theirs.fileSystem], path);
  }

  /** The merged text; undefined unless all three versions are text. A missing base counts as an empty text. */
  private mergedText(
    path: string,
    base: Found | undefined,
    ours: Found,
    theirs: Found,
  ): MergedText | undefined {
    const sizes = [base?.attributes.size ?? 0, ours.attributes.size, theirs.attributes.size];
    if (!sizes.every(canBeText)) return undefined;
    const read = (side: keyof MergeSides, found: Found | undefined): Buffer =>
      found === undefined
        ? Buffer.alloc(0)
        : contentOf(this.sides[side].fileSystem, { path, attributes: found.attributes });
    const contents = [read('base', base), read('ours', ours), read('theirs', theirs)] as const;
    return contents.every(isText) ? mergeTexts(...contents, this.labels) : undefined;
  }

  /**
   * The values of extended attributes that only the other side changed; undefined for a removed one. Returns 'conflict'
   * if both sides changed an attribute, in different ways.
   */
  private xattrs(
    path: string,
    base: Found | undefined,
  ): ReadonlyMap<string, Buffer | undefined> | 'conflict' {
    const of = (side: keyof MergeSides): Map<string, string> => {
      const { fileSystem } = this.sides[side];
      const names = side === 'base' && base === undefined ? [] : fileSystem.listXattrs(path, false);
      return new Map(names.map((name) => [name, fileSystem.getXattr(path, name, false).toString('latin1')]));
    };
    const [old, ours, theirs] = [of('base'), of('ours'), of('theirs')];
    const merged = new Map<string, Buffer | undefined>();
    for (const name of new Set([...old.keys(), ...ours.keys(), ...theirs.keys()])) {
      const winner = threeWay(old.get(name), ours.get(name), theirs.get(name));
      if (winner === 'conflict') return winner;
      const value = theirs.get(name);
      if (winner === 'theirs')
        merged.set(name, value === undefined ? undefined : Buffer.from(value, 'latin1'));
    }
    return merged;
  }
}

/** True if the parts include data, not only metadata. */
function hasData(parts: readonly ChangedPart[]): boolean {
  return parts.some((part) => part === 'content' || part === 'target' || part === 'device');
}

function ownerOf(found: Found | undefined): string | undefined {
  return found === undefined ? undefined : `${found.attributes.uid}:${found.attributes.gid}`;
}

function threeWay<T>(base: T, ours: T, theirs: T): 'ours' | 'theirs' | 'conflict' {
  if (ours === theirs || theirs === base) return 'ours';
  return ours === base ? 'theirs' : 'conflict';
}
