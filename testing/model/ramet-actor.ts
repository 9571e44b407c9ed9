/** A store as an actor: two processes on it, with forks, snapshots, crashes and power cuts. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { isFsError, nameFromString, nameToString, SeededRandom } from '../../src/base/index.ts';
import { StoreEngine, type Tree } from '../../src/store/index.ts';
import { createSystem, FaultySystem } from '../../src/sys/index.ts';
import { checkStore, collectGarbage, dedupeStore } from '../../src/upkeep/index.ts';
import type { FileSystem } from '../../src/vfs/index.ts';
import { imagesDirectory, makeImage } from '../crash/crash-images.ts';
import { WatchedSystem } from '../crash/watched-system.ts';
import { type DumpEntry, dumpOf } from './dump.ts';
import {
  type Actor,
  CUT_OPERATIONS_MAX,
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
import { applyToRametPath, flagsOfHandle, type RametFile, readBytes } from './ramet-paths.ts';
import { RametProcess } from './ramet-process.ts';

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
/** So little memory that dedupe takes several passes. */
const DEDUPE_MEMORY_BYTES = 1024;
const S_IFMT = 0o170000;
const PROCESSES: readonly ProcessNumber[] = [0, 1];

export class RametActor implements Actor {
  readonly name: string = 'ramet';
  /** Memory maps are left out where the system has none. */
  readonly lacks: ReadonlySet<OperationName> = new Set<OperationName>(
    createSystem().canMap ? [] : ['map', 'readView', 'closeView'],
  );
  /** Directory of the stores: after every power cut there is a new one. */
  protected readonly scratch = imagesDirectory();
  private directory = join(this.scratch, 'store');
  private cuts = 0;
  /** Set after a mark: knows which writes a power cut can undo. */
  protected watched: WatchedSystem | undefined;
  private operationsSinceMark = 0;
  private readonly processes: RametProcess[] = [];
  protected readonly owners = new Map<string, ProcessNumber>([[FIRST_TREE, FIRST_PROCESS]]);
  protected readonly handles = new Map<number, RametHandle>();
  private readonly views = new Map<number, RametView>();
  private fsckCount = 0;

  static async create(): Promise<RametActor> {
    return await new RametActor().start((engine) => engine.createEmpty(FIRST_TREE));
  }

  /** Starts both processes; `make` makes the first tree. */
  protected async start(make: (engine: StoreEngine) => Tree): Promise<this> {
    StoreEngine.initialize(this.directory);
    for (const number of PROCESSES) await this.begin(number);
    this.processes[FIRST_PROCESS]!.keep(FIRST_TREE, make);
    return this;
  }

  async apply(operation: Operation): Promise<Outcome> {
    if (operation.op !== 'mark' && operation.op !== 'powerCut') this.operationsSinceMark++;
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
    return this.process(FIRST_PROCESS)
      .engine.list()
      .map(({ name }) => name)
      .sort();
  }

  dump(tree: string): Dump {
    return dumpOf(entriesBelow(this.tree(tree).fileSystem, '/'));
  }

  found(tree: string): FoundTree {
    const entries = [...entriesBelow(this.tree(tree).fileSystem, '/')];
    const contents = new Map<string, Buffer>();
    for (const { path, content } of entries)
      if (content !== undefined) contents.set(path, Buffer.from(content));
    return { dump: dumpOf(entries), contents };
  }

  /** Runs fsck in the two processes by turns: each leaves out open forks of the other. */
  problems(): string[] {
    const { engine } = this.process(PROCESSES[this.fsckCount++ % 2]!);
    const { passes } = checkStore(engine);
    const problems = passes.flatMap(({ name, problems: found }) =>
      found.map((one) => `fsck ${name}: ${one}`),
    );
    // A removed file that a power cut restored is no problem, because gc removes it again.
    return problems.filter((problem) => this.cuts === 0 || !problem.endsWith('gc removes it'));
  }

  async close(): Promise<void> {
    this.handles.clear();
    this.views.clear();
    for (const process of this.processes) await process.close();
    this.watched?.close();
    rmSync(this.scratch, { recursive: true, force: true });
  }

  protected process(number: ProcessNumber): RametProcess {
    return this.processes[number]!;
  }

  protected ownerOf(tree: string): RametProcess {
    return this.process(this.owners.get(tree) ?? FIRST_PROCESS);
  }

  /** The tree of this name, opened at its first use in the process that owns it. */
  private tree(name: string): Tree {
    return this.ownerOf(name).keep(name, (engine) => engine.openTree(name));
  }

  /** Starts a process, or a new one in its place. */
  private async begin(number: ProcessNumber): Promise<void> {
    const system = new FaultySystem(this.watched?.system ?? createSystem(), undefined, {
      bootId: `boot ${this.cuts}`,
    });
    this.processes[number] = await RametProcess.open(this.directory, system);
  }

  private forget(isForgotten: (treeName: string) => boolean): void {
    for (const [number, { treeName }] of [...this.handles])
      if (isForgotten(treeName)) this.handles.delete(number);
    for (const [number, { treeName }] of [...this.views])
      if (isForgotten(treeName)) this.views.delete(number);
  }

  private forgetProcess(number: ProcessNumber): void {
    this.forget((tree) => this.owners.get(tree) === number);
  }

  private async applyToStore(operation: StoreOperation): Promise<Outcome> {
    switch (operation.op) {
      case 'fork':
      case 'snapshot':
        this.copyTree(operation.source, operation.tree, operation.op);
        return succeeded();
      case 'drop':
        this.dropTree(operation.tree);
        return succeeded();
      case 'checkpoint':
        this.tree(operation.tree).checkpoint();
        return succeeded();
      case 'handOver':
        this.tree(operation.tree);
        this.forget((tree) => tree === operation.tree);
        this.ownerOf(operation.tree).closeTree(operation.tree);
        this.owners.set(operation.tree, this.owners.get(operation.tree) === 0 ? 1 : 0);
        return succeeded();
      default:
        return await this.applyToProcesses(operation);
    }
  }

  private copyTree(source: string, made: string, kind: 'fork' | 'snapshot'): void {
    const owner = this.ownerOf(source);
    if (kind === 'fork') owner.keep(made, (engine) => engine.fork(source, made));
    else owner.engine.snapshot(source, made);
    this.owners.set(made, this.owners.get(source) ?? FIRST_PROCESS);
  }

  private dropTree(name: string): void {
    this.forget((tree) => tree === name);
    for (const process of this.processes) process.closeTree(name);
    this.ownerOf(name).engine.drop(name);
    this.owners.delete(name);
  }

  private async applyToProcesses(operation: StoreOperation): Promise<Outcome> {
    switch (operation.op) {
      case 'collect':
        collectGarbage(this.process(operation.process).engine);
        return succeeded();
      case 'dedupe':
        await dedupeStore(this.process(operation.process).engine, { memoryBytes: DEDUPE_MEMORY_BYTES });
        return succeeded();
      case 'reopen':
        this.forgetProcess(operation.process);
        await this.process(operation.process).close();
        await this.begin(operation.process);
        return succeeded();
      case 'crash':
        this.forgetProcess(operation.process);
        await this.process(operation.process).die();
        await this.begin(operation.process);
        return succeeded();
      case 'mark':
        await this.mark();
        return succeeded();
      case 'powerCut':
        await this.cutPower(operation.salt);
        return succeeded();
      default:
        throw new Error(`the store does not know '${operation.op}'`);
    }
  }

  private async mark(): Promise<void> {
    this.forget(() => true);
    for (const process of this.processes) await process.close();
    this.watched?.close();
    this.watched = new WatchedSystem(createSystem(), () => undefined, this.scratch);
    this.operationsSinceMark = 0;
    for (const number of PROCESSES) await this.begin(number);
  }

  private async cutPower(salt: number): Promise<void> {
    const { watched, directory } = this;
    this.forget(() => true);
    const isWatched = watched !== undefined && this.operationsSinceMark <= CUT_OPERATIONS_MAX;
    if (isWatched) {
      this.directory = join(this.scratch, `store-${++this.cuts}`);
      const random = new SeededRandom(salt);
      makeImage({
        watched,
        random,
        kind: 'power cut',
        write: undefined,
        from: directory,
        to: this.directory,
      });
    }
    for (const process of this.processes) await process.die();
    if (isWatched) rmSync(directory, { recursive: true });
    watched?.close();
    this.watched = undefined;
    for (const number of PROCESSES) await this.begin(number);
  }

  private applyToPath(operation: PathOperation): Outcome {
    const { fileSystem } = this.tree(operation.tree);
    if (operation.op !== 'clone' || operation.fromTree === operation.tree)
      return applyToRametPath(fileSystem, operation, fileSystem);
    // A clone from another tree has a snapshot as source: only snapshots can be open in both processes.
    const { fromTree } = operation;
    const source = this.ownerOf(operation.tree).keep(fromTree, (engine) => engine.openTree(fromTree));
    return applyToRametPath(fileSystem, operation, source.fileSystem);
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
  else yield entry;
  if (type === 0o040000) {
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
