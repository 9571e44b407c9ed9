/** The client's side of the owner's socket: finds the owner of a store, starts an owner if none runs, and asks it. */
import { once } from 'node:events';
import { realpathSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
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

/** Milliseconds to wait for an answer. */
const ANSWER_MS = 60_000;
/**
 * Milliseconds to try to connect: an owner that ends keeps its lock for some time, and a new one needs time to start.
 */
const START_MS = 20_000;
const START_STEP_MS = 100;

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
  readonly timer: NodeJS.Timeout;
}

export interface OwnerClientOptions {
  readonly answerMs?: number;
}

export class OwnerClient {
  private readonly socket: Socket;
  private readonly place: OwnerPlace;
  private readonly answerMs: number;
  private readonly reader = new LineReader(ANSWER_BYTES_MAX);
  private readonly waiting = new Map<number, Waiting>();
  private readonly ended: Promise<void>;
  private lastId = 0;
  private ownerPid: number | undefined;
  private isEnded = false;

  private constructor(socket: Socket, place: OwnerPlace, answerMs: number) {
    this.socket = socket;
    this.place = place;
    this.answerMs = answerMs;
    socket.on('data', (bytes: Buffer) => this.read(bytes));
    // 'close' follows, and rejects all requests.
    socket.on('error', () => undefined);
    this.ended = new Promise((resolve) => {
      socket.on('close', () => {
        this.end(ownerGone(this.ownerPid, this.place));
        resolve();
      });
    });
    // Only a waiting request or `untilEnded` keeps the process from ending.
    socket.unref();
  }

  /** The owner of the store, if one runs. EACCES if it belongs to another user, ENOTSUP if it has another version. */
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
      // The owner ended before it answered.
      if (error instanceof FsError && error.code === 'ENOTCONN') return undefined;
      throw error;
    }
  }

  /** Like `connect`, but without the hello: for `stop`, which owners of every version understand. */
  static async connectAnyVersion(
    storeDirectory: string,
    options: OwnerClientOptions = {},
  ): Promise<OwnerClient | undefined> {
    const place = new OwnerPlace(storeDirectory);
    const socket = await openSocket(place);
    return socket && new OwnerClient(socket, place, options.answerMs ?? ANSWER_MS);
  }

  /**
   * Like `connect`, but starts an owner if none runs. Also rejects with the error of an owner that could not start, and
   * with ETIMEDOUT if no owner answers in time.
   */
  static async connectOrStart(
    storeDirectory: string,
    options: OwnerClientOptions = {},
  ): Promise<OwnerClient> {
    const place = new OwnerPlace(storeDirectory);
    // The owner has another working directory, so it needs an absolute path.
    const directory = realpathSync(storeDirectory);
    const until = performance.now() + START_MS;
    while (performance.now() < until) {
      const client = await OwnerClient.connect(storeDirectory, options);
      if (client !== undefined) return client;
      if ((await startOwner(directory, place)) === 'ready') continue;
      await pause(START_STEP_MS);
    }
    throw new FsError('ETIMEDOUT', {
      syscall: 'owner',
      note: `an owner process has the store's lock and does not answer: see ${place.logPath}`,
    });
  }

  get pid(): number | undefined {
    return this.ownerPid;
  }

  /** Rejects with the operation's own error; ENOTCONN when the owner ends before it answers; ETIMEDOUT. */
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

  /** Ends the connection. The owner unmounts the mounts that only this connection holds, unless they are kept. */
  close(): void {
    this.end(new FsError('ECANCELED', { syscall: 'owner', note: 'the connection was closed' }));
    this.socket.destroy();
  }
}

async function openSocket(place: OwnerPlace): Promise<Socket | undefined> {
  let address: SocketAddress | undefined;
  try {
    address = new SocketAddress(place);
    const socket = createConnection({ path: address.path });
    await once(socket, 'connect');
    return socket;
  } catch (error) {
    // The cast: errors of node:fs and node:net have a code.
    const failure = error as NodeJS.ErrnoException;
    // Nobody listens: there was no owner yet, or it was killed and left its socket behind.
    if (failure.code === 'ENOENT' || failure.code === 'ECONNREFUSED') return undefined;
    throw connectFailure(failure, place);
  } finally {
    address?.release();
  }
}

function connectFailure(error: NodeJS.ErrnoException, place: OwnerPlace): Error {
  if (error.code !== 'EACCES' && error.code !== 'EPERM') return socketFailure('connect', error, place);
  return new FsError('EACCES', {
    syscall: 'connect',
    path: place.socketPath,
    note: 'the owner process of this store belongs to another user: run the command as that user',
  });
}
