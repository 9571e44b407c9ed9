/** The owner's side of the connection to one client: reads requests, passes them on, writes answers. */
import type { Socket } from 'node:net';
import { FsError } from '../base/index.ts';
import { type Peer, peerOf } from '../sys/index.ts';
import { LineReader } from './line-reader.ts';
import type { Holder } from './mount-table.ts';
import { PROTOCOL_VERSION, REQUEST_BYTES_MAX, type Request } from './protocol.ts';
import { toWire } from './wire-error.ts';

export interface ConnectionParts {
  /** Does the work of a request. */
  readonly dispatch: (connection: Connection, operation: string, parameters: unknown) => unknown;
  readonly onClosed: (connection: Connection) => void;
  /** Translates the JSON of an answer: see `HeldDirectory.shown`. */
  readonly shown: (json: string) => string;
}

/** Operations that a client of any version may ask for. */
const ALWAYS_ALLOWED = new Set(['hello', 'status', 'stop']);

/**
 * The owner reads no further requests of a client that has this many under way, or that has left this many bytes of
 * answers unread.
 */
const REQUESTS_MAX = 64;
const UNREAD_BYTES_MAX = 1024 * 1024;
/** The owner ends the connection of a client that has not said hello within this time. */
const HELLO_MS = 60_000;

export class Connection implements Holder {
  private readonly socket: Socket;
  private readonly parts: ConnectionParts;
  private readonly reader = new LineReader(REQUEST_BYTES_MAX);
  /** Process id of the client; 0 while neither the kernel nor a hello of the client has told it. */
  pid = 0;
  private isKnown = false;
  private readonly lines: string[] = [];
  private underWay = 0;

  constructor(socket: Socket, parts: ConnectionParts) {
    this.socket = socket;
    this.parts = parts;
    if (!this.acceptPeer(peerOf(descriptorOf(socket)))) return;
    socket.on('data', (bytes: Buffer) => this.read(bytes));
    socket.on('drain', () => this.goOn());
    const helloTimer = setTimeout(() => this.isKnown || socket.destroy(), HELLO_MS).unref();
    socket.on('close', () => clearTimeout(helloTimer));
    // The client went away before it had its answer. Nothing to do here, because 'close' follows.
    socket.on('error', () => undefined);
    socket.on('close', () => parts.onClosed(this));
  }

  get isGone(): boolean {
    return this.socket.destroyed;
  }

  /** Notes that the client has said hello. ENOTSUP for a client that speaks another version of the protocol. */
  greet(protocol: number, pid: number): void {
    if (protocol !== PROTOCOL_VERSION) {
      throw new FsError('ENOTSUP', {
        syscall: 'owner',
        note:
          `the owner process (${process.pid}) speaks protocol ${PROTOCOL_VERSION}, this program ${protocol}: ` +
          'end it with `ramet owner stop`',
      });
    }
    if (this.pid === 0) this.pid = pid;
    this.isKnown = true;
  }

  /**
   * The mode of the socket should keep other users out; this asks the kernel whether it did. Returns true for this
   * process's own user, for root, which may do everything anyway, and where the kernel does not tell the user. For any
   * other user, answers EACCES, ends the connection and returns false.
   */
  private acceptPeer(peer: Peer | undefined): boolean {
    if (peer === undefined) return true;
    this.pid = peer.pid;
    if (peer.uid === 0 || peer.uid === process.geteuid?.()) return true;
    this.socket.on('close', () => this.parts.onClosed(this)).on('error', () => undefined);
    const note = `it belongs to user ${process.geteuid?.()}, and this is user ${peer.uid}`;
    this.answerError(null, new FsError('EACCES', { syscall: 'owner', note }));
    this.socket.destroySoon();
    return false;
  }

  /** Ends the connection. Answers that were written still arrive. */
  close(): void {
    this.socket.destroySoon();
  }

  private read(bytes: Buffer): void {
    const lines = this.reader.add(bytes);
    if (lines === undefined) {
      const note = `a request has ${REQUEST_BYTES_MAX} bytes at most`;
      this.answerError(null, new FsError('E2BIG', { syscall: 'owner', note }));
      // From here on, nothing shows where the next line begins.
      this.socket.destroySoon();
      return;
    }
    this.lines.push(...lines);
    this.goOn();
  }

  /** Starts the requests that have arrived, as many as may be under way. Reads nothing more while others wait. */
  private goOn(): void {
    const { socket, lines } = this;
    while (lines.length > 0 && this.underWay < REQUESTS_MAX && socket.writableLength < UNREAD_BYTES_MAX) {
      this.underWay++;
      void this.answer(lines.shift()!).finally(() => {
        this.underWay--;
        this.goOn();
      });
    }
    if (lines.length > 0) socket.pause();
    else if (socket.isPaused()) socket.resume();
  }

  private async answer(line: string): Promise<void> {
    const request = parseRequest(line);
    if (request === undefined) {
      const note = 'a request is a line { "id": number, "operation": text, "parameters": object }';
      this.answerError(null, new FsError('EINVAL', { syscall: 'owner', note }));
      return;
    }
    const { id, operation, parameters } = request;
    try {
      if (!this.isKnown && !ALWAYS_ALLOWED.has(operation)) {
        throw new FsError('EINVAL', { syscall: operation, note: 'a client says hello first' });
      }
      this.write({ id, result: await this.parts.dispatch(this, operation, parameters) });
    } catch (error) {
      this.answerError(id, error);
    }
  }

  private answerError(id: number | null, error: unknown): void {
    this.write({ id, error: toWire(error) });
  }

  private write(answer: object): void {
    if (!this.socket.destroyed) this.socket.write(`${this.parts.shown(JSON.stringify(answer))}\n`);
  }
}

function descriptorOf(socket: Socket): number {
  // The cast: only the socket's handle, which Node's types hide, has the descriptor.
  const { _handle: handle } = socket as unknown as { readonly _handle?: { readonly fd?: number } };
  return handle?.fd ?? -1;
}

function parseRequest(line: string): Request | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { id, operation, parameters } = value as Partial<Record<keyof Request, unknown>>;
  if (typeof id !== 'number' || typeof operation !== 'string') return undefined;
  return { id, operation, parameters };
}
