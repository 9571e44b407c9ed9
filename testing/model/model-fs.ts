/** The model: trees in memory that share nothing. A fork is a deep copy; a crash only forgets handles. */

import { dumpOfTree, sizeOf } from './model-dump.ts';
import * as files from './model-files.ts';
import { PowerCutStates } from './model-power-cut.ts';
import { ModelError, type ModelInode, ModelTree, type ModelUser, TYPE_BITS } from './model-tree.ts';
import {
  type Actor,
  contentOf,
  type Dump,
  describeBytes,
  describeStat,
  FIRST_PROCESS,
  FIRST_TREE,
  type FoundTree,
  type HandleOperation,
  type Operation,
  type OperationName,
  type Outcome,
  type PathOperation,
  type ProcessNumber,
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

/** A map stays valid after its handle is closed and its file is unlinked. */
interface ModelView {
  readonly treeName: string;
  readonly inode: ModelInode;
  readonly length: number;
}

const FILE_MODE = 0o666;

/** The user of this process, as whom all actors act. */
export function processUser(): ModelUser {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, umask: process.umask() };
}

export class ModelFs implements Actor {
  readonly name = 'model';
  readonly lacks: ReadonlySet<OperationName> = new Set();
  private readonly user: ModelUser;
  private readonly treeByName = new Map<string, ModelTree>();
  private readonly owners = new Map<string, ProcessNumber>();
  /** Set while a power cut may come: the states that each tree may be found in. */
  private states: PowerCutStates | undefined;
  /** Set between a power cut and the check of the trees. */
  private cut: PowerCutStates | undefined;
  private readonly handles = new Map<number, ModelHandle>();
  private readonly views = new Map<number, ModelView>();

  constructor(user: ModelUser = processUser()) {
    this.user = user;
    this.treeByName.set(FIRST_TREE, new ModelTree(user));
    this.owners.set(FIRST_TREE, FIRST_PROCESS);
  }

  apply(operation: Operation): Outcome {
    const { states } = this;
    const tree = this.treeOf(operation);
    const outcome = this.outcomeOf(operation);
    // Operations that make, drop or store trees have noted this themselves.
    if (states !== undefined && states === this.states) {
      if (tree !== undefined) states.changed(tree, this.treeByName.get(tree));
      if (!states.countOperation()) this.states = undefined;
    }
    return outcome;
  }

  /** The tree that an operation is on; must be asked before the operation closes its handle. */
  private treeOf(operation: Operation): string | undefined {
    if ('path' in operation) return operation.tree;
    return 'handle' in operation ? this.handles.get(operation.handle)?.treeName : undefined;
  }

  private outcomeOf(operation: Operation): Outcome {
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

  /** The tree of this name, in which the generator of histories looks for existing files. ENOENT. */
  tree(name: string): ModelTree {
    const tree = this.treeByName.get(name);
    if (tree === undefined) throw new ModelError('ENOENT');
    return tree;
  }

  /** The open handles: number, kind of file, and whether they can write. */
  *openHandles(): Generator<readonly [handle: number, kind: ModelInode['kind'], canWrite: boolean]> {
    for (const [handle, { inode, canWrite }] of this.handles) yield [handle, inode.kind, canWrite];
  }

  openViews(): number[] {
    return [...this.views.keys()];
  }

  dump(name: string): Dump {
    return dumpOfTree(this.tree(name));
  }

  /** The process that a tree belongs to. */
  ownerOf(name: string): ProcessNumber | undefined {
    return this.owners.get(name);
  }

  adopt(found: (tree: string) => FoundTree): string | undefined {
    const { cut } = this;
    this.cut = undefined;
    if (cut === undefined) return undefined;
    for (const name of this.trees()) {
      const fitting = cut.fitting(name, found(name));
      if (typeof fitting === 'string') return fitting;
      this.treeByName.set(name, fitting);
    }
    return undefined;
  }

  close(): void {
    this.treeByName.clear();
    this.handles.clear();
  }

  private applyToStore(operation: StoreOperation): Outcome {
    switch (operation.op) {
      case 'fork':
      case 'snapshot':
        this.copyTree(operation.source, operation.tree, operation.op === 'snapshot');
        return succeeded();
      case 'drop':
        this.tree(operation.tree);
        this.forgetHandles((one) => one.treeName === operation.tree);
        this.treeByName.delete(operation.tree);
        this.owners.delete(operation.tree);
        this.states?.drop(operation.tree);
        return succeeded();
      case 'checkpoint':
        this.store(operation.tree);
        return succeeded();
      case 'handOver':
        this.store(operation.tree);
        this.forgetHandles((one) => one.treeName === operation.tree);
        this.owners.set(operation.tree, this.owners.get(operation.tree) === 0 ? 1 : 0);
        return succeeded();
      default:
        return this.applyToProcesses(operation);
    }
  }

  /** Notes that a tree is durable now. ENOENT. */
  private store(name: string): void {
    const tree = this.tree(name);
    this.states?.stored(name, tree);
  }

  private copyTree(from: string, to: string, isReadOnly: boolean): void {
    const source = this.tree(from);
    if (this.treeByName.has(to)) throw new ModelError('EEXIST');
    const copy = new ModelTree(this.user, isReadOnly, source);
    this.treeByName.set(to, copy);
    this.owners.set(to, this.owners.get(from) ?? FIRST_PROCESS);
    this.states?.stored(from, source);
    this.states?.stored(to, copy);
  }

  private applyToProcesses(operation: StoreOperation): Outcome {
    switch (operation.op) {
      case 'collect':
      case 'dedupe':
        this.storeTreesOf(operation.process);
        return succeeded();
      case 'reopen':
      case 'crash':
        if (operation.op === 'reopen') this.storeTreesOf(operation.process);
        this.forgetHandles((one) => this.owners.get(one.treeName) === operation.process);
        return succeeded();
      case 'mark':
        this.forgetHandles(() => true);
        this.states = new PowerCutStates();
        for (const [name, tree] of this.treeByName) this.states.stored(name, tree);
        return succeeded();
      case 'powerCut':
        this.forgetHandles(() => true);
        this.cut = this.states;
        this.states = undefined;
        return succeeded();
      default:
        throw new Error(`the model does not know '${operation.op}'`);
    }
  }

  private storeTreesOf(owner: ProcessNumber): void {
    for (const [name, tree] of this.treeByName)
      if (this.owners.get(name) === owner) this.states?.stored(name, tree);
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
      case 'whiteout':
        files.rename(tree, path, operation.to, operation.op);
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
        files.truncate(tree, path, operation.size);
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
        // A tree has one journal, so fsync of a file makes the whole tree durable.
        this.states?.stored(handle.treeName, handle.tree);
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
    // Beyond the end of the file a view shows zeros.
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
      files.removeXattr(inode, operation.name);
      return succeeded();
    default:
      throw new Error(`the model does not know '${operation.op}'`);
  }
}
