/**
 * A tree into a host directory: content, holes, hard links, symlinks, nodes, then owner, attributes, mode and
 * times.
 */
import { constants } from 'node:fs';
import { FsError, nameToBytes } from '../../base/index.ts';
import type { System } from '../../sys/index.ts';
import type { ExportTally } from './export-report.ts';
import {
  isDirectoryMode,
  isFileMode,
  isSymlinkMode,
  joinHost,
  onHost,
  S_IFCHR,
  S_IFMT,
  showHost,
  wordOfMode,
} from './host-tree.ts';
import type { Pacing } from './pacing.ts';
import { childPath, type TreeItem, type TreeReader, timesOf } from './tree-walk.ts';

const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
/** While it is being filled a directory is the exporter's alone. */
const FILLING_MODE = 0o700;

/** Codes that say "not to you" or "not here" rather than "failed". */
const REFUSALS: ReadonlySet<string> = new Set(['EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

export class DirectoryExport {
  private readonly system: System;
  private readonly reader: TreeReader;
  private readonly tally: ExportTally;
  private readonly pacing: Pacing;
  private readonly root: Buffer;

  constructor(system: System, reader: TreeReader, tally: ExportTally, pacing: Pacing, root: Buffer) {
    this.system = system;
    this.reader = reader;
    this.tally = tally;
    this.pacing = pacing;
    this.root = root;
  }

  /**
   * ENOTDIR, ENOTEMPTY: the destination is there and not an empty directory; ENOENT: its parent is missing.
   */
  async all(): Promise<void> {
    this.claimDestination();
    await this.fill('/', this.root, this.reader.item('/'));
  }

  private claimDestination(): void {
    const { system, root } = this;
    try {
      onHost('mkdir', root, () => system.makeHostDirectory(root, FILLING_MODE));
    } catch (error) {
      if (!(error instanceof FsError) || error.code !== 'EEXIST') throw error;
      const stat = onHost('stat', root, () => system.statHost(root, true));
      if (!isDirectoryMode(stat.mode))
        throw new FsError('ENOTDIR', { syscall: 'mkdir', path: showHost(root) });
      if (onHost('scandir', root, () => system.readHostDirectory(root)).length === 0) return;
      throw new FsError('ENOTEMPTY', {
        syscall: 'mkdir',
        path: showHost(root),
        note: 'export to a directory that is empty or does not exist',
      });
    }
  }

  /** Fills a directory that has been made, and gives it its attributes last: filling it changes its times. */
  private async fill(path: string, hostPath: Buffer, item: TreeItem): Promise<void> {
    for (const name of this.reader.whiteouts(path)) this.whiteout(joinHost(hostPath, name));
    for (const name of this.reader.names(path)) {
      const child = this.reader.item(childPath(path, name));
      const hostChild = joinHost(hostPath, name);
      if (isDirectoryMode(child.attributes.mode)) {
        onHost('mkdir', hostChild, () => this.system.makeHostDirectory(hostChild, FILLING_MODE));
        await this.fill(child.path, hostChild, child);
      } else if (this.entry(child, hostChild)) {
        await this.file(child, hostChild);
      }
      if (this.pacing.isDue) await this.pacing.turn();
    }
    this.tally.directories++;
    this.dress(item, hostPath);
  }

  /** The kernel's overlayfs.rst, "whiteouts": a character device 0/0, which everyone may make since Linux 5.8. */
  private whiteout(hostPath: Buffer): void {
    onHost('mknod', hostPath, () => this.system.makeHostNode(hostPath, S_IFCHR, 0));
    this.tally.whiteouts++;
  }

  /**
   * Makes everything that is not a directory or a first name of a file; true when it is a file to be made.
   */
  private entry(item: TreeItem, hostPath: Buffer): boolean {
    const { mode, rdev } = item.attributes;
    const { firstPath } = item;
    if (firstPath !== undefined) {
      this.link(item, firstPath, hostPath);
      return false;
    }
    if (isFileMode(mode)) return true;
    if (isSymlinkMode(mode)) {
      onHost('symlink', hostPath, () => this.system.symlinkHost(nameToBytes(item.target), hostPath));
      this.tally.symlinks++;
    } else {
      try {
        onHost('mknod', hostPath, () => this.system.makeHostNode(hostPath, (mode & S_IFMT) | 0o600, rdev));
      } catch (error) {
        if (!(error instanceof FsError) || !REFUSALS.has(error.code)) throw error;
        this.tally.note(
          'special',
          this.reader.shown(item.path),
          `left out: the host lets us make no ${wordOfMode(mode)} (${error.code})`,
        );
        return false;
      }
      this.tally.specials++;
    }
    this.dress(item, hostPath);
    return false;
  }

  private link(item: TreeItem, firstPath: string, hostPath: Buffer): void {
    const first = this.hostPathOf(firstPath);
    try {
      onHost('link', hostPath, () => this.system.linkHost(first, hostPath));
      this.tally.hardLinks++;
    } catch (error) {
      // The first name of a device that could not be made is not there to be linked to.
      if (!(error instanceof FsError) || error.code !== 'ENOENT' || isFileMode(item.attributes.mode))
        throw error;
      this.tally.note(
        'special',
        this.reader.shown(item.path),
        'left out: another name of a file that was left out',
      );
    }
  }

  private hostPathOf(path: string): Buffer {
    return joinHost(this.root, path.slice(1));
  }

  private async file(item: TreeItem, hostPath: Buffer): Promise<void> {
    const { system } = this;
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    const fd = onHost('open', hostPath, () => system.openHost(hostPath, flags, 0o600));
    try {
      const { size, blocks } = item.attributes;
      // The size goes first where there are holes: XFS fills a hole that a file grows over with preallocated
      // blocks.
      if (blocks * 512 < size) onHost('ftruncate', hostPath, () => system.truncate(fd, size));
      await this.reader.readData(item, (bytes, position) => {
        onHost('write', hostPath, () => system.pwrite(fd, bytes, 0, bytes.length, position));
        return this.pacing.isDue ? this.pacing.turn() : undefined;
      });
      this.tally.files++;
      this.tally.apparentBytes += size;
    } finally {
      system.close(fd);
    }
    this.dress(item, hostPath);
  }

  /**
   * Owner first (chown clears set-user-ID and file capabilities), then extended attributes (they need write
   * permission, which the mode may take away), then the mode, and the times last.
   */
  private dress(item: TreeItem, hostPath: Buffer): void {
    const { system } = this;
    const { attributes, xattrs } = item;
    const isOwned = this.own(item, hostPath);
    for (const [name, value] of xattrs) this.xattr(item, hostPath, name, value);
    if (!isSymlinkMode(attributes.mode)) {
      const mode = attributes.mode & 0o7777 & (isOwned ? 0o7777 : ~(S_ISUID | S_ISGID));
      onHost('chmod', hostPath, () => system.chmodHost(hostPath, mode));
    }
    const { atime, mtime } = timesOf(attributes);
    onHost('utimensat', hostPath, () => system.setHostTimes(hostPath, atime, mtime));
  }

  /** False when the file stays with whoever exports: then its set-user-ID bit must not come along. */
  private own(item: TreeItem, hostPath: Buffer): boolean {
    const { uid, gid } = item.attributes;
    try {
      onHost('lchown', hostPath, () => this.system.chownHost(hostPath, uid, gid));
      return true;
    } catch (error) {
      if (!(error instanceof FsError) || (error.code !== 'EPERM' && error.code !== 'EINVAL')) throw error;
      const isOurs = uid === process.getuid?.() && gid === process.getgid?.();
      if (!isOurs) {
        this.tally.noteOnce(
          'owner',
          this.reader.shown(item.path),
          `owners are not kept: only root may give files away (first seen for ${uid}:${gid})`,
        );
      }
      return isOurs;
    }
  }

  private xattr(item: TreeItem, hostPath: Buffer, name: string, value: Buffer): void {
    try {
      onHost('lsetxattr', hostPath, () => this.system.writeHostXattr(hostPath, name, value));
    } catch (error) {
      if (!(error instanceof FsError) || !REFUSALS.has(error.code)) throw error;
      const shown = Buffer.from(name, 'latin1').toString('utf8');
      this.tally.noteOnce(
        'xattr',
        this.reader.shown(item.path),
        `the host did not take the extended attribute ${shown} (${error.code})`,
      );
    }
  }
}
