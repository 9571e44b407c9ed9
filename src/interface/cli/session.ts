/**
 * One run of a command: its global options, the store it works on, and the trees it opened, closed at the
 * end.
 */
import path from 'node:path';
import type { Command } from 'commander';
import { FsError, isFsError } from '../../base/index.ts';
import { StoreEngine, type Tree } from '../../store/index.ts';
import { CommandError } from './problem.ts';

/** How long a command waits for a fork that another process has open. */
const BUSY_WAIT_MS = 1000;
const BUSY_STEP_MS = 50;
/** Never woken: waiting on it is sleeping. */
const SLEEP = new Int32Array(new SharedArrayBuffer(4));

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

export class Session {
  readonly directory: string;
  readonly isJson: boolean;
  readonly engine: StoreEngine;
  private readonly trees = new Map<string, Tree>();

  constructor(directory: string, isJson: boolean, engine: StoreEngine) {
    this.directory = directory;
    this.isJson = isJson;
    this.engine = engine;
  }

  /** A tree to read from; opened once a run. */
  readTree(name: string): Tree {
    const known = this.trees.get(name);
    if (known !== undefined) return known;
    const tree = namingTree(name, () => this.openPatiently(name));
    this.trees.set(name, tree);
    return tree;
  }

  /** Another command may own the fork for a moment; only who keeps it longer is in the way. */
  private openPatiently(name: string): Tree {
    for (let waitedMs = 0; ; waitedMs += BUSY_STEP_MS) {
      try {
        return this.engine.openTree(name);
      } catch (error) {
        if (!isFsError(error, 'EBUSY') || waitedMs >= BUSY_WAIT_MS) throw error;
        Atomics.wait(SLEEP, 0, 0, BUSY_STEP_MS);
      }
    }
  }

  /** A fork to write to; opened once a run. */
  writeTree(name: string): Tree {
    const tree = this.readTree(name);
    if (tree.isReadOnly) throw namedTreeError(name, new FsError('EROFS'));
    return tree;
  }

  closeTree(name: string): void {
    this.trees.get(name)?.close();
    this.trees.delete(name);
  }

  async close(): Promise<void> {
    try {
      for (const name of [...this.trees.keys()]) this.closeTree(name);
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

export function namedTreeError(name: string, error: unknown): unknown {
  if (!(error instanceof FsError)) return error;
  // The lock of a fork is its journal's: a path that tells people nothing.
  const isLock = error.code === 'EBUSY' && error.syscall === 'flock';
  if (error.path !== undefined && error.path !== name && !isLock) return error;
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
      return new FsError(error.code, { syscall: 'open', path: name, note: error.note });
  }
}

/** Opens the store for one command and closes everything afterwards, also when the command fails. */
export async function withSession(
  command: Command,
  run: (session: Session) => Promise<void> | void,
): Promise<void> {
  const options = command.optsWithGlobals<GlobalOptions>();
  const directory = storeDirectory(options);
  const engine = await StoreEngine.open(directory);
  const session = new Session(directory, options.json === true, engine);
  try {
    await run(session);
  } finally {
    await session.close();
  }
}
