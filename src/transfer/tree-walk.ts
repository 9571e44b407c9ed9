/** Reads an open tree for exports: names in order, attributes, data, and which names are hard links of earlier ones. */
import { at, FsError, isDirectoryMode, isSymlinkMode, type Name, nameToString } from '../base/index.ts';
import { type DataSource, dataOf, shortened, xattrsOf } from '../files/index.ts';
import { O_RDONLY } from '../sys/index.ts';
import type { Attributes, TreeFiles } from '../vfs/index.ts';

/** Files are read in pieces of this size. */
const PIECE_BYTES = 1024 * 1024;

/**
 * The most visits of one directory. A sound tree needs more than one only where a host directory is renamed during the
 * walk.
 */
const MET_MAX = 3;

export interface TreeItem {
  /** Absolute path in the tree, a byte string; '/' for the root. */
  readonly path: string;
  readonly attributes: Attributes;
  /** The target of a symlink, a byte string; '' for others. */
  readonly target: string;
  readonly xattrs: readonly (readonly [name: string, value: Buffer])[];
  /** The first path of the same inode, where this path is a further hard link. */
  readonly firstPath: string | undefined;
}

export class TreeReader {
  readonly name: string;
  readonly fileSystem: TreeFiles;
  /** The last path that was read, as text, for progress. */
  lastPath = '';
  private readonly piece = Buffer.allocUnsafe(PIECE_BYTES);
  /** First paths of inodes with several names, by inode number. */
  private readonly linked = new Map<number, string>();
  /** Number of visits of each directory, by inode number. */
  private readonly met = new Map<number, number>();

  constructor(name: string, fileSystem: TreeFiles) {
    this.name = name;
    this.fileSystem = fileSystem;
  }

  /** Adds the tree's name and the path to an error that has none. */
  private naming<T>(syscall: string, path: string, call: () => T): T {
    return at({ syscall, path: this.shown(path) }, call);
  }

  /** The path with the tree's name, for messages. */
  shown(path: string): string {
    return `${this.name}:${nameToString(path)}`;
  }

  item(path: string): TreeItem {
    const { fileSystem } = this;
    this.lastPath = nameToString(path);
    const attributes = this.naming('lstat', path, () => fileSystem.stat(path, false));
    const target = isSymlinkMode(attributes.mode)
      ? this.naming('readlink', path, () => fileSystem.readLink(path))
      : '';
    const xattrs = this.naming('llistxattr', path, () => [...xattrsOf(fileSystem, path)]);
    return { path, attributes, target, xattrs, firstPath: this.firstPath(path, attributes) };
  }

  /**
   * Counts a visit of a directory. EIO beyond `MET_MAX`: then the directory has several names, which no sound tree has,
   * and a walk of a deep tree with two names for each directory would never end.
   */
  private noteMet(path: string, directory: number): void {
    const met = (this.met.get(directory) ?? 0) + 1;
    if (met > MET_MAX) {
      const note = `it is directory ${directory}, which has other names; run fsck`;
      throw new FsError('EIO', { syscall: 'scandir', path: this.shown(path), note });
    }
    this.met.set(directory, met);
  }

  private firstPath(path: string, attributes: Attributes): string | undefined {
    if (isDirectoryMode(attributes.mode)) this.noteMet(path, attributes.ino);
    if (attributes.nlink < 2 || isDirectoryMode(attributes.mode)) return undefined;
    const known = this.linked.get(attributes.ino);
    if (known === undefined) this.linked.set(attributes.ino, path);
    return known;
  }

  /** Names of a directory in byte order, so that every export of one tree is the same. */
  names(path: string): Name[] {
    return this.naming('scandir', path, () => this.fileSystem.readDirectoryNames(path).sort());
  }

  /** Names in a directory that a layer of changes removes; a whole tree has none. */
  whiteouts(_path: string): readonly Name[] {
    return [];
  }

  /** Opens a file for the duration of `use`. */
  async reading<T>({ path, attributes }: TreeItem, use: (data: DataSource) => Promise<T>): Promise<T> {
    const { fileSystem } = this;
    const file = this.naming('open', path, () => fileSystem.open(path, O_RDONLY, 0));
    try {
      const naming = <R>(syscall: string, call: () => R): R => this.naming(syscall, path, call);
      return await use(dataOf(fileSystem, file, attributes.size, naming));
    } finally {
      fileSystem.close(file);
    }
  }

  /** Visits the data of a file in pieces, without holes. The next piece overwrites `bytes`. */
  async readData(item: TreeItem, visit: (bytes: Buffer, position: number) => Promise<void>): Promise<void> {
    await this.reading(item, async ({ segments, read }) => {
      for (const { start, end } of segments) {
        for (let position = start; position < end; position += PIECE_BYTES) {
          const length = Math.min(PIECE_BYTES, end - position);
          if (read(this.piece, length, position) < length) throw shortened(this.shown(item.path));
          await visit(this.piece.subarray(0, length), position);
        }
      }
    });
  }
}

export function childPath(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`;
}
