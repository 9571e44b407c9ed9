/**
 * One run of a command: its global options, the store it works on, and the trees it opened, closed at the
 * end.
 */
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { FsError, isFsError } from '../base/index.ts';
import { MountedTrees, type MountRecord } from '../owner/index.ts';
import { forkOver, StoreEngine, type StoreOptions, type TreeInfo } from '../store/index.ts';
import type { TreeFiles } from '../vfs/index.ts';
import { CommandError } from './problem.ts';

/** How long a command waits for a fork that another process has open. */
const BUSY_WAIT_MS = 1000;
const BUSY_STEP_MS = 50;

export interface GlobalOptions {
  readonly store?: string;
  readonly json?: boolean;
}

/** `--store DIR`, else $RAMET_STORE, else ./.ramet; absolute. */
export function storeDirectory(options: GlobalOptions): string {
  const fromEnvironment = process.env.RAMET_STORE;
  const fallback = fromEnvironment === undefined || fromEnvironment === '' ? '.ramet' : fromEnvironment;
  return path.resolve(options.store ?? fallback);
}

/** An open tree as commands use it: of this process, or mounted by the store's owner. */
export interface OpenTree {
  readonly fileSystem: TreeFiles;
  readonly isReadOnly: boolean;
  close(): void;
}

export class Session {
  readonly directory: string;
  readonly isJson: boolean;
  readonly engine: StoreEngine;
  readonly mounted: MountedTrees;
  private readonly trees = new Map<string, OpenTree>();

  constructor(directory: string, isJson: boolean, engine: StoreEngine) {
    this.directory = directory;
    this.isJson = isJson;
    this.engine = engine;
    this.mounted = new MountedTrees(directory, engine.system);
  }

  /** A tree to read from; opened once a run. */
  async readTree(name: string): Promise<OpenTree> {
    const known = this.trees.get(name);
    if (known !== undefined) return known;
    const tree = await namingTreeAsync(name, () => this.openPatiently(name));
    this.trees.set(name, tree);
    return tree;
  }

  /**
   * Here is decided how a tree is reached: a fork that the owner has mounted through its mount point, everything else
   * by opening it. Another command may own the fork for a moment; only who keeps it longer is in the way.
   */
  private async openPatiently(name: string): Promise<OpenTree> {
    for (let waitedMs = 0; ; waitedMs += BUSY_STEP_MS) {
      const mount = await this.mountOf(name);
      if (mount !== undefined) return this.openMounted(mount);
      try {
        return this.engine.openTree(name);
      } catch (error) {
        if (!isFsError(error, 'EBUSY') || waitedMs >= BUSY_WAIT_MS) throw error;
        await pause(BUSY_STEP_MS);
      }
    }
  }

  /**
   * Where the owner has mounted a fork. Snapshots can be opened by any number of processes, and are not asked about.
   */
  async mountOf(name: string): Promise<MountRecord | undefined> {
    if (this.engine.info(name).kind === 'snapshot') return undefined;
    return await this.mounted.find(name);
  }

  private openMounted(mount: MountRecord): OpenTree {
    if (mount.isDetached) {
      throw new CommandError(
        'EBUSY',
        `'${mount.fork}' was unmounted from ${mount.directory}, and programs still use it`,
        'end them first',
      );
    }
    const files = this.mounted.open(mount, false);
    return { fileSystem: files, isReadOnly: false, close: () => files.end() };
  }

  /** Opens what a tree was, or a directory that one stands on, so that `readTree` gives it by its name. */
  openState(state: TreeInfo): void {
    this.trees.set(state.name, this.engine.openState(state));
  }

  /** A fork to write to; opened once a run. */
  async writeTree(name: string): Promise<OpenTree> {
    const tree = await this.readTree(name);
    if (tree.isReadOnly) throw namedTreeError(name, new FsError('EROFS'));
    return tree;
  }

  /** Makes a fork of a tree and leaves it closed. */
  async fork(source: string, name: string): Promise<TreeInfo> {
    const mount = await this.mountOf(source);
    if (mount !== undefined) return await this.mounted.fork(mount, name);
    this.engine.fork(source, name).close();
    return this.engine.info(name);
  }

  /** Makes a fork over a directory of the host, or over several trees and directories, and leaves it closed. */
  forkOver(lowers: readonly string[], name: string, isPinned: boolean): TreeInfo {
    forkOver(this.engine, lowers, name, isPinned).close();
    return this.engine.info(name);
  }

  async snapshot(source: string, name: string): Promise<TreeInfo> {
    const mount = await this.mountOf(source);
    if (mount !== undefined) return await this.mounted.snapshot(mount, name);
    return this.engine.snapshot(source, name);
  }

  closeTree(name: string): void {
    this.trees.get(name)?.close();
    this.trees.delete(name);
  }

  async close(): Promise<void> {
    try {
      for (const name of [...this.trees.keys()]) this.closeTree(name);
      await this.mounted.close();
    } finally {
      await this.engine.close();
    }
  }
}

/** Says in words that a tree is missing, taken or busy, where the engine gives a bare code. */
export function namingTree<T>(name: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw namedTreeError(name, error);
  }
}

async function namingTreeAsync<T>(name: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    throw namedTreeError(name, error);
  }
}

export function namedTreeError(name: string, error: unknown): unknown {
  if (!(error instanceof FsError)) return error;
  // The lock of a fork is its journal's: a path that tells people nothing.
  const isLock = error.code === 'EBUSY' && error.syscall === 'flock';
  if (error.path !== undefined && error.path !== name && !isLock) return error;
  const mountProblem = mountProblemOf(name, error);
  if (mountProblem !== undefined) return mountProblem;
  const note = error.note === undefined ? '' : ` (${error.note})`;
  switch (error.code) {
    case 'ENOENT':
      return new CommandError(
        'ENOENT',
        `there is no fork or snapshot named '${name}'`,
        '`ramet ls` lists them',
      );
    case 'EEXIST':
      return new CommandError('EEXIST', `the name '${name}' is taken`, 'choose another, or `ramet drop` it');
    case 'EBUSY':
      return new CommandError('EBUSY', `'${name}' is in use${note}`, 'close it there first');
    case 'EROFS':
      return new CommandError(
        'EROFS',
        `'${name}' is a snapshot and never changes${note}`,
        `\`ramet fork ${name}\` makes a copy to write to`,
      );
    case 'EINVAL':
      return new CommandError('EINVAL', `'${name}' cannot be a name here${note}`, 'choose another');
    default:
      return new FsError(error.code, {
        syscall: error.syscall ?? 'open',
        path: name,
        dest: error.dest,
        note: error.note,
      });
  }
}

/** What the owner process says of a mount that fails: the cause is not the tree's name, and the way out is in it. */
function mountProblemOf(name: string, { code, syscall, dest, note }: FsError): CommandError | undefined {
  if (syscall !== 'mount' || note === undefined) return undefined;
  if (dest !== undefined) return new CommandError(code, `'${name}' cannot be mounted at ${dest}, ${note}`);
  return code === 'EBUSY' ? new CommandError(code, `'${name}' cannot be mounted, ${note}`) : undefined;
}

/** The store of a command that needs nothing but its directory. */
export function storeOf(command: Command): { readonly directory: string; readonly isJson: boolean } {
  const options = command.optsWithGlobals<GlobalOptions>();
  return { directory: storeDirectory(options), isJson: options.json === true };
}

/** Opens the store for one command and closes everything afterwards, also when the command fails. */
export async function withSession(
  command: Command,
  run: (session: Session) => Promise<void> | void,
  options: StoreOptions = {},
): Promise<void> {
  const { directory, isJson } = storeOf(command);
  const engine = await StoreEngine.open(directory, options);
  const session = new Session(directory, isJson, engine);
  try {
    await run(session);
  } finally {
    await session.close();
  }
}
