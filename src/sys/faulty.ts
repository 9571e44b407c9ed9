/**
 * A system that fails as a plan says, for tests: errors, torn writes, short reads, flipped bits, and the death of the
 * process at any call. Every call that reaches the host is counted, and the plan decides what happens to it.
 */
import type { Address, Clock, ErrorCode } from '../base/index.ts';
import { AssertionError, FsError } from '../base/index.ts';
import type { MountInfo } from './mount-info.ts';
import type { System } from './system.ts';

export type Fault =
  /** The call does nothing and fails with `code`. */
  | { readonly kind: 'error'; readonly code: ErrorCode }
  /** pwrite: the first `bytes` bytes reach the file, then the call fails with `code` (EIO if absent). */
  | { readonly kind: 'torn'; readonly bytes: number; readonly code?: ErrorCode }
  /** pread, tryPread: only the first `bytes` bytes are read, as if the file ended there. */
  | { readonly kind: 'short'; readonly bytes: number }
  /** pread, tryPread: bit `bit` (0-7) of byte `byte` of the bytes read is inverted. */
  | { readonly kind: 'flip'; readonly byte: number; readonly bit: number }
  /** The process dies before this call, or, for a pwrite with `bytes`, after that number of bytes reached the file. */
  | { readonly kind: 'crash'; readonly bytes?: number };

/**
 * Decides what happens to a call; undefined lets it pass. `operation` is the method's name, `index` the number of calls
 * before this one, `path` the path that the call names or by which its descriptor was opened ('' where unknown).
 */
export type FaultPlan = (operation: keyof System, index: number, path: string) => Fault | undefined;

/**
 * Thrown by the call that crashes and by every later call. Not an `FsError`, because code that handles I/O errors would
 * catch that.
 */
export class CrashedError extends Error {
  override readonly name = 'CrashedError';

  constructor() {
    super('the process is dead: a fault plan crashed it');
  }
}

/**
 * The argument that tells the plan which file a call concerns: its kind and its index. `path` is a path, `file` a
 * descriptor, `name` a name in the open directory whose descriptor is the argument before.
 */
type Subject = 'nothing' | readonly ['path' | 'file' | 'name', number];

const PATH = ['path', 0] as const;
const FILE = ['file', 0] as const;
const NAME = ['name', 1] as const;

/** Calls that are counted and then passed on unchanged, each with the argument that says which file it concerns. */
const PASSED = {
  open: PATH,
  allocate: FILE,
  punch: FILE,
  truncate: FILE,
  dataSync: FILE,
  fullSync: FILE,
  fileSize: FILE,
  tryLock: FILE,
  lock: FILE,
  unlock: FILE,
  rename: PATH,
  unlink: PATH,
  makeDirectory: PATH,
  syncDirectory: PATH,
  cloneFile: ['file', 1],
  cloneRange: ['file', 3],
  seekData: FILE,
  seekHole: FILE,
  reserve: 'nothing',
  mapWindow: FILE,
  mapView: ['file', 1],
  mapZeros: 'nothing',
  residency: 'nothing',
  advise: 'nothing',
  dropCache: FILE,
  frameNumbers: 'nothing',
  frameMapCounts: 'nothing',
  statHost: PATH,
  readHostDirectory: PATH,
  readHostLink: PATH,
  openHost: PATH,
  readHostXattrs: PATH,
  openInRoot: ['path', 1],
  openBeneath: ['path', 1],
  openAt: NAME,
  statAt: ['path', 1],
  readLinkAt: ['path', 1],
  lstatAt: NAME,
  makeDirectoryAt: NAME,
  symlinkAt: ['name', 2],
  linkAt: NAME,
  renameAt: NAME,
  unlinkAt: NAME,
  removeDirectoryAt: NAME,
  makeNodeAt: NAME,
  readDirectory: FILE,
  readFileXattrs: FILE,
  chownFile: FILE,
  chmodFile: FILE,
  setFileTimes: FILE,
  writeFileXattr: FILE,
  fileSystemUuid: FILE,
  statFile: FILE,
  syncFileSystem: FILE,
} as const satisfies Partial<Record<keyof System, Subject>>;

type Passed = keyof typeof PASSED;
/** Calls that return a descriptor. */
const OPENING: ReadonlySet<string> = new Set(['open', 'openHost', 'openInRoot', 'openBeneath', 'openAt']);

/** The cast: the static block of `FaultySystem` defines the methods. */
const PassedCalls = class {} as new () => Pick<System, Passed>;

export interface FaultyOptions {
  /** Replaces the host's boot id, as a power cut does. */
  readonly bootId?: string;
}

export class FaultySystem extends PassedCalls implements System {
  static {
    for (const [operation, subject] of Object.entries(PASSED)) {
      const value = function (this: FaultySystem, ...args: unknown[]): unknown {
        // The cast: every key of the table is the name of a call.
        return this.pass(operation as Passed, this.pathOf(subject, args), args);
      };
      Object.defineProperty(FaultySystem.prototype, operation, { value, writable: true });
    }
  }

  readonly kind: System['kind'];
  readonly canMap: boolean;
  readonly clock: Clock;
  /** The current plan, which may be replaced at any time; undefined lets everything pass. */
  plan: FaultPlan | undefined;
  private readonly inner: System;
  private readonly options: FaultyOptions;
  private readonly counts = new Map<keyof System, number>();
  private readonly paths = new Map<number, string>();
  private total = 0;
  private dead = false;

  constructor(inner: System, plan?: FaultPlan, options: FaultyOptions = {}) {
    super();
    this.inner = inner;
    this.plan = plan;
    this.options = options;
    this.kind = inner.kind;
    this.canMap = inner.canMap;
    this.clock = inner.clock;
  }

  /** Number of calls so far, of all operations. This is also the index of the next call. */
  get callCount(): number {
    return this.total;
  }

  get isCrashed(): boolean {
    return this.dead;
  }

  /** Number of calls so far of one operation. */
  count(operation: keyof System): number {
    return this.counts.get(operation) ?? 0;
  }

  /**
   * The process dies now: like the kernel, this closes every descriptor, which releases every lock. Memory stays
   * mapped, because buffers over it live on in the process of the test.
   */
  crash(): void {
    if (this.dead) return;
    this.dead = true;
    for (const fd of this.paths.keys()) this.inner.close(fd);
    this.paths.clear();
  }

  private alive(): void {
    if (this.dead) throw new CrashedError();
  }

  /**
   * Counts a call and asks the plan. Throws for the faults that any operation can have, and returns other faults to the
   * caller.
   */
  private ask(operation: keyof System, path: string): Fault | undefined {
    this.alive();
    const index = this.total++;
    this.counts.set(operation, this.count(operation) + 1);
    const fault = this.plan?.(operation, index, path);
    if (fault?.kind === 'error') throw new FsError(fault.code, { syscall: operation, note: 'injected' });
    if (fault?.kind === 'crash' && fault.bytes === undefined) {
      this.crash();
      throw new CrashedError();
    }
    return fault;
  }

  private pass(operation: Passed, path: string, args: unknown[]): unknown {
    const fault = this.ask(operation, path);
    if (fault !== undefined) misplaced(operation, fault);
    const value: unknown = Reflect.apply(this.inner[operation], this.inner, args);
    if (OPENING.has(operation)) this.paths.set(value as number, path); // The cast: see OPENING.
    return value;
  }

  /** The path that a call names, or by which its descriptor was opened; '' where unknown. */
  private pathOf(subject: Subject, args: unknown[]): string {
    if (subject === 'nothing') return '';
    const [kind, index] = subject;
    // The casts: `Subject` says what kind of argument has this index.
    if (kind === 'file') return this.paths.get(args[index] as number) ?? '';
    const text = String(args[index] as string | Buffer);
    if (kind === 'path') return text;
    const above = this.paths.get(args[index - 1] as number) ?? '';
    return text === '.' ? above : `${above}/${text}`;
  }

  private read(
    operation: 'pread' | 'tryPread',
    fd: number,
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): number {
    const fault = this.ask(operation, this.paths.get(fd) ?? '');
    if (fault !== undefined && fault.kind !== 'short' && fault.kind !== 'flip') misplaced(operation, fault);
    const wanted = fault?.kind === 'short' ? Math.min(length, fault.bytes) : length;
    const count = this.inner[operation](fd, target, offset, wanted, position);
    if (fault?.kind === 'flip' && fault.byte < count) {
      const at = offset + fault.byte;
      target[at] = target[at]! ^ (1 << fault.bit);
    }
    return count;
  }

  close(fd: number): void {
    try {
      this.ask('close', this.paths.get(fd) ?? '');
    } finally {
      // close(2) frees the descriptor even where it fails; after a crash it is closed already.
      if (!this.dead) {
        this.paths.delete(fd);
        this.inner.close(fd);
      }
    }
  }

  pread(fd: number, target: Uint8Array, offset: number, length: number, position: number): number {
    return this.read('pread', fd, target, offset, length, position);
  }

  tryPread(fd: number, target: Uint8Array, offset: number, length: number, position: number): number {
    return this.read('tryPread', fd, target, offset, length, position);
  }

  pwrite(fd: number, source: Uint8Array, offset: number, length: number, position: number): void {
    const fault = this.ask('pwrite', this.paths.get(fd) ?? '');
    if (fault === undefined) {
      this.inner.pwrite(fd, source, offset, length, position);
      return;
    }
    if (fault.kind !== 'torn' && fault.kind !== 'crash') misplaced('pwrite', fault);
    this.inner.pwrite(fd, source, offset, Math.min(length, fault.bytes ?? 0), position);
    if (fault.kind === 'torn')
      throw new FsError(fault.code ?? 'EIO', { syscall: 'pwrite', note: 'injected' });
    this.crash();
    throw new CrashedError();
  }

  /** Synchronous, like the next two methods, so that the calls of a run always come in the same order. */
  async preadAsync(
    fd: number,
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    return this.pread(fd, target, offset, length, position);
  }

  async pwriteAsync(
    fd: number,
    source: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<void> {
    this.pwrite(fd, source, offset, length, position);
  }

  async dataSyncAsync(fd: number): Promise<void> {
    this.dataSync(fd);
  }

  /** Not counted, and allowed after a crash, because finalizers give memory back whenever they run. */
  unmap(at: Address, length: number): void {
    this.inner.unmap(at, length);
  }

  /** Not counted, because it does not reach the host. */
  bufferAt(at: Address, length: number): ArrayBuffer {
    this.alive();
    return this.inner.bufferAt(at, length);
  }

  /** Not counted, because a hint changes nothing. */
  startWriteback(fd: number, position: number, length: number): void {
    this.inner.startWriteback(fd, position, length);
  }

  bootId(): string {
    this.alive();
    return this.options.bootId ?? this.inner.bootId();
  }

  mounts(): readonly MountInfo[] {
    this.alive();
    return this.inner.mounts();
  }

  mapCountMax(): number {
    this.alive();
    return this.inner.mapCountMax();
  }
}

/**
 * Throws when a fault does not suit the operation. Otherwise such a defect of a test would go unnoticed, because the
 * test would pass without any fault.
 */
function misplaced(operation: string, fault: Fault): never {
  throw new AssertionError(`internal invariant broken: ${operation} has no fault of kind '${fault.kind}'`);
}
