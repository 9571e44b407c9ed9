/** The client's side of the owner's socket: finds the owner of a store, starts one where there is none, and asks it. */

import { realpathSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { FsError } from '../base/index.ts';
import { LineReader } from './line-reader.ts';
import { OwnerPlace, ownerGone, SocketAddress, socketFailure } from './owner-place.ts';
import {
  ANSWER_BYTES_MAX,
  type Answer,
  type OperationName,
  type Parameters,
  PROTOCOL_VERSION,
  type Result,
} from './protocol.ts';
import { startOwner } from './start.ts';
import { fromWire } from './wire-error.ts';

/** An answer that takes longer will not come. */
const ANSWER_MS = 60_000;
/** An owner that ends keeps its lock for some time, and a new one takes some time to begin. */
const START_MS = 20_000;
const START_STEP_MS = 100;

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  readonly timer: NodeJS.Timeout;
}

export interface OwnerClientOptions {
  /** How long to wait for an answer. */
  readonly answerMs?: number;
}

export class OwnerClient {
  private readonly socket: Socket;
  private readonly place: OwnerPlace;
  private readonly answerMs: number;
  private readonly reader = new LineReader(ANSWER_BYTES_MAX);
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;
  private ownerPid: number | undefined;
  private isEnded = false;

  private readonly ended: Promise<void>;

  private constructor(socket: Socket, place: OwnerPlace, answerMs: number) {
    this.socket = socket;
    this.place = place;
    this.answerMs = answerMs;
    socket.on('data', (bytes: Buffer) => this.read(bytes));
    // 'close' follows and tells those who wait.
    socket.on('error', ignored);
    this.ended = new Promise((resolve) => {
      socket.on('close', () => {
        this.end(ownerGone(this.ownerPid, this.place));
        resolve();
      });
    });
    // A connection alone keeps no process from ending; a request that waits does.
    socket.unref();
  }

  /** The owner of the store, if one runs. EACCES when it belongs to another user, ENOTSUP when of another version. */
  static async connect(
    storeDirectory: string,
    options: OwnerClientOptions = {},
  ): Promise<OwnerClient | undefined> {
    const client = await OwnerClient.connectAnyVersion(storeDirectory, options);
    if (client === undefined) return undefined;
    try {
      const { pid } = await client.request('hello', { protocol: PROTOCOL_VERSION, pid: process.pid });
      client.ownerPid = pid;
      return client;
    } catch (error) {
      client.close();
      // The owner ended between our connection and its answer.
      if (error instanceof FsError && error.code === 'ENOTCONN') return undefined;
      throw error;
    }
  }

  /** As `connect`, but says no hello: for `stop`, which owners of every version understand. */
  static async connectAnyVersion(
    storeDirectory: string,
    options: OwnerClientOptions = {},
  ): Promise<OwnerClient | undefined> {
    const place = new OwnerPlace(storeDirectory);
    const socket = await openSocket(place);
    return socket && new OwnerClient(socket, place, options.answerMs ?? ANSWER_MS);
  }

  /** The owner of the store; one is started if none runs. Rejects with the owner's failure to start, or ETIMEDOUT. */
  static async connectOrStart(
    storeDirectory: string,
    options: OwnerClientOptions = {},
  ): Promise<OwnerClient> {
    const place = new OwnerPlace(storeDirectory);
    // The owner has another working directory, so a relative path would not do.
    const directory = realpathSync(storeDirectory);
    const until = performance.now() + START_MS;
    while (performance.now() < until) {
      const client = await OwnerClient.connect(storeDirectory, options);
      if (client !== undefined) return client;
      if ((await startOwner(directory, place)) === 'ready') continue;
      await new Promise((resolve) => setTimeout(resolve, START_STEP_MS));
    }
    throw new FsError('ETIMEDOUT', {
      syscall: 'owner',
      note: `an owner process has the store's lock and does not answer: see ${place.logPath}`,
    });
  }

  get pid(): number | undefined {
    return this.ownerPid;
  }

  /** Rejects with what the operation throws in the owner; ENOTCONN when the owner ends before it answers; ETIMEDOUT. */
  request<K extends OperationName>(operation: K, parameters: Parameters<K>): Promise<Result<K>> {
    if (this.isEnded) return Promise.reject(ownerGone(this.ownerPid, this.place));
    const id = ++this.lastId;
    return new Promise<Result<K>>((resolve, reject) => {
      const timer = setTimeout(() => this.giveUp(id, operation), this.answerMs);
      // The cast: the owner's handler of this operation gives its result.
      this.waiting.set(id, { resolve: (result) => resolve(result as Result<K>), reject, timer });
      this.socket.ref();
      this.socket.write(`${JSON.stringify({ id, operation, parameters })}\n`);
    });
  }

  private giveUp(id: number, operation: string): void {
    const note = `the owner process (${this.ownerPid ?? '?'}) has not answered for ${this.answerMs / 1000} s`;
    this.take(id)?.reject(new FsError('ETIMEDOUT', { syscall: operation, note: `${note}: see its log` }));
  }

  private take(id: number): Waiting | undefined {
    const waiting = this.waiting.get(id);
    if (waiting === undefined) return undefined;
    clearTimeout(waiting.timer);
    this.waiting.delete(id);
    if (this.waiting.size === 0) this.socket.unref();
    return waiting;
  }

  private read(bytes: Buffer): void {
    const lines = this.reader.add(bytes);
    if (lines === undefined) {
      this.close();
      return;
    }
    for (const line of lines) {
      // The cast: an owner of this protocol version writes nothing but answers.
      const answer = JSON.parse(line) as Answer;
      const waiting = this.take(answer.id ?? 0);
      if ('error' in answer) waiting?.reject(fromWire(answer.error));
      else waiting?.resolve(answer.result);
    }
  }

  /** Resolves when the connection has ended, from either side. */
  untilEnded(): Promise<void> {
    this.socket.ref();
    return this.ended;
  }

  private end(error: Error): void {
    this.isEnded = true;
    for (const id of [...this.waiting.keys()]) this.take(id)?.reject(error);
  }

  /** Ends the connection; mounts that it alone holds are unmounted. */
  close(): void {
    this.end(new FsError('ECANCELED', { syscall: 'owner', note: 'the connection was closed' }));
    this.socket.destroy();
  }
}

function openSocket(place: OwnerPlace): Promise<Socket | undefined> {
  let address: SocketAddress;
  try {
    address = new SocketAddress(place);
  } catch (error) {
    // The cast: what node:fs throws has a code.
    const failure = error as NodeJS.ErrnoException;
    if (failure.code === 'ENOENT') return Promise.resolve(undefined);
    return Promise.reject(connectFailure(failure, place));
  }
  return new Promise((resolve, reject) => {
    const socket = createConnection({ path: address.path });
    socket.once('connect', () => {
      address.release();
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      address.release();
      // Nobody listens: there was no owner yet, or it was killed and has left its socket.
      if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') resolve(undefined);
      else reject(connectFailure(error, place));
    });
  });
}

function connectFailure(error: NodeJS.ErrnoException, place: OwnerPlace): Error {
  if (error.code !== 'EACCES' && error.code !== 'EPERM') return socketFailure('connect', error, place);
  return new FsError('EACCES', {
    syscall: 'connect',
    path: place.socketPath,
    note: 'the owner process of this store belongs to another user: run the command as that user',
  });
}

function ignored(): void {
  // Nothing to do: 'close' follows.
}
