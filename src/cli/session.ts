/**
 * One run of a command: its global options, the store it works on, and the trees it opened, closed at the
 * end.
 */
import path from 'node:path';
import type { Command } from 'commander';
import { FsError } from '../base/index.ts';
import { type MountRecord, programsText } from '../owner/index.ts';
import { requireOwnStore, StoreEngine, type StoreOptions, type TreeInfo } from '../store/index.ts';
import { createSystem } from '../sys/index.ts';
import { type TreeHandle, Trees } from '../trees/index.ts';
import { CommandError, warn } from './problem.ts';

export interface GlobalOptions {
  readonly store?: string;
  readonly json?: boolean;
  readonly trustStore?: boolean | undefined;
}

/** `--store DIR`, else $RAMET_STORE, else ./.ramet; absolute. */
export function storeDirectory(options: GlobalOptions): string {
  const fromEnvironment = process.env.RAMET_STORE;
  const fallback = fromEnvironment === undefined || fromEnvironment === '' ? '.ramet' : fromEnvironment;
  return path.resolve(options.store ?? fallback);
}

export class CommandSession {
  readonly directory: string;
  readonly isJson: boolean;
  readonly engine: StoreEngine;
  readonly trees: Trees;

  constructor(directory: string, isJson: boolean, engine: StoreEngine) {
    this.directory = directory;
    this.isJson = isJson;
    this.engine = engine;
    this.trees = new Trees(engine);
  }

  info(name: string): TreeInfo {
    return namingTree(name, () => this.engine.info(name));
  }

  /** A tree to read from. */
  async readTree(name: string): Promise<TreeHandle> {
    return await this.naming(name, this.trees.read(name));
  }

  /** A fork to write to. */
  async writeTree(name: string): Promise<TreeHandle> {
    return await this.naming(name, this.trees.write(name));
  }

  /** Makes sure that nobody has the fork open, before it is changed as a whole. EBUSY otherwise. */
  async requireFree(name: string, operation: string): Promise<void> {
    this.info(name);
    const mount = await this.trees.mountOf(name);
    if (mount !== undefined) throw mountedProblem(mount, operation);
    await this.writeTree(name);
    this.trees.close(name);
  }

  private async naming<T>(name: string, work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw namedTreeError(name, error);
    }
  }

  async close(): Promise<void> {
    try {
      await this.trees.closeAll();
    } finally {
      await this.engine.close();
    }
  }
}

/** What is in the way of an operation on a tree that is mounted, and what ends that. */
export function mountedProblem(
  { fork, directory, isDetached, users, holders }: MountRecord,
  operation: string,
): CommandError {
  if (isDetached) {
    const cause = `'${fork}' was unmounted from ${directory}, and ${programsText(users)} still use it`;
    return new CommandError('EBUSY', cause, `end them first, then ${operation}`);
  }
  const cause = `'${fork}' is mounted at ${directory}`;
  return holders.length === 0
    ? new CommandError('EBUSY', cause, `\`ramet umount ${fork}\`, then ${operation}`)
    : new CommandError(
        'EBUSY',
        `${cause}, where ${programsText(holders)} work`,
        `end them, then ${operation}`,
      );
}

/** Says in words that a tree is missing, taken or busy, where the engine gives a bare code. */
export function namingTree<T>(name: string, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw namedTreeError(name, error);
  }
}

export function namedTreeError(name: string, error: unknown): unknown {
  if (!(error instanceof FsError)) return error;
  // A fork's lock is on its journal, whose path tells people nothing.
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
 * The problem with a mount, if the error is about one: it failed, for a cause that is not the tree's name and with the
 * way out in the note; or it was unmounted and is still in use.
 */
function mountProblemOf(name: string, { code, syscall, dest, note }: FsError): CommandError | undefined {
  if (note === undefined) return undefined;
  if (syscall === 'umount' && dest !== undefined)
    return new CommandError(code, `'${name}' was unmounted from ${dest}, and ${note}`, 'end them first');
  if (syscall !== 'mount') return undefined;
  if (dest !== undefined) return new CommandError(code, `'${name}' cannot be mounted at ${dest}, ${note}`);
  return code === 'EBUSY' ? new CommandError(code, `'${name}' cannot be mounted, ${note}`) : undefined;
}

interface StorePlace {
  readonly directory: string;
  readonly isJson: boolean;
}

function placeOf(command: Command): StorePlace & Pick<GlobalOptions, 'trustStore'> {
  const options = command.optsWithGlobals<GlobalOptions>();
  const { json, trustStore } = options;
  return { directory: storeDirectory(options), isJson: json === true, trustStore };
}

/** The store's directory, for a command that need not open the store, and whether it prints JSON. ERR_STORE_OWNER. */
export function storeOf(command: Command): StorePlace {
  const place = placeOf(command);
  requireOwnStore(createSystem(), place.directory, place.trustStore);
  return place;
}

/** Opens the store for one command and closes everything afterwards, also when the command fails. */
export async function withSession(
  command: Command,
  run: (session: CommandSession) => Promise<void> | void,
  options: StoreOptions = {},
): Promise<void> {
  const { directory, isJson, trustStore } = placeOf(command);
  const onWarning = (message: string): void => warn(message, isJson);
  const engine = await StoreEngine.open(directory, { trustStore, onWarning, ...options });
  const session = new CommandSession(directory, isJson, engine);
  try {
    await run(session);
  } finally {
    await session.close();
  }
}
