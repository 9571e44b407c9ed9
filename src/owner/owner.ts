/**
 * The owner of a store: the one process that serves its mounts. It listens on a socket in the store's `run`, serves
 * clients, and ends when nobody needs it any more.
 *
 * The owner must never look at a path that may lie on one of its own mounts, by stat or as a working directory, because
 * the answer would have to come from the very thread that waits for it. Clients make such checks.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { FsError } from '../base/index.ts';
import type { MountServer } from '../fuse/index.ts';
import type { StoreEngine } from '../store/index.ts';
import { Connection } from './connection.ts';
import type { Logger } from './log.ts';
import { MountTable } from './mount-table.ts';
import { Checked, createHandlers, type Handlers } from './operations.ts';
import { type OwnerPlace, removeStaleSocket, SocketAddress, socketFailure } from './owner-place.ts';
import type { OperationName, OwnerStatus } from './protocol.ts';

/** The owner ends after this long without mounts and connections. */
export const IDLE_MS = 30_000;
/** How long unmounting may take. The kernel unmounts the rest when the process ends. */
const CLOSE_MS = 10_000;
/** The most connections that may wait to be accepted. */
const BACKLOG = 128;

export interface OwnerOptions {
  readonly engine: StoreEngine;
  readonly place: OwnerPlace;
  readonly createMountServer: () => MountServer;
  readonly logger: Logger;
  readonly idleMs?: number;
  /** Translates the JSON of answers: see `HeldDirectory.shown`. */
  readonly shown?: (json: string) => string;
}

export class Owner {
  /** Resolves when everything is closed, and unmounted as far as possible. The caller closes the engine. */
  readonly stopped: Promise<void>;
  private readonly options: OwnerOptions;
  private readonly idleMs: number;
  private readonly since = new Date().toISOString();
  private readonly mounts: MountTable;
  private readonly handlers: Handlers;
  private readonly connections = new Set<Connection>();
  private readonly server: Server;
  private readonly address: SocketAddress;
  private idleTimer: NodeJS.Timeout | undefined;
  private stopping: Promise<void> | undefined;
  private noteStopped: () => void = () => undefined;

  private constructor(options: OwnerOptions) {
    const { engine, place, logger, createMountServer } = options;
    this.options = options;
    this.idleMs = options.idleMs ?? IDLE_MS;
    this.stopped = new Promise((resolve) => {
      this.noteStopped = resolve;
    });
    const onEmpty = (): void => this.watchIdleness();
    this.mounts = new MountTable({ engine, createServer: createMountServer, place, logger, onEmpty });
    this.handlers = createHandlers({
      engine,
      mounts: this.mounts,
      status: () => this.status(),
      stop: () => void setImmediate(() => this.stop('asked to')),
    });
    this.address = new SocketAddress(place);
    this.server = createServer((socket) => this.accept(socket));
  }

  /** Begins to serve. The caller must hold the owner's lock. */
  static async start(options: OwnerOptions): Promise<Owner> {
    removeStaleSocket(options.engine.system, options.place);
    const owner = new Owner(options);
    await owner.listen();
    owner.watchIdleness();
    return owner;
  }

  private listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.on('error', (error) => {
        // Once the server listens, an error means that a connection could not be accepted. `reject` then does nothing.
        this.options.logger.error({ err: error }, 'the socket failed');
        reject(socketFailure('listen', error, this.options.place));
      });
      // Connecting needs write permission, which only the owner's user gets. listen() binds before it returns.
      const umask = process.umask(0o177);
      try {
        this.server.listen({ path: this.address.path, backlog: BACKLOG }, resolve);
      } finally {
        process.umask(umask);
      }
    });
  }

  private accept(socket: Socket): void {
    const connection = new Connection(socket, {
      dispatch: (from, operation, parameters) => this.dispatch(from, operation, parameters),
      onClosed: (closed) => void this.leave(closed),
      shown: this.options.shown ?? ((json) => json),
    });
    this.connections.add(connection);
    clearTimeout(this.idleTimer);
  }

  private async leave(connection: Connection): Promise<void> {
    try {
      await this.mounts.releaseAll(connection);
    } catch (error) {
      this.options.logger.error({ err: error }, 'a mount that nobody needs could not be unmounted');
    }
    this.connections.delete(connection);
    this.watchIdleness();
  }

  private dispatch(connection: Connection, operation: string, parameters: unknown): unknown {
    if (!Object.hasOwn(this.handlers, operation)) {
      const known = Object.keys(this.handlers).join(', ');
      throw new FsError('ENOSYS', { syscall: operation, note: `the owner's operations are ${known}` });
    }
    // The cast: `operation` is one of the handlers' own keys.
    return this.handlers[operation as OperationName](new Checked(operation, parameters), connection);
  }

  private status(): OwnerStatus {
    return {
      pid: process.pid,
      since: this.since,
      store: this.options.engine.directory,
      mounts: this.mounts.size,
      connections: this.connections.size - 1,
      residentBytes: process.memoryUsage.rss(),
      idleMs: this.idleMs,
    };
  }

  private watchIdleness(): void {
    clearTimeout(this.idleTimer);
    if (this.connections.size > 0 || this.mounts.size > 0 || this.stopping !== undefined) return;
    this.idleTimer = setTimeout(() => this.stop('idle'), this.idleMs);
  }

  /** Unmounts everything, lazily where busy, for CLOSE_MS at most; resolves when no client is served any more. */
  stop(reason: string): Promise<void> {
    this.stopping ??= this.end(reason);
    return this.stopping;
  }

  private async end(reason: string): Promise<void> {
    const { logger } = this.options;
    logger.info({ reason, mounts: this.mounts.size }, 'stopping');
    clearTimeout(this.idleTimer);
    const closed = new Promise((resolve) => this.server.close(resolve));
    try {
      const closing = this.mounts.close().then(() => 'closed');
      const late = pause(CLOSE_MS, 'late', { ref: false });
      if ((await Promise.race([closing, late])) === 'late')
        throw new FsError('ETIMEDOUT', { syscall: 'umount' });
    } catch (error) {
      logger.error({ err: error }, 'not everything could be unmounted');
    }
    // Only now, so that a client that sees its connection end has nothing left to wait for.
    for (const connection of this.connections) connection.close();
    await closed;
    this.address.release();
    this.noteStopped();
  }
}
