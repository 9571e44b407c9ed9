/** The model: trees in memory that share nothing. A fork is a deep copy, a crash forgets handles and nothing else. */
import { type DumpEntry, dumpOf } from './dump.ts';
import * as files from './model-files.ts';
import { ModelError, type ModelInode, ModelTree, type ModelUser, TYPE_BITS } from './model-tree.ts';
import {
  type Actor,
  contentOf,
  type Dump,
  describeBytes,
  describeStat,
  FIRST_TREE,
  type HandleOperation,
  type Operation,
  type OperationName,
  type Outcome,
  type PathOperation,
  type StoreOperation,
  succeeded,
  type ViewOperation,
} from './operation.ts';

interface ModelHandle {
  readonly treeName: string;
  readonly tree: ModelTree;
  readonly inode: ModelInode;
  readonly canWrite: boolean;
  readonly appends: boolean;
  position: number;
}

/** A map lives on without its handle and without a name. */
interface ModelView {
  readonly treeName: string;
  readonly inode: ModelInode;
  readonly length: number;
}

const FILE_MODE = 0o666;

/** Who the actors act as: this process. */
export function processUser(): ModelUser {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, umask: process.umask() };
}

export class ModelFs implements Actor {
  readonly name = 'model';
  readonly lacks: ReadonlySet<OperationName> = new Set();
  private readonly user: ModelUser;
  private readonly treeByName = new Map<string, ModelTree>();
  private readonly handles = new Map<number, ModelHandle>();
  private readonly views = new Map<number, ModelView>();

  constructor(user: ModelUser = processUser()) {
    this.user = user;
    this.treeByName.set(FIRST_TREE, new ModelTree(user));
  }

  apply(operation: Operation): Outcome {
    try {
      if ('view' in operation) return this.applyToView(operation);
      if ('handle' in operation) return this.applyToHandle(operation);
      if ('path' in operation) return this.applyToPath(operation);
      return this.applyToStore(operation);
    } catch (error) {
      if (error instanceof ModelError) return error.code;
      throw error;
    }
  }

  trees(): string[] {
    return [...this.treeByName.keys()].sort();
  }

  /** The tree itself, for the generator of histories, which looks for what is there. */
  tree(name: string): ModelTree {
    const tree = this.treeByName.get(name);
    if (tree === undefined) throw new ModelError('ENOENT');
    return tree;
  }

  /** Numbers of the open handles with what they are on. */
  *openHandles(): Generator<readonly [handle: number, kind: ModelInode['kind'], canWrite: boolean]> {
    for (const [handle, { inode, canWrite }] of this.handles) yield [handle, inode.kind, canWrite];
  }

  openViews(): number[] {
    return [...this.views.keys()];
  }

  dump(name: string): Dump {
    const entries: DumpEntry[] = [];
    for (const [path, inode] of this.tree(name).names()) {
      const { ino, mode, nlink, uid, gid, mtimeSeconds, xattrs } = inode;
      const common = { path, identity: ino, mode: mode | TYPE_BITS[inode.kind], nlink, uid, gid };
      const entry = { ...common, size: sizeOf(inode), mtimeSeconds, xattrs };
      if (inode.kind === 'file') entries.push({ ...entry, content: inode.content });
      else if (inode.kind === 'symlink') entries.push({ ...entry, target: inode.target });
      else entries.push(entry);
    }
    return dumpOf(entries);
  }

  close(): void {
    this.treeByName.clear();
    this.handles.clear();
  }

  private applyToStore(operation: StoreOperation): Outcome {
    switch (operation.op) {
      case 'fork':
      case 'snapshot': {
        const source = this.tree(operation.source);
        if (this.treeByName.has(operation.tree)) throw new ModelError('EEXIST');
        const isReadOnly = operation.op === 'snapshot';
        this.treeByName.set(operation.tree, new ModelTree(this.user, isReadOnly, source));
        return succeeded();
      }
      case 'drop':
        this.tree(operation.tree);
        this.forgetHandles((one) => one.treeName === operation.tree);
        this.treeByName.delete(operation.tree);
        return succeeded();
      case 'checkpoint':
        this.tree(operation.tree);
        return succeeded();
      case 'collect':
        return succeeded();
      case 'reopen':
      case 'crash':
        this.forgetHandles(() => true);
        return succeeded();
    }
  }

  private forgetHandles(isForgotten: (one: ModelHandle | ModelView) => boolean): void {
    for (const [number, handle] of [...this.handles]) if (isForgotten(handle)) this.handles.delete(number);
    for (const [number, view] of [...this.views]) if (isForgotten(view)) this.views.delete(number);
    for (const tree of this.treeByName.values()) this.freeUnnamed(tree);
  }

  private freeUnnamed(tree: ModelTree): void {
    const open = new Set(
      [...this.handles.values()].filter((one) => one.tree === tree).map(({ inode }) => inode.ino),
    );
    tree.freeUnnamed((ino) => open.has(ino));
  }

  private applyToPath(operation: PathOperation): Outcome {
    const tree = this.tree(operation.tree);
    try {
      return this.changeNames(tree, operation) ?? this.useFile(tree, operation);
    } finally {
      this.freeUnnamed(tree);
    }
  }

  private changeNames(tree: ModelTree, operation: PathOperation): Outcome | undefined {
    const { path } = operation;
    switch (operation.op) {
      case 'create':
        if (operation.exclusive) files.create(tree, files.freePlace(tree, path), 'file', operation.mode);
        else files.openForWriting(tree, path, operation.mode, false);
        return succeeded();
      case 'mkdir':
        files.create(tree, files.freePlace(tree, path), 'directory', operation.mode & 0o1777);
        return succeeded();
      case 'symlink':
        files.create(tree, files.freePlace(tree, path), 'symlink', 0o777, operation.target);
        return succeeded();
      case 'rmdir':
        files.removeDirectory(tree, path);
        return succeeded();
      case 'unlink':
        files.unlink(tree, path);
        return succeeded();
      case 'rename':
      case 'exchange':
        files.rename(tree, path, operation.to, operation.op === 'exchange');
        return succeeded();
      case 'link':
        files.link(tree, path, operation.to);
        return succeeded();
      default:
        return undefined;
    }
  }

  private useFile(tree: ModelTree, operation: PathOperation): Outcome {
    const { path } = operation;
    switch (operation.op) {
      case 'write': {
        const inode = files.openForWriting(tree, path, FILE_MODE, false);
        files.write(inode, contentOf(operation.length, operation.salt), operation.position);
        return succeeded();
      }
      case 'append': {
        const inode = files.openForWriting(tree, path, FILE_MODE, false);
        files.write(inode, contentOf(operation.length, operation.salt), inode.content.length);
        return succeeded();
      }
      case 'replace': {
        const inode = files.openForWriting(tree, path, FILE_MODE, true);
        files.write(inode, contentOf(operation.length, operation.salt), 0);
        return succeeded();
      }
      case 'read': {
        const { content } = files.requireFile(files.openExisting(tree, path, false));
        const { position, length } = operation;
        return succeeded(describeBytes(content.subarray(position, position + length)));
      }
      case 'truncate':
        files.setSize(files.openExisting(tree, path, true), operation.size);
        return succeeded();
      case 'punch':
        files.punch(files.openExisting(tree, path, true), operation.position, operation.length);
        return succeeded();
      case 'clone': {
        const source = files.requireFile(
          files.openExisting(this.tree(operation.fromTree), operation.from, false),
        );
        files.clone(source, files.openForWriting(tree, path, FILE_MODE, false));
        return succeeded();
      }
      case 'cloneRange': {
        const source = files.requireFile(files.openExisting(tree, operation.from, false));
        const target = files.openExisting(tree, path, true);
        files.cloneRange(source, operation.fromPosition, operation.length, target, operation.position);
        return succeeded();
      }
      default:
        return useAttributes(tree, operation);
    }
  }

  private applyToHandle(operation: HandleOperation): Outcome {
    if (operation.op === 'open') return this.openHandle(operation);
    const handle = this.handles.get(operation.handle);
    if (handle === undefined) throw new ModelError('EBADF');
    switch (operation.op) {
      case 'close':
        this.handles.delete(operation.handle);
        this.freeUnnamed(handle.tree);
        return succeeded();
      case 'readHandle': {
        const { content } = files.requireFile(handle.inode);
        const from = operation.position ?? handle.position;
        const bytes = content.subarray(from, from + operation.length);
        if (operation.position === null) handle.position += bytes.length;
        return succeeded(describeBytes(bytes));
      }
      case 'writeHandle': {
        if (!handle.canWrite) throw new ModelError('EBADF');
        const { inode, appends } = handle;
        const from = appends ? inode.content.length : (operation.position ?? handle.position);
        files.write(inode, contentOf(operation.length, operation.salt), from);
        if (operation.position === null) handle.position = from + operation.length;
        return succeeded();
      }
      case 'truncateHandle':
        if (!handle.canWrite) throw new ModelError('EINVAL');
        files.setSize(handle.inode, operation.size);
        return succeeded();
      case 'statHandle':
        return succeeded(statOf(handle.inode));
      case 'syncHandle':
        return succeeded();
    }
  }

  private applyToView(operation: ViewOperation): Outcome {
    if (operation.op === 'map') {
      const handle = this.handles.get(operation.handle);
      if (handle === undefined) throw new ModelError('EBADF');
      const { treeName, inode } = handle;
      this.views.set(operation.view, { treeName, inode, length: files.requireFile(inode).content.length });
      return succeeded();
    }
    const view = this.views.get(operation.view);
    if (view === undefined) throw new ModelError('EBADF');
    if (operation.op === 'closeView') {
      this.views.delete(operation.view);
      return succeeded();
    }
    // Behind the end of the file a view shows zeros.
    const shown = Buffer.alloc(view.length);
    view.inode.content.copy(shown, 0, 0, view.length);
    return succeeded(describeBytes(shown));
  }

  private openHandle(operation: HandleOperation & { op: 'open' }): Outcome {
    const { path, flags } = operation;
    const tree = this.tree(operation.tree);
    const canWrite = flags !== 'r';
    let inode: ModelInode;
    if (flags === 'wx+') inode = files.create(tree, files.freePlace(tree, path), 'file', FILE_MODE);
    else if (flags === 'w+') inode = files.openForWriting(tree, path, FILE_MODE, true);
    else if (flags === 'a+') inode = files.openForWriting(tree, path, FILE_MODE, false);
    else inode = files.openExisting(tree, path, canWrite);
    const appends = flags === 'a+';
    const handle = { treeName: operation.tree, tree, inode, canWrite, appends, position: 0 };
    this.handles.set(operation.handle, handle);
    return succeeded();
  }
}

function sizeOf(inode: ModelInode): number {
  return inode.kind === 'symlink' ? Buffer.byteLength(inode.target) : inode.content.length;
}

function statOf(inode: ModelInode): string {
  return describeStat({ ...inode, mode: inode.mode | TYPE_BITS[inode.kind], size: sizeOf(inode) });
}

function useAttributes(tree: ModelTree, operation: PathOperation): Outcome {
  const { path } = operation;
  switch (operation.op) {
    case 'readlink': {
      const inode = tree.resolve(path, false);
      if (inode.kind !== 'symlink') throw new ModelError('EINVAL');
      return succeeded(inode.target);
    }
    case 'readdir': {
      const inode = tree.resolve(path, true);
      if (inode.kind !== 'directory') throw new ModelError('ENOTDIR');
      return succeeded([...inode.entries.keys()].sort().join('|'));
    }
    case 'stat':
      return succeeded(statOf(tree.resolve(path, operation.follow)));
    case 'getxattr': {
      const value = tree.resolve(path, true).xattrs.get(operation.name);
      if (value === undefined) throw new ModelError('ENODATA');
      return succeeded(describeBytes(value));
    }
    default:
      return changeAttributes(tree, operation);
  }
}

function changeAttributes(tree: ModelTree, operation: PathOperation): Outcome {
  const inode = tree.resolve(operation.path, operation.op !== 'chown');
  files.requireWritableTree(tree);
  switch (operation.op) {
    case 'chmod':
      inode.mode = operation.mode;
      return succeeded();
    case 'chown':
      files.changeOwner(inode, operation.uid, operation.gid);
      return succeeded();
    case 'utimes':
      inode.mtimeSeconds = operation.mtimeSeconds;
      return succeeded();
    case 'setxattr':
      files.setXattr(inode, operation.name, contentOf(operation.length, operation.salt), operation.flags);
      return succeeded();
    case 'removexattr':
      if (!inode.xattrs.delete(operation.name)) throw new ModelError('ENODATA');
      return succeeded();
    default:
      throw new Error(`the model does not know '${operation.op}'`);
  }
}
