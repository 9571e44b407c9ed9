/** Carries out the plan of a merge, in a fork that nobody else sees. Reflinks content that it takes as a whole. */
import {
  type Ino,
  isDirectoryMode,
  isFileMode,
  isFsError,
  isSymlinkMode,
  kindOfMode,
} from '../base/index.ts';
import { dress, timesOf, wearerAt, xattrsOf } from '../files/index.ts';
import { type StoreEngine, settleTree } from '../store/index.ts';
import { TreePaths } from '../survey/index.ts';
import { O_CREAT, O_EXCL, O_RDONLY, O_TRUNC, O_WRONLY } from '../sys/index.ts';
import type { Attributes, FileSystem } from '../vfs/index.ts';
import type { MergedParts, MergePlan, MergeSides } from './merge-plan.ts';

export class MergeApplication {
  private readonly ours: FileSystem;
  private readonly theirs: FileSystem;
  /** For hard-linked files, by inode number: a name that the file has in our tree already. */
  private readonly names = new Map<number, string>();

  constructor(engine: StoreEngine, { ours, theirs }: MergeSides, { take }: MergePlan) {
    this.ours = ours.fileSystem;
    this.theirs = theirs.fileSystem;
    const linked: Ino[] = [];
    for (const path of take) {
      const stat = this.theirs.tryStat(path, false);
      // The cast: the attributes of a tree's file have its inode number.
      if (stat !== undefined && isLinked(stat)) linked.push(stat.ino as Ino);
    }
    const paths = new TreePaths(settleTree(engine, ours.info.name, new Set()));
    for (const [ino, names] of paths.pathsOf(linked)) {
      const kept = names.find((path) => !take.has(path));
      if (kept !== undefined) this.names.set(ino, kept);
    }
  }

  /**
   * Removes paths, the content of a directory before the directory; then adds paths, a directory before its content;
   * then merges.
   */
  all({ take, drop, merge }: MergePlan): void {
    for (const path of drop) this.remove(path, true);
    const paths = [...take].sort();
    for (const path of paths.toReversed())
      if (this.theirs.tryStat(path, false) === undefined) this.remove(path, false);
    for (const path of paths) if (this.theirs.tryStat(path, false) !== undefined) this.put(path);
    for (const [path, parts] of merge) this.merge(path, parts);
  }

  /** Removes a path. A directory that is not empty stays unless `withContents`. */
  private remove(path: string, withContents: boolean): void {
    const stat = this.ours.tryStat(path, false);
    if (stat === undefined) return;
    if (!isDirectoryMode(stat.mode)) {
      this.ours.unlink(path);
      return;
    }
    if (withContents)
      for (const name of this.ours.readDirectoryNames(path)) this.remove(`${path}/${name}`, true);
    try {
      this.ours.removeDirectory(path);
    } catch (error) {
      if (withContents || !isFsError(error, 'ENOTEMPTY')) throw error;
    }
  }

  /** Makes a path equal to the other side's. */
  private put(path: string): void {
    const wanted = this.theirs.stat(path, false);
    const { mode } = wanted;
    this.putDirectories(path);
    const found = this.ours.tryStat(path, false);
    const isSameKind = found !== undefined && kindOfMode(found.mode) === kindOfMode(mode);
    const isThere = isSameKind && (isDirectoryMode(mode) || isFileMode(mode));
    if (found !== undefined && !isThere) this.remove(path, true);
    if (isDirectoryMode(mode)) {
      if (!isThere) this.ours.makeDirectory(path, 0o700);
    } else if (isFileMode(mode)) {
      if (!this.putFile(path, wanted, isThere)) return;
    } else if (isSymlinkMode(mode)) this.ours.symlink(this.theirs.readLink(path), path);
    else this.ours.makeNode(path, mode, wanted.rdev);
    this.dress(path, wanted);
  }

  /** Restores parent directories that our side removed. */
  private putDirectories(path: string): void {
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (parent === '') return;
    const stat = this.ours.tryStat(parent, false);
    if (stat === undefined || !isDirectoryMode(stat.mode)) this.put(parent);
  }

  /**
   * Makes the path a regular file with the other side's content. False when the path is now a hard link to a file that
   * our side has.
   */
  private putFile(path: string, wanted: Attributes, isThere: boolean): boolean {
    if (isLinked(wanted)) {
      const known = this.names.get(wanted.ino);
      this.names.set(wanted.ino, known ?? path);
      if (known !== undefined && known !== path) {
        if (isThere && this.ours.stat(path, false).ino === this.ours.stat(known, false).ino) return false;
        if (isThere) this.ours.unlink(path);
        this.ours.link(known, path, false);
        return false;
      }
    }
    if (!isThere) this.ours.close(this.ours.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600));
    this.clone(path);
    return true;
  }

  /** Gives the file the other side's content, by sharing its blocks. */
  private clone(path: string): void {
    const source = this.theirs.open(path, O_RDONLY, 0);
    try {
      const target = this.ours.open(path, O_WRONLY | O_TRUNC, 0);
      try {
        this.ours.reflink(source, target, this.theirs);
      } finally {
        this.ours.close(target);
      }
    } finally {
      this.theirs.close(source);
    }
  }

  private dress(path: string, wanted: Attributes): void {
    const { ours, theirs } = this;
    const xattrs = new Map(xattrsOf(theirs, path));
    for (const name of ours.listXattrs(path, false))
      if (!xattrs.has(name)) ours.removeXattr(path, name, false);
    dress(wearerAt(ours, path), wanted, xattrs);
  }

  private merge(path: string, { content, mode, owner, xattrs }: MergedParts): void {
    const { ours } = this;
    const wanted = this.theirs.stat(path, false);
    if (owner !== undefined) ours.chown(path, owner.uid, owner.gid, false);
    if (mode !== undefined) ours.chmod(path, mode & 0o7777, false);
    for (const [name, value] of xattrs ?? []) {
      if (value === undefined) ours.removeXattr(path, name, false);
      else ours.setXattr(path, name, value, 0, false);
    }
    if (content === undefined) return;
    if (content === 'theirs' && !isFileMode(wanted.mode)) this.put(path);
    else if (content === 'theirs') {
      this.clone(path);
      const { atime, mtime } = timesOf(wanted);
      ours.setTimes(path, atime, mtime, false);
    } else this.write(path, content);
  }

  private write(path: string, bytes: Buffer): void {
    const file = this.ours.open(path, O_WRONLY | O_TRUNC, 0);
    try {
      for (let done = 0; done < bytes.length; )
        done += this.ours.write(file, bytes, done, bytes.length - done, done);
    } finally {
      this.ours.close(file);
    }
  }
}

function isLinked({ mode, nlink }: Attributes): boolean {
  return nlink > 1 && isFileMode(mode);
}
