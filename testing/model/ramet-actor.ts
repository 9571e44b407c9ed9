/** A store in a temporary directory as an actor: forks, snapshots, operations by each tree's filesystem, crashes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isFsError, nameFromString, nameToString } from '../../src/base/index.ts';
import { StoreEngine, type Tree } from '../../src/store/index.ts';
import { CrashedError, createSystem, FaultySystem } from '../../src/sys/index.ts';
import type { FileSystem } from '../../src/vfs/index.ts';
import { type DumpEntry, dumpOf } from './dump.ts';
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
import { applyToRametPath, flagsOfHandle, type RametFile, readBytes } from './ramet-paths.ts';

interface RametHandle {
  readonly treeName: string;
  readonly fileSystem: FileSystem;
  readonly file: RametFile;
}

interface RametView {
  readonly treeName: string;
  readonly view: ReturnType<FileSystem['map']>;
}

const FILE_MODE = 0o666;
const S_IFMT = 0o170000;

export class RametActor implements Actor {
  readonly name = 'ramet';
  /** Without memory maps the rest of a history is the same. */
  readonly lacks: ReadonlySet<OperationName> = new Set<OperationName>(
    createSystem().canMap ? [] : ['map', 'readView', 'closeView'],
  );
  private readonly directory: string;
  private readonly handles = new Map<number, RametHandle>();
  private readonly views = new Map<number, RametView>();
  private readonly openTrees = new Map<string, Tree>();
  private system: FaultySystem;
  private engine: StoreEngine;

  private constructor(engine: StoreEngine, system: FaultySystem, directory: string) {
    this.engine = engine;
    this.system = system;
    this.directory = directory;
  }

  static async create(): Promise<RametActor> {
    const directory = mkdtempSync(join(tmpdir(), 'ramet-model-store-'));
    const system = new FaultySystem(createSystem());
    const engine = await StoreEngine.open(join(directory, 'store'), { create: true, system });
    const actor = new RametActor(engine, system, directory);
    actor.openTrees.set(FIRST_TREE, engine.createEmpty(FIRST_TREE));
    return actor;
  }

  async apply(operation: Operation): Promise<Outcome> {
    try {
      if ('view' in operation) return this.applyToView(operation);
      if ('handle' in operation) return this.applyToHandle(operation);
      if ('path' in operation) return this.applyToPath(operation);
      return await this.applyToStore(operation);
    } catch (error) {
      if (isFsError(error)) return error.code;
      throw error;
    }
  }

  trees(): string[] {
    return this.engine
      .list()
      .map(({ name }) => name)
      .sort();
  }

  dump(tree: string): Dump {
    const { fileSystem } = this.tree(tree);
    return dumpOf(entriesBelow(fileSystem, '/'));
  }

  problems(): string[] {
    return this.engine
      .fsck()
      .passes.flatMap(({ name, problems }) => problems.map((problem) => `fsck ${name}: ${problem}`));
  }

  async close(): Promise<void> {
    this.forget();
    await this.engine.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** The tree of this name, opened at its first use. */
  private tree(name: string): Tree {
    let tree = this.openTrees.get(name);
    if (tree !== undefined) return tree;
    tree = this.engine.openTree(name);
    this.openTrees.set(name, tree);
    return tree;
  }

  private forget(): void {
    this.handles.clear();
    this.views.clear();
    this.openTrees.clear();
  }

  private async applyToStore(operation: StoreOperation): Promise<Outcome> {
    switch (operation.op) {
      case 'fork':
        this.openTrees.set(operation.tree, this.engine.fork(operation.source, operation.tree));
        return succeeded();
      case 'snapshot':
        this.engine.snapshot(operation.source, operation.tree);
        return succeeded();
      case 'drop':
        this.dropTree(operation.tree);
        return succeeded();
      case 'checkpoint':
        this.tree(operation.tree).checkpoint();
        return succeeded();
      case 'collect':
        this.engine.gc();
        return succeeded();
      case 'reopen':
        this.forget();
        await this.engine.close();
        await this.open();
        return succeeded();
      case 'crash':
        await this.crash();
        await this.open();
        return succeeded();
    }
  }

  private dropTree(name: string): void {
    for (const [number, handle] of [...this.handles]) {
      if (handle.treeName === name) this.handles.delete(number);
    }
    for (const [number, view] of [...this.views]) if (view.treeName === name) this.views.delete(number);
    this.openTrees.get(name)?.close();
    this.openTrees.delete(name);
    this.engine.drop(name);
  }

  private async open(): Promise<void> {
    this.system = new FaultySystem(createSystem());
    this.engine = await StoreEngine.open(join(this.directory, 'store'), { system: this.system });
  }

  /** The process dies: its descriptors and locks are gone at once, and nothing is stored on the way. */
  private async crash(): Promise<void> {
    this.forget();
    this.system.crash();
    await this.engine.close().catch((error: unknown) => {
      if (!(error instanceof CrashedError)) throw error;
    });
    await this.engine.tables.close();
  }

  private applyToPath(operation: PathOperation): Outcome {
    const { fileSystem } = this.tree(operation.tree);
    if (operation.op !== 'clone') return applyToRametPath(fileSystem, operation, fileSystem);
    return applyToRametPath(fileSystem, operation, this.tree(operation.fromTree).fileSystem);
  }

  private applyToView(operation: ViewOperation): Outcome {
    if (operation.op === 'map') {
      const handle = this.handles.get(operation.handle);
      if (handle === undefined) return 'EBADF';
      const view = handle.fileSystem.map(handle.file);
      this.views.set(operation.view, { treeName: handle.treeName, view });
      return succeeded();
    }
    const known = this.views.get(operation.view);
    if (known === undefined) return 'EBADF';
    if (operation.op === 'readView') return succeeded(describeBytes(known.view.bytes));
    known.view.close();
    this.views.delete(operation.view);
    return succeeded();
  }

  private applyToHandle(operation: HandleOperation): Outcome {
    if (operation.op === 'open') {
      const { fileSystem } = this.tree(operation.tree);
      const path = nameFromString(operation.path);
      const file = fileSystem.open(path, flagsOfHandle(operation.flags), FILE_MODE);
      this.handles.set(operation.handle, { treeName: operation.tree, fileSystem, file });
      return succeeded();
    }
    const handle = this.handles.get(operation.handle);
    if (handle === undefined) return 'EBADF';
    const { fileSystem, file } = handle;
    switch (operation.op) {
      case 'close':
        fileSystem.close(file);
        this.handles.delete(operation.handle);
        return succeeded();
      case 'readHandle':
        return succeeded(describeBytes(readBytes(fileSystem, file, operation.length, operation.position)));
      case 'writeHandle': {
        const bytes = contentOf(operation.length, operation.salt);
        fileSystem.write(file, bytes, 0, bytes.length, operation.position);
        return succeeded();
      }
      case 'truncateHandle':
        fileSystem.truncateFile(file, operation.size);
        return succeeded();
      case 'statHandle':
        return succeeded(describeStat(fileSystem.statFile(file)));
      case 'syncHandle':
        fileSystem.sync(file, false);
        return succeeded();
    }
  }
}

function* entriesBelow(fileSystem: FileSystem, path: string): Generator<DumpEntry> {
  const bytes = nameFromString(path);
  const stat = fileSystem.stat(bytes, false);
  const names = fileSystem.listXattrs(bytes, false);
  const xattrs = new Map(names.map((name) => [name, fileSystem.getXattr(bytes, name, false)]));
  const entry = { ...stat, path, identity: stat.ino, xattrs };
  const type = stat.mode & S_IFMT;
  if (type === 0o100000) yield { ...entry, content: contentOfFile(fileSystem, bytes, stat.size) };
  else if (type === 0o120000) yield { ...entry, target: nameToString(fileSystem.readLink(bytes)) };
  else {
    yield entry;
    for (const { name } of fileSystem.readDirectory(bytes)) {
      const below = nameToString(name);
      yield* entriesBelow(fileSystem, path === '/' ? `/${below}` : `${path}/${below}`);
    }
  }
}

function contentOfFile(fileSystem: FileSystem, path: string, size: number): Buffer {
  const file = fileSystem.open(path, flagsOfHandle('r'), 0);
  const content = readBytes(fileSystem, file, size + 1, 0);
  fileSystem.close(file);
  return content;
}
