/** The rules of cp(1), between any two ends: where a copy goes, what is copied how, what it keeps. */
import {
  FsError,
  isDirectoryMode,
  isFsError,
  isSymlinkMode,
  nameToString,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
} from '../base/index.ts';
import { copyContent, dress } from '../files/index.ts';
import type { Attributes, TreeFile } from '../vfs/index.ts';
import { type CopyEnd, TreeEnd } from './copy-end.ts';
import { baseName, joinPath } from './tree-path.ts';

export interface CopyOptions {
  readonly recursive: boolean;
  /** Keep owner, times and extended attributes too. */
  readonly preserve: boolean;
}

export interface CopyCounts {
  files: number;
  directories: number;
  /** Files that share their blocks with the source: no byte was copied. */
  reflinks: number;
  bytes: number;
  /** Extended attributes that the destination cannot have, or not from this user. */
  readonly attributesLeftOut: string[];
}

/** A file or directory at one end. Paths are byte strings. */
export interface CopyPlace {
  readonly end: CopyEnd;
  readonly path: string;
  /** The name that it has in a directory it is copied into. Default: the last one of the path. */
  readonly name?: string;
}

function isDirectory(stat: Attributes | undefined): boolean {
  return stat !== undefined && isDirectoryMode(stat.mode);
}

/**
 * Copies sources to a destination: into it when it is a directory, else under its name. ENOENT (source, or
 * the parent of the destination), ENOTDIR (several sources, and the destination is no directory), EISDIR (a
 * directory without `recursive`, or a file over a directory), EINVAL (a directory into itself).
 */
export async function copyAll(
  sources: readonly CopyPlace[],
  destination: CopyPlace,
  options: CopyOptions,
): Promise<CopyCounts> {
  const copying = new Copying(options);
  const stat = destination.end.stat(destination.path, true);
  if (sources.length > 1 && !isDirectory(stat)) {
    throw new FsError(stat === undefined ? 'ENOENT' : 'ENOTDIR', {
      syscall: 'cp',
      path: destination.end.show(destination.path),
      note: 'several files can only be copied into a directory',
    });
  }
  for (const source of sources) {
    const name = source.name ?? baseName(source.path);
    // A whole tree, or a path that ends in '..', has no name of its own: its content goes into the directory.
    const isNamed = name !== '' && name !== '.' && name !== '..';
    const path = isDirectory(stat) && isNamed ? joinPath(destination.path, name) : destination.path;
    await copying.top(source, { end: destination.end, path });
  }
  return copying.counts;
}

class Copying {
  readonly counts: CopyCounts = { files: 0, directories: 0, reflinks: 0, bytes: 0, attributesLeftOut: [] };
  private readonly options: CopyOptions;

  constructor(options: CopyOptions) {
    this.options = options;
  }

  async top(from: CopyPlace, to: CopyPlace): Promise<void> {
    // Without -r a symlink on the command line is followed, as cp(1) does.
    const stat = from.end.stat(from.path, !this.options.recursive);
    if (stat === undefined) throw new FsError('ENOENT', { syscall: 'cp', path: from.end.show(from.path) });
    if (isDirectory(stat) && this.options.recursive) this.refuseSelf(from, to);
    await this.any(from, to, stat);
  }

  private async any(from: CopyPlace, to: CopyPlace, stat: Attributes): Promise<void> {
    switch (stat.mode & S_IFMT) {
      case S_IFDIR:
        await this.directory(from, to, stat);
        return;
      case S_IFREG:
        await this.file(from, to, stat);
        return;
      default:
        this.other(from, to, stat);
    }
  }

  private async directory(from: CopyPlace, to: CopyPlace, stat: Attributes): Promise<void> {
    if (!this.options.recursive)
      throw new FsError('EISDIR', { syscall: 'cp', path: from.end.show(from.path) });
    const names = from.end.names(from.path);
    const before = to.end.stat(to.path, true);
    if (before === undefined) to.end.makeDirectory(to.path);
    else if (!isDirectory(before))
      throw new FsError('ENOTDIR', { syscall: 'cp', path: to.end.show(to.path) });
    this.counts.directories++;
    for (const name of names) {
      const child = { end: from.end, path: joinPath(from.path, name) };
      const childStat = child.end.stat(child.path, false);
      if (childStat === undefined) continue;
      await this.any(child, { end: to.end, path: joinPath(to.path, name) }, childStat);
    }
    if (before === undefined || this.options.preserve) this.dress(from, to, stat);
  }

  /** Looked at before anything is made: the destination may not exist yet, its directory does. */
  private refuseSelf(from: CopyPlace, to: CopyPlace): void {
    if (!isOnePlace(from.end, to.end)) return;
    const source = from.end.realPath(from.path);
    const parent = to.end.realPath(directoryOf(to.path));
    if (!`${parent}/`.startsWith(source === '/' ? '/' : `${source}/`)) return;
    throw new FsError('EINVAL', {
      syscall: 'cp',
      path: from.end.show(from.path),
      dest: to.end.show(to.path),
      note: 'a directory cannot be copied into itself',
    });
  }

  private async file(from: CopyPlace, to: CopyPlace, stat: Attributes): Promise<void> {
    const before = to.end.stat(to.path, true);
    if (before !== undefined) this.requireReplaceable(from, to, stat, before);
    const isShared =
      from.end instanceof TreeEnd &&
      to.end instanceof TreeEnd &&
      (await to.end.shareFrom(from.end, from.path, to.path, before === undefined));
    const keeps = before === undefined || this.options.preserve;
    if (isShared) this.counts.reflinks++;
    this.counts.files++;
    this.counts.bytes += stat.size;
    if (!isShared) await this.content(from, to, stat, keeps);
    else if (keeps) this.dress(from, to, stat);
  }

  private requireReplaceable(from: CopyPlace, to: CopyPlace, stat: Attributes, before: Attributes): void {
    if (isDirectory(before))
      throw new FsError('EISDIR', {
        syscall: 'cp',
        path: to.end.show(to.path),
        note: 'a file cannot replace a directory',
      });
    if (isOnePlace(from.end, to.end) && before.dev === stat.dev && before.ino === stat.ino) {
      throw new FsError('EINVAL', {
        syscall: 'cp',
        path: from.end.show(from.path),
        dest: to.end.show(to.path),
        note: 'both are the same file',
      });
    }
  }

  private async content(from: CopyPlace, to: CopyPlace, stat: Attributes, keeps: boolean): Promise<void> {
    const source = from.end.openSource(from.path, stat.size);
    try {
      const target = to.end.openTarget(to.path);
      try {
        await copyContent(source, target, stat.size, from.end.show(from.path));
        if (keeps) this.dress(from, to, stat, target.file);
      } finally {
        target.close();
      }
    } finally {
      source.close();
    }
  }

  /** A symlink, fifo, socket or device: made again under its name. */
  private other(from: CopyPlace, to: CopyPlace, stat: Attributes): void {
    const before = to.end.stat(to.path, false);
    if (isDirectory(before))
      throw new FsError('EISDIR', {
        syscall: 'cp',
        path: to.end.show(to.path),
        note: 'a file cannot replace a directory',
      });
    if (before !== undefined) to.end.unlink(to.path);
    if (isSymlinkMode(stat.mode)) to.end.symlink(from.end.readLink(from.path), to.path);
    else to.end.makeNode(to.path, stat.mode, stat.rdev);
    this.counts.files++;
    this.dress(from, to, stat);
  }

  private dress(from: CopyPlace, to: CopyPlace, stat: Attributes, open?: TreeFile): void {
    const { preserve } = this.options;
    const xattrs = preserve ? from.end.xattrs(from.path) : [];
    to.end.dressing(to.path, stat.mode, open, (wearer) => {
      if (preserve) dress(wearer, stat, xattrs, { xattr: (error, name) => this.leftOut(error, name) });
      // Set-user-ID goes along only with its owner.
      else if (!isSymlinkMode(stat.mode)) wearer.chmod(stat.mode & 0o777);
    });
  }

  /** As `cp -a`: what one filesystem has of its own does not keep the rest from another. */
  private leftOut(error: unknown, name: string): void {
    if (!isFsError(error, 'ENOTSUP') && !isFsError(error, 'EPERM')) throw error;
    const shown = nameToString(name);
    const { attributesLeftOut } = this.counts;
    if (!attributesLeftOut.includes(shown)) attributesLeftOut.push(shown);
  }
}

/** The directory that a path lies in, a byte string. */
function directoryOf(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  return trimmed.slice(0, trimmed.lastIndexOf('/')) || '/';
}

function isOnePlace(a: CopyEnd, b: CopyEnd): boolean {
  return a.files === b.files;
}
