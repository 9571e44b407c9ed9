/** Trees in memory for tests of unions: models that are merged naively, and lower layers that hold a model. */
import type { BlobId, BlockIndex, Ino, LayerId, Name, Run } from '../../src/base/index.ts';
import type { Lower } from '../../src/lower/index.ts';
import {
  type DentryRecord,
  type InodeRecord,
  type NamedDentry,
  newInodeRecord,
} from '../../src/meta/index.ts';

export type ModelNode =
  | { readonly is: 'file'; readonly content: string; readonly xattrs?: Readonly<Record<string, string>> }
  | { readonly is: 'whiteout' }
  | ModelDirectory;

export interface ModelDirectory {
  readonly is: 'directory';
  readonly isOpaque?: boolean;
  readonly xattrs?: Readonly<Record<string, string>>;
  readonly names: Readonly<Record<string, ModelNode>>;
}

/** Short forms for models that tests spell out. */
export const file = (content: string): ModelNode => ({ is: 'file', content });
export const directory = (names: Record<string, ModelNode>, isOpaque = false): ModelDirectory => ({
  is: 'directory',
  isOpaque,
  names,
});
export const whiteout: ModelNode = { is: 'whiteout' };

/** `path → content` of files and `path/ → ''` of directories, of directories merged by the rules taken literally. */
export function naiveMerge(stack: readonly ModelDirectory[], path = ''): Map<string, string> {
  const shown = new Map<string, string>();
  const opaque = stack.findIndex(({ isOpaque }) => isOpaque === true);
  const visible = opaque < 0 ? stack : stack.slice(0, opaque + 1);
  const names = new Set(visible.flatMap((directory) => Object.keys(directory.names)));
  for (const name of [...names].sort()) {
    const nodes = visible.flatMap((directory) => directory.names[name] ?? []);
    const [first] = nodes;
    if (first === undefined || first.is === 'whiteout') continue;
    if (first.is === 'file') {
      shown.set(`${path}/${name}`, first.content);
      continue;
    }
    const end = nodes.findIndex(({ is }) => is !== 'directory');
    const directories = (end < 0 ? nodes : nodes.slice(0, end)) as ModelDirectory[]; // See `end`.
    shown.set(`${path}/${name}/`, '');
    for (const [inside, content] of naiveMerge(directories, `${path}/${name}`)) shown.set(inside, content);
  }
  return shown;
}

const TIME = { seconds: 1, nanoseconds: 0 };

/** A base layer that holds a model. Each content has a blob number, which the one run of a file names. */
export class MemoryLower implements Lower {
  readonly id: LayerId;
  readonly isBase = true;
  readonly isLive = false;
  readonly root: Ino;
  readonly contents: string[];
  private readonly records = new Map<Ino, InodeRecord>();
  private readonly children = new Map<Ino, Map<Name, DentryRecord>>();
  private readonly attributes = new Map<Ino, Map<string, Buffer>>();
  private readonly blobs = new Map<Ino, BlobId>();
  private next: number;

  /** Inode numbers begin with `first`; all layers of a test share `contents`. */
  constructor(id: number, tree: ModelDirectory, contents: string[], first: number) {
    this.id = id as LayerId;
    this.next = first;
    this.contents = contents;
    this.root = this.add(tree, 0 as Ino);
  }

  private add(node: ModelNode, parent: Ino): Ino {
    const ino = this.next++ as Ino;
    const mode = { file: 0o100644, whiteout: 0o020000, directory: 0o040755 }[node.is];
    const record = newInodeRecord({ mode, uid: 0, gid: 0, nlink: 1 }, TIME);
    const xattrs = new Map<string, Buffer>();
    if (node.is !== 'whiteout') {
      for (const [name, value] of Object.entries(node.xattrs ?? {})) xattrs.set(name, Buffer.from(value));
    }
    if (node.is === 'directory' && node.isOpaque === true)
      xattrs.set('trusted.overlay.opaque', Buffer.from('y'));
    this.attributes.set(ino, xattrs);
    const isFile = node.is === 'file';
    if (isFile) this.blobs.set(ino, this.contents.push(node.content) as BlobId);
    const holders = { extentLayer: isFile ? this.id : 0, xattrLayer: xattrs.size > 0 ? this.id : 0 } as const;
    let nlink = 1;
    if (node.is === 'directory') {
      nlink = 2;
      const names = new Map<Name, DentryRecord>();
      this.children.set(ino, names);
      for (const [name, child] of Object.entries(node.names).sort(([a], [b]) => (a < b ? -1 : 1))) {
        if (child.is === 'directory') nlink++;
        const number = this.add(child, ino);
        names.set(name as Name, { ino: number, kind: this.records.get(number)!.mode >>> 12 });
      }
    }
    const size = isFile ? node.content.length : 0;
    this.records.set(ino, { ...record, ...holders, nlink, size, parent: parent === 0 ? ino : parent });
    return ino;
  }

  mayHave(ino: Ino): boolean {
    return this.records.has(ino);
  }

  inode(ino: Ino): InodeRecord | undefined {
    return this.records.get(ino);
  }

  dentry(directory: Ino, name: Name): DentryRecord | undefined {
    return this.children.get(directory)?.get(name);
  }

  list(directory: Ino): NamedDentry[] {
    return [...(this.children.get(directory) ?? [])].map(([name, dentry]) => ({ name, dentry }));
  }

  names(directory: Ino): Name[] {
    return [...(this.children.get(directory)?.keys() ?? [])];
  }

  runs(ino: Ino): readonly Run[] {
    const blob = this.blobs.get(ino);
    const zero = 0 as BlockIndex;
    return blob === undefined ? [] : [{ logical: zero, count: 1, blob, physical: zero }];
  }

  xattrs(ino: Ino): Map<string, Buffer> | undefined {
    return this.attributes.get(ino);
  }
}
