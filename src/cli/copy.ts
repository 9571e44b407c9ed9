/** The rules of cp(1), between any two ends: where copies go, how each kind of file is copied, and what is kept. */
import {
  type ErrorCode,
  FsError,
  isDirectoryMode,
  isFsError,
  isSymlinkMode,
  nameToString,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
} from '../base/index.ts';
import { copyContent, dress, xattrsOf } from '../files/index.ts';
import { O_CREAT, O_RDONLY, O_TRUNC, O_WRONLY } from '../sys/index.ts';
import type { Attributes, TreeFile } from '../vfs/index.ts';
import { type CopyEnd, TreeEnd } from './copy-end.ts';
import { baseName, joinPath } from './tree-path.ts';

export interface CopyOptions {
  readonly recursive: boolean;
  /** True to keep owner, times and extended attributes too. */
  readonly preserve: boolean;
}

export interface CopyCounts {
  files: number;
  directories: number;
  /** Files that share their blocks with the source, so that no byte was copied. */
  reflinks: number;
  bytes: number;
  /** Names of extended attributes that the destination does not support, or does not let this user set. */
  readonly attributesLeftOut: string[];
}

/** A file or directory at one end. Paths are byte strings. */
export interface CopyPlace {
  readonly end: CopyEnd;
  readonly path: string;
  /** The name of the copy when the destination is a directory. Default: the last name of the path. */
  readonly name?: string;
}

function failure(code: ErrorCode, { end, path }: CopyPlace, note?: string, to?: CopyPlace): FsError {
  return new FsError(code, { syscall: 'cp', path: end.show(path), dest: to?.end.show(to.path), note });
}

function isDirectory(stat: Attributes | undefined): boolean {
  return stat !== undefined && isDirectoryMode(stat.mode);
}

/**
 * Copies sources to a destination: into it if it is a directory, else to its path. ENOENT (a source, or the parent of
 * the destination), ENOTDIR (several sources, but the destination is not a directory), EISDIR (a directory without
 * `recursive`, or a file over a directory), EINVAL (a directory into itself).
 */
export async function copyAll(
  sources: readonly CopyPlace[],
  destination: CopyPlace,
  options: CopyOptions,
): Promise<CopyCounts> {
  const copying = new Copying(options);
  const stat = destination.end.stat(destination.path, true);
  if (sources.length > 1 && !isDirectory(stat)) {
    const code = stat === undefined ? 'ENOENT' : 'ENOTDIR';
    throw failure(code, destination, 'several files can only be copied into a directory');
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
    // Like cp(1), follow a symlink on the command line unless -r is given.
    const stat = from.end.stat(from.path, !this.options.recursive);
    if (stat === undefined) throw failure('ENOENT', from);
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
    if (!this.options.recursive) throw failure('EISDIR', from);
    const names = from.end.names(from.path);
    const before = to.end.stat(to.path, true);
    if (before === undefined) to.end.on('mkdir', to.path, (files) => files.makeDirectory(to.path, 0o777));
    else if (!isDirectory(before)) throw failure('ENOTDIR', to);
    this.counts.directories++;
    for (const name of names) {
      const child = { end: from.end, path: joinPath(from.path, name) };
      const childStat = child.end.stat(child.path, false);
      if (childStat === undefined) continue;
      await this.any(child, { end: to.end, path: joinPath(to.path, name) }, childStat);
    }
    if (before === undefined || this.options.preserve) this.dress(from, to, stat);
  }

  /** Throws EINVAL if a directory would be copied into itself. The destination need not exist, but its parent must. */
  private refuseSelf(from: CopyPlace, to: CopyPlace): void {
    if (from.end.files !== to.end.files) return;
    const source = realPath(from.end, from.path);
    const parent = realPath(to.end, directoryOf(to.path));
    if (!`${parent}/`.startsWith(source === '/' ? '/' : `${source}/`)) return;
    throw failure('EINVAL', from, 'a directory cannot be copied into itself', to);
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
    if (isDirectory(before)) throw failure('EISDIR', to, 'a file cannot replace a directory');
    if (from.end.files === to.end.files && before.dev === stat.dev && before.ino === stat.ino)
      throw failure('EINVAL', from, 'both are the same file', to);
  }

  private async content(from: CopyPlace, to: CopyPlace, stat: Attributes, keeps: boolean): Promise<void> {
    await from.end.opened(from.path, O_RDONLY, async (file) => {
      const source = from.end.source(from.path, file, stat.size);
      await to.end.opened(to.path, O_WRONLY | O_CREAT | O_TRUNC, async (made) => {
        const target = to.end.target(to.path, made);
        await copyContent(source, target, stat.size, from.end.show(from.path));
        if (keeps) this.dress(from, to, stat, made);
      });
    });
  }

  /** Copies a symlink, fifo, socket or device. */
  private other(from: CopyPlace, to: CopyPlace, stat: Attributes): void {
    const before = to.end.stat(to.path, false);
    if (isDirectory(before)) throw failure('EISDIR', to, 'a file cannot replace a directory');
    if (before !== undefined) to.end.on('unlink', to.path, (files) => files.unlink(to.path));
    if (isSymlinkMode(stat.mode)) {
      const target = from.end.on('readlink', from.path, (files) => files.readLink(from.path));
      to.end.on('symlink', to.path, (files) => files.symlink(target, to.path));
    } else to.end.on('mknod', to.path, (files) => files.makeNode(to.path, stat.mode, stat.rdev));
    this.counts.files++;
    this.dress(from, to, stat);
  }

  private dress(from: CopyPlace, to: CopyPlace, stat: Attributes, open?: TreeFile): void {
    const { preserve } = this.options;
    const xattrs = from.end.on('llistxattr', from.path, (files) =>
      preserve ? [...xattrsOf(files, from.path)] : [],
    );
    to.end.dressing(to.path, stat.mode, open, (wearer) => {
      if (preserve) dress(wearer, stat, xattrs, { xattr: (error, name) => this.leftOut(error, name) });
      // Set-user-ID is kept only together with the owner.
      else if (!isSymlinkMode(stat.mode)) wearer.chmod(stat.mode & 0o777);
    });
  }

  /** Notes an attribute that the destination does not accept. As with `cp -a`, the copy goes on without it. */
  private leftOut(error: unknown, name: string): void {
    if (!isFsError(error, 'ENOTSUP') && !isFsError(error, 'EPERM')) throw error;
    const shown = nameToString(name);
    const { attributesLeftOut } = this.counts;
    if (!attributesLeftOut.includes(shown)) attributesLeftOut.push(shown);
  }
}

function directoryOf(path: string): string {
  const trimmed = path.replace(/\/+$/, '');
  return trimmed.slice(0, trimmed.lastIndexOf('/')) || '/';
}

/** The absolute path without symlinks. ENOENT. */
function realPath(end: CopyEnd, path: string): string {
  return end.on('realpath', path, (files) => files.realPath(path));
}
