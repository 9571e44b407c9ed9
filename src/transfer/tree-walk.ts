/**
 * What every export does: all of an open tree in order, directories before their content, each inode's first
 * name once.
 */
import { errorAt, isDirectoryMode, isSymlinkMode, type Name, nameToString } from '../base/index.ts';
import { type DataSource, segmentsOf, shortened, xattrsOf } from '../files/index.ts';
import { O_RDONLY } from '../sys/index.ts';
import type { Attributes, TreeFiles } from '../vfs/index.ts';

/** Files are read in pieces of this size. */
const PIECE_BYTES = 1024 * 1024;

export interface TreeItem {
  /** Absolute path in the tree, a byte string; '/' for the root. */
  readonly path: string;
  readonly attributes: Attributes;
  /** Of a symlink, a byte string; '' for others. */
  readonly target: string;
  readonly xattrs: readonly (readonly [name: string, value: Buffer])[];
  /** The path under which the same inode came before; undefined for the first name. */
  readonly firstPath: string | undefined;
}

export class TreeReader {
  readonly name: string;
  readonly fileSystem: TreeFiles;
  /** The path looked at last, as text, for progress. */
  lastPath = '';
  private readonly piece = Buffer.allocUnsafe(PIECE_BYTES);
  /** First paths of inodes with several names. */
  private readonly linked = new Map<number, string>();

  constructor(name: string, fileSystem: TreeFiles) {
    this.name = name;
    this.fileSystem = fileSystem;
  }

  /** Adds the tree's name and the path to an error that has none. */
  naming<T>(syscall: string, path: string, call: () => T): T {
    try {
      return call();
    } catch (error) {
      throw errorAt({ syscall, path: this.shown(path) }, error);
    }
  }

  /** For messages. */
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

  private firstPath(path: string, attributes: Attributes): string | undefined {
    if (attributes.nlink < 2 || isDirectoryMode(attributes.mode)) return undefined;
    const known = this.linked.get(attributes.ino);
    if (known === undefined) this.linked.set(attributes.ino, path);
    return known;
  }

  /** Names of a directory in byte order, so that one tree always comes out the same. */
  names(path: string): Name[] {
    return this.naming('scandir', path, () =>
      this.fileSystem.readDirectoryNames(path).sort((a, b) => (a < b ? -1 : 1)),
    );
  }

  /** Names that a layer takes away from a directory; a whole tree takes nothing away. */
  whiteouts(_path: string): readonly Name[] {
    return [];
  }

  /** Opens a file for as long as the call takes. */
  async reading<T>({ path, attributes }: TreeItem, use: (data: DataSource) => Promise<T>): Promise<T> {
    const { fileSystem } = this;
    const file = this.naming('open', path, () => fileSystem.open(path, O_RDONLY, 0));
    try {
      return await use({
        segments: this.naming('lseek', path, () => segmentsOf(fileSystem, file, attributes.size)),
        read: (target, length, position) =>
          this.naming('read', path, () => fileSystem.read(file, target, 0, length, position)),
      });
    } finally {
      fileSystem.close(file);
    }
  }

  /** Visits the data of a file in pieces; `bytes` is good until the next one. Holes are not visited. */
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
