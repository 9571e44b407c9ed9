/** Exports a tree, or a layer with whiteouts, to a host directory. */
import { basename, dirname } from 'node:path';
import {
  at,
  FsError,
  isDirectoryMode,
  isFileMode,
  isFsError,
  nameFromString,
  nameToBytes,
  S_IFCHR,
} from '../base/index.ts';
import { HostFiles } from '../files/index.ts';
import { O_DIRECTORY, O_PATH, O_RDONLY, type System } from '../sys/index.ts';
import type { ExportTally } from './export-report.ts';
import { HostWriter } from './host-writer.ts';
import type { Pacing } from './pacing.ts';
import { childPath, type TreeItem, type TreeReader } from './tree-walk.ts';

/** The mode of a directory until it is filled; only the exporter has access. */
const FILLING_MODE = 0o700;

/**
 * Exports to a directory that is absent or empty. ENOTDIR or ENOTEMPTY if something else is there, ENOENT if the parent
 * is missing.
 */
export async function exportDirectory(
  system: System,
  reader: TreeReader,
  tally: ExportTally,
  pacing: Pacing,
  destination: string,
): Promise<void> {
  const root = claim(system, destination);
  const files = new HostFiles(system, destination, root, { keepsDirectories: true });
  try {
    await new DirectoryExport(files, reader, tally, pacing).fill('/', reader.item('/'));
  } finally {
    files.end();
    system.close(root);
  }
}

/** Makes the directory, or opens an empty one. */
function claim(system: System, destination: string): number {
  try {
    return makeDirectory(system, destination);
  } catch (error) {
    if (!isFsError(error, 'EEXIST')) throw error;
  }
  return at({ path: destination }, () => openEmpty(system, destination));
}

function openEmpty(system: System, path: string): number {
  if (!isDirectoryMode(system.statHost(nameToBytes(nameFromString(path)), true).mode))
    throw new FsError('ENOTDIR', { syscall: 'mkdir' });
  const fd = system.open(path, O_RDONLY | O_DIRECTORY);
  try {
    if (system.readDirectory(fd).length === 0) return fd;
    const note = 'export to a directory that is empty or does not exist';
    throw new FsError('ENOTEMPTY', { syscall: 'mkdir', note });
  } catch (error) {
    system.close(fd);
    throw error;
  }
}

function makeDirectory(system: System, destination: string): number {
  const name = nameToBytes(nameFromString(basename(destination) || '.'));
  const parent = making(destination, () => system.open(dirname(destination), O_PATH | O_DIRECTORY));
  try {
    making(destination, () => system.makeDirectoryAt(parent, name, FILLING_MODE));
    return at({ syscall: 'open', path: destination }, () =>
      system.openAt(parent, name, O_RDONLY | O_DIRECTORY),
    );
  } finally {
    system.close(parent);
  }
}

/** Makes a call that is part of making the directory `path`; throws its error as an error of mkdir. */
function making<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw isFsError(error) ? error.in({ syscall: 'mkdir', path }) : error;
  }
}

class DirectoryExport {
  private readonly files: HostFiles;
  private readonly reader: TreeReader;
  private readonly tally: ExportTally;
  private readonly pacing: Pacing;
  private readonly writer: HostWriter;

  constructor(files: HostFiles, reader: TreeReader, tally: ExportTally, pacing: Pacing) {
    this.files = files;
    this.reader = reader;
    this.tally = tally;
    this.pacing = pacing;
    this.writer = new HostWriter(files, reader, tally, pacing);
  }

  /** Fills a new directory. Sets its attributes last, because filling it changes its times. */
  async fill(path: string, item: TreeItem): Promise<void> {
    const { files } = this;
    for (const name of this.reader.whiteouts(path)) this.whiteout(childPath(path, name));
    for (const name of this.reader.names(path)) {
      const child = this.reader.item(childPath(path, name));
      if (isDirectoryMode(child.attributes.mode)) {
        files.naming('mkdir', child.path, () => files.makeDirectory(child.path, FILLING_MODE));
        await this.fill(child.path, child);
      } else if (child.firstPath !== undefined) this.link(child, child.firstPath);
      else await this.writer.make(child, child.path);
      if (this.pacing.isDue) await this.pacing.turn();
    }
    this.tally.directories++;
    this.writer.dress(item, path);
  }

  /** Makes a whiteout of overlayfs.rst: a character device 0/0, which any user may make since Linux 5.8. */
  private whiteout(path: string): void {
    this.files.naming('mknod', path, () => this.files.makeNode(path, S_IFCHR, 0));
    this.tally.whiteouts++;
  }

  private link(item: TreeItem, firstPath: string): void {
    try {
      this.files.naming('link', item.path, () => this.files.link(firstPath, item.path, false));
      this.tally.hardLinks++;
    } catch (error) {
      // ENOENT: the first name does not exist, because the file is a device that could not be made.
      if (!(error instanceof FsError) || error.code !== 'ENOENT' || isFileMode(item.attributes.mode))
        throw error;
      this.tally.note(
        'special',
        this.reader.shown(item.path),
        'left out: another name of a file that was left out',
      );
    }
  }
}
