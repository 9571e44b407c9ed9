/** A tree into a host directory, and what a layer takes away from one. */
import { FsError, isDirectoryMode, isFileMode, S_IFCHR } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import type { ExportTally } from './export-report.ts';
import { joinHost, onHost, showHost } from './host-tree.ts';
import { HostWriter } from './host-writer.ts';
import type { Pacing } from './pacing.ts';
import { childPath, type TreeItem, type TreeReader } from './tree-walk.ts';

/** While it is being filled a directory is the exporter's alone. */
const FILLING_MODE = 0o700;

export class DirectoryExport {
  private readonly system: System;
  private readonly reader: TreeReader;
  private readonly tally: ExportTally;
  private readonly pacing: Pacing;
  private readonly root: Buffer;
  private readonly writer: HostWriter;

  constructor(system: System, reader: TreeReader, tally: ExportTally, pacing: Pacing, root: Buffer) {
    this.system = system;
    this.reader = reader;
    this.tally = tally;
    this.pacing = pacing;
    this.root = root;
    this.writer = new HostWriter(system, reader, tally, pacing);
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
      } else if (child.firstPath !== undefined) this.link(child, child.firstPath, hostChild);
      else await this.writer.make(child, hostChild);
      if (this.pacing.isDue) await this.pacing.turn();
    }
    this.tally.directories++;
    this.writer.dress(item, hostPath);
  }

  /** The kernel's overlayfs.rst, "whiteouts": a character device 0/0, which everyone may make since Linux 5.8. */
  private whiteout(hostPath: Buffer): void {
    onHost('mknod', hostPath, () => this.system.makeHostNode(hostPath, S_IFCHR, 0));
    this.tally.whiteouts++;
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
}
