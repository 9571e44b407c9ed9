/** The handlers of the owner's operations. They check their parameters, which come from other processes. */
import { isAbsolute, resolve } from 'node:path';
import { FsError, PATH_BYTES_MAX } from '../base/index.ts';
import type { IoMode } from '../fuse/index.ts';
import type { StoreEngine, Tree } from '../store/index.ts';
import { Cloning } from './cloning.ts';
import type { Connection } from './connection.ts';
import type { MountTable } from './mount-table.ts';
import { IO_MODES, type OperationName, type OwnerStatus, PROTOCOL_VERSION, type Result } from './protocol.ts';

export interface OperationParts {
  readonly engine: StoreEngine;
  readonly mounts: MountTable;
  status(): OwnerStatus;
  stop(): void;
}

type Handler<K extends OperationName> = (
  parameters: Checked,
  connection: Connection,
) => Result<K> | Promise<Result<K>>;

export type Handlers = { readonly [K in OperationName]: Handler<K> };

export function createHandlers(parts: OperationParts): Handlers {
  const { engine, mounts } = parts;
  const cloning = new Cloning(engine, mounts);
  return {
    hello: (parameters, connection) => {
      connection.greet(parameters.number('protocol'), parameters.number('pid'));
      return { protocol: PROTOCOL_VERSION, pid: process.pid };
    },
    status: () => parts.status(),
    stop: () => {
      parts.stop();
      return { pid: process.pid };
    },
    mounts: () => mounts.records(),
    mount: (parameters, connection) =>
      mounts.mount(
        {
          fork: parameters.text('fork'),
          directory: parameters.place('directory'),
          io: parameters.ioMode(),
          allowOther: parameters.flag('allowOther'),
          noAtime: parameters.flag('noAtime'),
          isHeld: parameters.flag('isHeld'),
        },
        connection,
      ),
    hold: (parameters, connection) => {
      const options = { io: parameters.ioMode(), noAtime: parameters.flag('noAtime') };
      return mounts.hold(parameters.text('fork'), options, connection);
    },
    release: async (parameters, connection) => ({
      report: (await mounts.release(parameters.text('fork'), connection)) ?? null,
    }),
    unmount: (parameters, connection) =>
      mounts.unmount(parameters.text('target'), parameters.flag('isLazy'), connection),
    fork: async (parameters) => {
      const [source, name] = [parameters.text('source'), parameters.text('name')];
      await mounts.sync(source);
      // This process has no need to keep the new fork open.
      engine.fork(source, name).close();
      return engine.info(name);
    },
    snapshot: async (parameters) => {
      const [source, name] = [parameters.text('source'), parameters.text('name')];
      await mounts.sync(source);
      return engine.snapshot(source, name);
    },
    clone: async (parameters) => {
      await cloning.clone({
        source: parameters.text('source'),
        sourcePath: parameters.text('sourcePath'),
        target: parameters.text('target'),
        targetPath: parameters.text('targetPath'),
      });
      return {};
    },
    settle: async (parameters) => {
      const settled = await settle(mounts, parameters.texts('forks'), (tree) => tree.checkpoint());
      return { settled };
    },
    freeze: async (parameters) => {
      const frozen = await settle(mounts, parameters.texts('forks'), (tree) => engine.freeze(tree));
      return { frozen };
    },
  };
}

/** Syncs these forks, calls `act` with each that is mounted and writable, and returns the number of calls. */
async function settle(
  mounts: MountTable,
  forks: readonly string[],
  act: (tree: Tree) => void,
): Promise<number> {
  let count = 0;
  for (const fork of new Set(forks)) {
    await mounts.sync(fork);
    const tree = mounts.treeOf(fork);
    if (tree === undefined || tree.isReadOnly) continue;
    act(tree);
    count++;
  }
  return count;
}

/** The parameters of a request. Every getter throws EINVAL for a value of another type. */
export class Checked {
  private readonly operation: string;
  private readonly values: Readonly<Record<string, unknown>>;

  constructor(operation: string, parameters: unknown) {
    this.operation = operation;
    const isObject = typeof parameters === 'object' && parameters !== null;
    // The cast: each getter checks the type of its value.
    this.values = isObject ? (parameters as Record<string, unknown>) : {};
  }

  text(name: string): string {
    const value = this.values[name];
    if (typeof value !== 'string' || value === '') this.refuse(name, 'text');
    return value;
  }

  /** The absolute path of a mount point as the kernel writes it: without '.', '..', doubled or closing slashes. */
  place(name: string): string {
    const value = this.text(name);
    const isPath = isAbsolute(value) && resolve(value) === value && Buffer.byteLength(value) < PATH_BYTES_MAX;
    if (!isPath || value.includes('\0')) this.refuse(name, 'an absolute path in its shortest form');
    return value;
  }

  texts(name: string): string[] {
    const value = this.values[name];
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'string'))
      this.refuse(name, 'a list of texts');
    return value;
  }

  number(name: string): number {
    const value = this.values[name];
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) this.refuse(name, 'a whole number');
    return value;
  }

  /** False if the parameter is absent. */
  flag(name: string): boolean {
    const value = this.values[name] ?? false;
    if (typeof value !== 'boolean') this.refuse(name, 'true or false');
    return value;
  }

  ioMode(): IoMode | undefined {
    const value = this.values.io;
    if (value === undefined) return undefined;
    return IO_MODES.find((mode) => mode === value) ?? this.refuse('io', IO_MODES.join(', '));
  }

  private refuse(name: string, expected: string): never {
    throw new FsError('EINVAL', { syscall: this.operation, note: `'${name}' must be ${expected}` });
  }
}
