/** Exports a tree as a tar archive to a stream. Holes are written as zeros: tar has no portable form for them. */
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import {
  isDirectoryMode,
  isFileMode,
  isSymlinkMode,
  type Name,
  nameToBytes,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  wordOfMode,
} from '../base/index.ts';
import { timesOf } from '../files/index.ts';
import type { ExportTally } from './export-report.ts';
import type { Pacing } from './pacing.ts';
import { encodeTarHeader, TAR_END, type TarEntry, type TarType, tarPadding } from './tar-archive.ts';
import { childPath, type TreeItem, type TreeReader } from './tree-walk.ts';
import { OCI_PREFIX } from './whiteouts.ts';

const ZEROS = Buffer.alloc(1024 * 1024);
const NOTHING = Buffer.alloc(0);

const TYPES: Readonly<Record<number, TarType | undefined>> = {
  [S_IFREG]: 'file',
  [S_IFDIR]: 'directory',
  [S_IFLNK]: 'symlink',
  [S_IFCHR]: 'character',
  [S_IFBLK]: 'block',
  [S_IFIFO]: 'fifo',
};

export class TarExport {
  private readonly reader: TreeReader;
  private readonly tally: ExportTally;
  private readonly pacing: Pacing;
  private readonly output: Writable;

  constructor(reader: TreeReader, tally: ExportTally, pacing: Pacing, output: Writable) {
    this.reader = reader;
    this.tally = tally;
    this.pacing = pacing;
    this.output = output;
  }

  async all(): Promise<void> {
    await this.directory(this.reader.item('/'));
    await this.put(TAR_END);
  }

  private async put(bytes: Buffer): Promise<void> {
    if (bytes.length === 0) return;
    if (this.output.errored !== null) throw this.output.errored;
    if (!this.output.write(bytes)) await once(this.output, 'drain');
  }

  private async directory(item: TreeItem): Promise<void> {
    this.tally.directories++;
    await this.put(encodeTarHeader(entryOf(item, 'directory', NOTHING)));
    for (const name of this.reader.whiteouts(item.path)) await this.whiteout(item, name);
    for (const name of this.reader.names(item.path)) {
      const child = this.reader.item(childPath(item.path, name));
      if (isDirectoryMode(child.attributes.mode)) await this.directory(child);
      else await this.entry(child);
      if (this.pacing.isDue) await this.pacing.turn();
    }
  }

  /** Writes a whiteout: an empty file named `.wh.` and the removed name (OCI image specification, layer.md). */
  private async whiteout(directory: TreeItem, name: Name): Promise<void> {
    const header = entryOf(directory, 'file', NOTHING);
    const path = archivePath(childPath(directory.path, `${OCI_PREFIX}${name}`));
    await this.put(encodeTarHeader({ ...header, path, mode: 0, sizeBytes: 0, xattrs: [] }));
    this.tally.whiteouts++;
  }

  private async entry(item: TreeItem): Promise<void> {
    const { mode } = item.attributes;
    const type = TYPES[mode & S_IFMT];
    if (type === undefined) {
      const what = wordOfMode(mode);
      this.tally.note('special', this.reader.shown(item.path), `left out: tar has no form for a ${what}`);
      return;
    }
    if (item.firstPath !== undefined) {
      this.tally.hardLinks++;
      await this.put(encodeTarHeader(entryOf(item, 'link', archivePath(item.firstPath))));
    } else if (isFileMode(mode)) {
      await this.file(item);
    } else {
      if (isSymlinkMode(mode)) this.tally.symlinks++;
      else this.tally.specials++;
      await this.put(encodeTarHeader(entryOf(item, type, nameToBytes(item.target))));
    }
  }

  private async file(item: TreeItem): Promise<void> {
    const { size } = item.attributes;
    await this.put(encodeTarHeader(entryOf(item, 'file', NOTHING)));
    let written = 0;
    if (size > 0) {
      await this.reader.readData(item, async (bytes, position) => {
        await this.zeros(position - written);
        // Write a copy, because the reader uses its buffer again while the stream may still hold the bytes.
        await this.put(Buffer.from(bytes));
        written = position + bytes.length;
      });
    }
    await this.zeros(size - written);
    await this.put(tarPadding(size));
    this.tally.files++;
    this.tally.apparentBytes += size;
  }

  private async zeros(count: number): Promise<void> {
    for (let rest = count; rest > 0; rest -= ZEROS.length) {
      await this.put(rest < ZEROS.length ? ZEROS.subarray(0, rest) : ZEROS);
    }
  }
}

/** The path with './' instead of its first slash, as `tar -C DIRECTORY .` writes names. */
function archivePath(path: string): Buffer {
  return Buffer.concat([Buffer.from('./'), nameToBytes(path.slice(1))]);
}

function entryOf(item: TreeItem, type: TarType, target: Buffer): TarEntry {
  const { attributes } = item;
  const path = archivePath(item.path);
  const isDirectory = type === 'directory';
  return {
    path: isDirectory && path[path.length - 1] !== 0x2f ? Buffer.concat([path, Buffer.from('/')]) : path,
    type,
    mode: attributes.mode & 0o7777,
    uid: attributes.uid,
    gid: attributes.gid,
    sizeBytes: type === 'file' ? attributes.size : 0,
    ...timesOf(attributes),
    target,
    deviceMajor: type === 'character' || type === 'block' ? deviceMajor(attributes.rdev) : 0,
    deviceMinor: type === 'character' || type === 'block' ? deviceMinor(attributes.rdev) : 0,
    // The inode's first name already has the extended attributes.
    xattrs: type === 'link' ? [] : item.xattrs.map(([name, value]) => [nameToBytes(name), value] as const),
  };
}

/** major(3) of Linux: bits 8 to 19, and 32 to 63 above them. */
function deviceMajor(rdev: number): number {
  return Math.floor((rdev % 2 ** 20) / 256) + Math.floor(rdev / 2 ** 44) * 2 ** 12;
}

/** minor(3) of Linux: bits 0 to 7, and 20 to 43 above them. */
function deviceMinor(rdev: number): number {
  return (rdev % 256) + (Math.floor(rdev / 2 ** 20) % 2 ** 24) * 256;
}
