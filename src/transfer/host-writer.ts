/** One file of a tree on the host: its content with holes, then owner, attributes, mode and times. */
import {
  FsError,
  isFileMode,
  isSymlinkMode,
  nameToBytes,
  S_IFMT,
  S_ISGID,
  S_ISUID,
  SECTOR_BYTES,
  wordOfMode,
} from '../base/index.ts';
import { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY, type System } from '../sys/index.ts';
import type { ExportTally } from './export-report.ts';
import { onHost } from './host-tree.ts';
import type { Pacing } from './pacing.ts';
import { type TreeItem, type TreeReader, timesOf } from './tree-walk.ts';

/** Codes that say "not to you" or "not here" rather than "failed". */
const REFUSALS: ReadonlySet<string> = new Set(['EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

export class HostWriter {
  private readonly system: System;
  private readonly reader: TreeReader;
  private readonly tally: ExportTally;
  private readonly pacing: Pacing;

  constructor(system: System, reader: TreeReader, tally: ExportTally, pacing: Pacing) {
    this.system = system;
    this.reader = reader;
    this.tally = tally;
    this.pacing = pacing;
  }

  /** Makes what is no directory at a path where there is nothing. False when the host lets us make no such node. */
  async make(item: TreeItem, hostPath: Buffer): Promise<boolean> {
    if (!isFileMode(item.attributes.mode)) return this.node(item, hostPath);
    await this.file(item, hostPath);
    return true;
  }

  /** A symlink, fifo, socket or device; as `make`. */
  private node(item: TreeItem, hostPath: Buffer): boolean {
    const { mode, rdev } = item.attributes;
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
          `left out: the host does not let us make a ${wordOfMode(mode)} (${error.code})`,
        );
        return false;
      }
      this.tally.specials++;
    }
    this.dress(item, hostPath);
    return true;
  }

  private async file(item: TreeItem, hostPath: Buffer): Promise<void> {
    const { system } = this;
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    const fd = onHost('open', hostPath, () => system.openHost(hostPath, flags, 0o600));
    try {
      const { size, blocks } = item.attributes;
      // The size goes first where there are holes: XFS fills a hole that a file grows over with preallocated
      // blocks.
      const isSparse = blocks * SECTOR_BYTES < size;
      if (isSparse) onHost('ftruncate', hostPath, () => system.truncate(fd, size));
      let end = 0;
      await this.reader.readData(item, (bytes, position) => {
        onHost('write', hostPath, () => system.pwrite(fd, bytes, 0, bytes.length, position));
        end = position + bytes.length;
        return this.pacing.isDue ? this.pacing.turn() : undefined;
      });
      // Blocks that were allocated and never written are holes.
      if (!isSparse && end < size) onHost('ftruncate', hostPath, () => system.truncate(fd, size));
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
  dress(item: TreeItem, hostPath: Buffer): void {
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
