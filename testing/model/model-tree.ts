/** One tree of the model, which shares nothing: inodes and names in maps; paths are walked by path_resolution(7). */

export type ModelKind = 'file' | 'directory' | 'symlink' | 'whiteout';

export const TYPE_BITS: Readonly<Record<ModelKind, number>> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  whiteout: 0o020000,
};

export interface ModelInode {
  readonly ino: number;
  readonly kind: ModelKind;
  /** Permission bits, 07777. */
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  mtimeSeconds: number;
  content: Buffer;
  readonly entries: Map<string, number>;
  /** The inode of a directory's parent; that of the root is the root. */
  parent: number;
  readonly target: string;
  readonly xattrs: Map<string, Buffer>;
}

/** Thrown by the model with the code that Linux gives. */
export class ModelError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

export interface ModelPlace {
  readonly directory: ModelInode;
  readonly name: string;
  readonly inode: ModelInode | undefined;
}

export interface ModelUser {
  readonly uid: number;
  readonly gid: number;
  readonly umask: number;
}

const LINKS_MAX = 40;
const NAME_BYTES_MAX = 255;

export class ModelTree {
  readonly isReadOnly: boolean;
  readonly user: ModelUser;
  readonly inodes: Map<number, ModelInode>;
  readonly rootIno: number;
  private nextIno: number;

  constructor(user: ModelUser, isReadOnly = false, source?: ModelTree) {
    this.user = user;
    this.isReadOnly = isReadOnly;
    if (source === undefined) {
      this.inodes = new Map();
      this.rootIno = 1;
      this.nextIno = 1;
      const root = this.add('directory', 0o755, user.gid);
      root.nlink = 2;
      root.parent = root.ino;
      return;
    }
    this.rootIno = source.rootIno;
    this.nextIno = source.nextIno;
    this.inodes = new Map();
    for (const [ino, inode] of source.inodes) if (inode.nlink > 0) this.inodes.set(ino, copyOf(inode));
  }

  get root(): ModelInode {
    return this.inodeOf(this.rootIno);
  }

  inodeOf(ino: number): ModelInode {
    const inode = this.inodes.get(ino);
    if (inode === undefined) throw new Error(`the model has no inode ${ino}`);
    return inode;
  }

  /** A new inode with one link and no name yet. */
  add(kind: ModelKind, mode: number, gid: number, target = ''): ModelInode {
    const inode: ModelInode = {
      ino: this.nextIno++,
      kind,
      mode,
      uid: this.user.uid,
      gid,
      nlink: 1,
      mtimeSeconds: Number.POSITIVE_INFINITY,
      content: Buffer.alloc(0),
      entries: new Map(),
      parent: 0,
      target,
      xattrs: new Map(),
    };
    this.inodes.set(inode.ino, inode);
    return inode;
  }

  /** Removes inodes that have neither a name nor an open handle. */
  freeUnnamed(isOpen: (ino: number) => boolean): void {
    for (const inode of [...this.inodes.values()]) {
      if (inode.nlink === 0 && !isOpen(inode.ino)) this.inodes.delete(inode.ino);
    }
  }

  /** Walks a path, of which only the last component may be missing. */
  walk(path: string, follow: boolean): ModelPlace {
    let links = 0;
    let directory = this.root;
    const rest = componentsOf(path);
    let place: ModelPlace = { directory, name: '', inode: directory };
    while (rest.length > 0) {
      const name = rest.shift()!;
      if (directory.kind !== 'directory') throw new ModelError('ENOTDIR');
      const found = this.lookup(directory, name);
      const isLast = rest.length === 0;
      place = { directory, name, inode: found };
      if (found === undefined) {
        if (isLast) return place;
        throw new ModelError('ENOENT');
      }
      if (found.kind === 'symlink' && (!isLast || follow)) {
        if (++links > LINKS_MAX) throw new ModelError('ELOOP');
        if (found.target.startsWith('/')) directory = this.root;
        rest.unshift(...componentsOf(found.target));
        place = { directory, name: '', inode: directory };
        continue;
      }
      directory = found;
    }
    return place;
  }

  /** The directory of a path's last name, without looking at the name: rename(2) finds both directories first. */
  parentOf(path: string): { readonly directory: ModelInode; readonly name: string } {
    const end = path.lastIndexOf('/');
    const directory = this.resolve(path.slice(0, end), true);
    if (directory.kind !== 'directory') throw new ModelError('ENOTDIR');
    return { directory, name: path.slice(end + 1) };
  }

  lookup(directory: ModelInode, name: string): ModelInode | undefined {
    if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw new ModelError('ENAMETOOLONG');
    return this.step(directory, name);
  }

  private step(directory: ModelInode, name: string): ModelInode | undefined {
    if (name === '.') return directory;
    if (name === '..') return this.inodeOf(directory.parent);
    const ino = directory.entries.get(name);
    return ino === undefined ? undefined : this.inodeOf(ino);
  }

  /** The inode that a path names. ENOENT. */
  resolve(path: string, follow: boolean): ModelInode {
    const { inode } = this.walk(path, follow);
    if (inode === undefined) throw new ModelError('ENOENT');
    return inode;
  }

  /** Every name with its inode, parents before children; the root is '/'. */
  *names(): Generator<readonly [path: string, inode: ModelInode]> {
    const queue: (readonly [string, ModelInode])[] = [['/', this.root]];
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      yield next;
      const [path, inode] = next;
      for (const [name, ino] of inode.entries) {
        queue.push([path === '/' ? `/${name}` : `${path}/${name}`, this.inodeOf(ino)]);
      }
    }
  }
}

function componentsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '');
}

function copyOf(inode: ModelInode): ModelInode {
  return {
    ...inode,
    content: Buffer.from(inode.content),
    entries: new Map(inode.entries),
    xattrs: new Map([...inode.xattrs].map(([name, value]) => [name, Buffer.from(value)])),
  };
}
