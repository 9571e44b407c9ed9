/** One run of a command: its global options, its store, and the trees that it opens. `close` closes all of them. */
import path from 'node:path';
import type { Command } from 'commander';
import { FsError, isDiskFull } from '../base/index.ts';
import { type MountRecord, programsText } from '../owner/index.ts';
import {
  hostState,
  requireOwnStore,
  StoreEngine,
  type StoreOptions,
  type TreeInfo,
  type TreeState,
} from '../store/index.ts';
import { createSystem } from '../sys/index.ts';
import { type TreeHandle, Trees } from '../trees/index.ts';
import { hasPrinted } from './output.ts';
import { CommandError, warn } from './problem.ts';

interface GlobalOptions {
  readonly store?: string;
  readonly json?: boolean;
  readonly trustStore?: boolean;
}

interface StorePlace {
  /** Absolute path of the store: `--store DIR`, else $RAMET_STORE, else ./.ramet. */
  readonly directory: string;
  readonly isJson: boolean;
  readonly trustStore: boolean | undefined;
}

export class CommandSession {
  readonly isJson: boolean;
  readonly engine: StoreEngine;
  readonly trees: Trees;
  /** Trees of a private copy of the store. */
  private copies: Trees | undefined;

  constructor(engine: StoreEngine, isJson: boolean) {
    this.engine = engine;
    this.isJson = isJson;
    this.trees = new Trees(engine);
  }

  get directory(): string {
    return this.engine.directory;
  }

  info(name: string): TreeInfo {
    return namingTree(name, () => this.engine.info(name));
  }

  /**
   * A tree to read from. Opening a fork needs some space for its journal: where the disk has none, the tree comes from
   * a private copy of the store.
   */
  async readTree(name: string): Promise<TreeHandle> {
    try {
      return await namingTrees([name], () => this.trees.read(name));
    } catch (error) {
      if (!isDiskFull(error) || this.engine.isReadOnly) throw error;
      this.copies ??= new Trees(await StoreEngine.open(this.directory, { readOnly: true, trustStore: true }));
      const { copies } = this;
      return await namingTrees([name], () => copies.read(name));
    }
  }

  /** Opens a fork for writing. */
  async writeTree(name: string): Promise<TreeHandle> {
    return await namingTrees([name], () => this.trees.write(name));
  }

  /**
   * The state to compare a tree with: `given`, else the directory or union that the tree was made over, else the tree
   * that it was made from. ENOENT with `hint` if it was made from no tree, or from a tree that is no longer in this
   * store.
   */
  comparedWith(name: string, given: string | undefined, hint: string): TreeState {
    const state = given ?? namingTree(name, () => hostState(this.engine, name));
    if (state !== undefined) return state;
    const { source } = this.info(name);
    if (this.engine.list().some((tree) => tree.name === source)) return source;
    const cause =
      source === ''
        ? `'${name}' was not made from another tree`
        : `'${name}' was made from '${source}', which is no tree of this store (any more)`;
    throw new CommandError('ENOENT', cause, hint);
  }

  /** EBUSY if somebody has the fork open. Call it before a command replaces the whole content of the fork. */
  async requireFree(name: string, operation: string): Promise<void> {
    this.info(name);
    const mount = await this.trees.mountOf(name);
    if (mount !== undefined) throw mountedProblem(mount, operation);
    await this.writeTree(name);
    this.trees.close(name);
  }

  async close(): Promise<void> {
    try {
      await this.copies?.closeAll();
      await this.trees.closeAll();
    } finally {
      await this.copies?.engine.close();
      await this.engine.close();
    }
  }
}

/** The error for a mounted tree: says where it is mounted, which programs use it, and how to free it. */
export function mountedProblem(
  { fork, directory, isDetached, users, holders }: MountRecord,
  operation: string,
): CommandError {
  if (isDetached) {
    const cause = `'${fork}' was unmounted from ${directory}, and ${programsText(users)} still use it`;
    return new CommandError('EBUSY', cause, `end them first, then ${operation}`);
  }
  const cause = `'${fork}' is mounted at ${directory}`;
  if (holders.length === 0)
    return new CommandError('EBUSY', cause, `\`ramet umount ${fork}\`, then ${operation}`);
  const work = `${cause}, where ${programsText(holders)} work`;
  return new CommandError('EBUSY', work, `end them, then ${operation}`);
}

function namingTree<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw namedTreeError(name, error);
  }
}

/** Runs `work`. If it fails because one of these trees is missing, taken or busy, the error says so in words. */
export async function namingTrees<T>(names: readonly string[], work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw names.reduce((problem, name) => namedTreeError(name, problem), error);
  }
}

/**
 * Turns an error of the engine about tree `name`, which has only a code, into one that says in words what is wrong.
 * Returns any other error as it is.
 */
export function namedTreeError(name: string, error: unknown): unknown {
  if (!(error instanceof FsError)) return error;
  // A fork's lock is on its journal, whose path means nothing to people.
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
      return error.in({ syscall: error.syscall ?? 'open', path: name });
  }
}

/**
 * An error about a mount, in words; undefined for any other error. Either the mount failed, and the note says why and
 * what to do; or the tree was unmounted but is still in use.
 */
function mountProblemOf(name: string, { code, syscall, dest, note }: FsError): CommandError | undefined {
  if (note === undefined) return undefined;
  if (syscall === 'umount' && dest !== undefined)
    return new CommandError(code, `'${name}' was unmounted from ${dest}, and ${note}`, 'end them first');
  if (syscall !== 'mount') return undefined;
  if (dest !== undefined) return new CommandError(code, `'${name}' cannot be mounted at ${dest}, ${note}`);
  return code === 'EBUSY' ? new CommandError(code, `'${name}' cannot be mounted, ${note}`) : undefined;
}

/** The store of a command, and whether to print JSON, from the global options. */
export function storePlaceOf(command: Command): StorePlace {
  const { store, json, trustStore } = command.optsWithGlobals<GlobalOptions>();
  const directory = path.resolve(store ?? (process.env.RAMET_STORE || '.ramet'));
  return { directory, isJson: json === true, trustStore };
}

/**
 * Like `storePlaceOf`, for commands that use the store without opening it. ERR_STORE_OWNER if the store belongs to
 * another user.
 */
export function storeOf(command: Command): StorePlace {
  const place = storePlaceOf(command);
  requireOwnStore(createSystem(), place.directory, place.trustStore);
  return place;
}

/** Opens the store for one command, and closes everything afterwards, even if the command fails. */
export async function withSession(
  command: Command,
  run: (session: CommandSession) => Promise<void> | void,
  options: StoreOptions = {},
): Promise<void> {
  const { directory, isJson, trustStore } = storePlaceOf(command);
  const onWarning = (message: string): void => warn(message, isJson);
  const engine = await StoreEngine.open(directory, {
    trustStore,
    onWarning,
    readOnly: 'if-needed',
    ...options,
  });
  const session = new CommandSession(engine, isJson);
  try {
    await run(session);
  } finally {
    await session.close();
  }
}

/**
 * As `withSession`, for a command that changes nothing. Opening a fork needs some space for its journal: where the disk
 * has none, the command runs on a private copy.
 */
export async function withReader(
  command: Command,
  run: (session: CommandSession) => Promise<void> | void,
): Promise<void> {
  try {
    await withSession(command, run);
  } catch (error) {
    if (!isDiskFull(error) || hasPrinted) throw error;
    await withSession(command, run, { readOnly: true });
  }
}
