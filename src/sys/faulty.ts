/**
 * A system that fails as a plan says, for tests: errors, torn writes, short reads, flipped bits, and the death of the
 * process at any one call. Every call that reaches the host is counted and the plan is asked before it.
 */
import type { Address, Clock, ErrorCode, Timespec } from '../base/index.ts';
import { AssertionError, FsError } from '../base/index.ts';
import type { MountInfo } from './mount-info.ts';
import type { HostEntry, HostStat, OpenFlags, System } from './system.ts';

export type Fault =
  /** The call does nothing and fails. */
  | { readonly kind: 'error'; readonly code: ErrorCode }
  /** pwrite: the first `bytes` bytes reach the file, then it fails with `code` (EIO if absent). */
  | { readonly kind: 'torn'; readonly bytes: number; readonly code?: ErrorCode }
  /** pread, tryPread: only the first `bytes` bytes are read, as if the file ended there. */
  | { readonly kind: 'short'; readonly bytes: number }
  /** pread, tryPread: bit `bit` (0-7) of byte `byte` of what was read is inverted. */
  | { readonly kind: 'flip'; readonly byte: number; readonly bit: number }
  /** The process dies before this call, or, at a pwrite, after `bytes` bytes of it reached the file. */
  | { readonly kind: 'crash'; readonly bytes?: number };

/**
 * What happens to a call: undefined lets it pass. `operation` is the method's name, `index` the number of calls before
 * this one, `path` the path it names or its descriptor was opened by ('' where unknown).
 */
export type FaultPlan = (operation: keyof System, index: number, path: string) => Fault | undefined;

/** Thrown by every call from the crash on. It is no `FsError`: code that handles I/O errors must not handle it. */
export class CrashedError extends Error {
  override readonly name = 'CrashedError';

  constructor() {
    super('the process is dead: a fault plan crashed it');
  }
}

export interface FaultyOptions {
  /** Another boot id than the host's: what the next opener sees after a power cut. */
  readonly bootId?: string;
}

export class FaultySystem implements System {
  readonly kind: System['kind'];
  readonly canMap: boolean;
  readonly clock: Clock;
  /** May be exchanged at any time; undefined lets everything pass. */
  plan: FaultPlan | undefined;
  private readonly inner: System;
  private readonly options: FaultyOptions;
  private readonly counts = new Map<keyof System, number>();
  private readonly paths = new Map<number, string>();
  private total = 0;
  private dead = false;

  constructor(inner: System, plan?: FaultPlan, options: FaultyOptions = {}) {
    this.inner = inner;
    this.plan = plan;
    this.options = options;
    this.kind = inner.kind;
    this.canMap = inner.canMap;
    this.clock = inner.clock;
  }

  /** Calls so far, of all operations; the index of the next call. */
  get callCount(): number {
    return this.total;
  }

  get isCrashed(): boolean {
    return this.dead;
  }

  /** Calls so far of one operation. */
  count(operation: keyof System): number {
    return this.counts.get(operation) ?? 0;
  }

  /**
   * The process dies now: as the kernel would, every descriptor is closed and with it every lock given back. Memory
   * stays mapped, because buffers over it live on in the process of the test.
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

  /** Counts a call and asks the plan; faults that every operation knows happen here, others are for the caller. */
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

  private pass<T>(operation: keyof System, path: string, call: () => T): T {
    const fault = this.ask(operation, path);
    if (fault !== undefined) misplaced(operation, fault);
    return call();
  }

  private onFile<T>(operation: keyof System, fd: number, call: () => T): T {
    return this.pass(operation, this.paths.get(fd) ?? '', call);
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

  private opened(path: string, fd: number): number {
    this.paths.set(fd, path);
    return fd;
  }

  open(path: string, flags: OpenFlags, mode?: number): number {
    return this.pass('open', path, () => this.opened(path, this.inner.open(path, flags, mode)));
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

  /** Done at once, so that the calls of a run come in one order; so are the other two. */
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

  allocate(fd: number, position: number, length: number): void {
    this.onFile('allocate', fd, () => this.inner.allocate(fd, position, length));
  }

  punch(fd: number, position: number, length: number): boolean {
    return this.onFile('punch', fd, () => this.inner.punch(fd, position, length));
  }

  truncate(fd: number, length: number): void {
    this.onFile('truncate', fd, () => this.inner.truncate(fd, length));
  }

  dataSync(fd: number): void {
    this.onFile('dataSync', fd, () => this.inner.dataSync(fd));
  }

  async dataSyncAsync(fd: number): Promise<void> {
    this.dataSync(fd);
  }

  fullSync(fd: number): void {
    this.onFile('fullSync', fd, () => this.inner.fullSync(fd));
  }

  fileSize(fd: number): { readonly sizeBytes: number; readonly allocatedBytes: number } {
    return this.onFile('fileSize', fd, () => this.inner.fileSize(fd));
  }

  tryLock(fd: number): boolean {
    return this.onFile('tryLock', fd, () => this.inner.tryLock(fd));
  }

  lock(fd: number): void {
    this.onFile('lock', fd, () => this.inner.lock(fd));
  }

  unlock(fd: number): void {
    this.onFile('unlock', fd, () => this.inner.unlock(fd));
  }

  rename(from: string, to: string): void {
    this.pass('rename', from, () => this.inner.rename(from, to));
  }

  unlink(path: string): void {
    this.pass('unlink', path, () => this.inner.unlink(path));
  }

  makeDirectory(path: string): void {
    this.pass('makeDirectory', path, () => this.inner.makeDirectory(path));
  }

  syncDirectory(path: string): void {
    this.pass('syncDirectory', path, () => this.inner.syncDirectory(path));
  }

  cloneFile(source: number, target: number): boolean {
    return this.onFile('cloneFile', target, () => this.inner.cloneFile(source, target));
  }

  cloneRange(source: number, from: number, length: number, target: number, to: number): boolean {
    return this.onFile('cloneRange', target, () => this.inner.cloneRange(source, from, length, target, to));
  }

  seekData(fd: number, position: number): number | undefined {
    return this.onFile('seekData', fd, () => this.inner.seekData(fd, position));
  }

  seekHole(fd: number, position: number): number | undefined {
    return this.onFile('seekHole', fd, () => this.inner.seekHole(fd, position));
  }

  reserve(length: number): Address {
    return this.pass('reserve', '', () => this.inner.reserve(length));
  }

  mapWindow(fd: number, position: number, length: number): Address {
    return this.onFile('mapWindow', fd, () => this.inner.mapWindow(fd, position, length));
  }

  mapView(at: Address, fd: number, position: number, length: number): void {
    this.onFile('mapView', fd, () => this.inner.mapView(at, fd, position, length));
  }

  mapZeros(at: Address, length: number): void {
    this.pass('mapZeros', '', () => this.inner.mapZeros(at, length));
  }

  /** Not counted, and allowed to the dead: finalizers give memory back whenever they run. */
  unmap(at: Address, length: number): void {
    this.inner.unmap(at, length);
  }

  /** Not counted: it does not reach the host. */
  bufferAt(at: Address, length: number): ArrayBuffer {
    this.alive();
    return this.inner.bufferAt(at, length);
  }

  residency(at: Address, length: number): Uint8Array {
    return this.pass('residency', '', () => this.inner.residency(at, length));
  }

  advise(at: Address, length: number, advice: number): void {
    this.pass('advise', '', () => this.inner.advise(at, length, advice));
  }

  /** Not counted: a hint changes nothing. */
  startWriteback(fd: number, position: number, length: number): void {
    this.inner.startWriteback(fd, position, length);
  }

  dropCache(fd: number): void {
    this.onFile('dropCache', fd, () => this.inner.dropCache(fd));
  }

  frameNumbers(at: Address, pages: number): number[] {
    return this.pass('frameNumbers', '', () => this.inner.frameNumbers(at, pages));
  }

  frameMapCounts(frames: readonly number[]): number[] {
    return this.pass('frameMapCounts', '', () => this.inner.frameMapCounts(frames));
  }

  statHost(path: Buffer, followLinks: boolean): HostStat {
    return this.pass('statHost', textOf(path), () => this.inner.statHost(path, followLinks));
  }

  readHostDirectory(path: Buffer): HostEntry[] {
    return this.pass('readHostDirectory', textOf(path), () => this.inner.readHostDirectory(path));
  }

  readHostLink(path: Buffer): Buffer {
    return this.pass('readHostLink', textOf(path), () => this.inner.readHostLink(path));
  }

  openHost(path: Buffer, flags: OpenFlags, mode?: number): number {
    const text = textOf(path);
    return this.pass('openHost', text, () => this.opened(text, this.inner.openHost(path, flags, mode)));
  }

  readHostXattrs(path: Buffer): Map<string, Buffer> {
    return this.pass('readHostXattrs', textOf(path), () => this.inner.readHostXattrs(path));
  }

  writeHostXattr(path: Buffer, name: string, value: Uint8Array): void {
    this.pass('writeHostXattr', textOf(path), () => this.inner.writeHostXattr(path, name, value));
  }

  setHostTimes(path: Buffer, atime: Timespec, mtime: Timespec): void {
    this.pass('setHostTimes', textOf(path), () => this.inner.setHostTimes(path, atime, mtime));
  }

  chownHost(path: Buffer, uid: number, gid: number): void {
    this.pass('chownHost', textOf(path), () => this.inner.chownHost(path, uid, gid));
  }

  chmodHost(path: Buffer, mode: number): void {
    this.pass('chmodHost', textOf(path), () => this.inner.chmodHost(path, mode));
  }

  makeHostDirectory(path: Buffer, mode: number): void {
    this.pass('makeHostDirectory', textOf(path), () => this.inner.makeHostDirectory(path, mode));
  }

  symlinkHost(target: Buffer, path: Buffer): void {
    this.pass('symlinkHost', textOf(path), () => this.inner.symlinkHost(target, path));
  }

  linkHost(existing: Buffer, path: Buffer): void {
    this.pass('linkHost', textOf(path), () => this.inner.linkHost(existing, path));
  }

  renameHost(from: Buffer, to: Buffer): void {
    this.pass('renameHost', textOf(from), () => this.inner.renameHost(from, to));
  }

  unlinkHost(path: Buffer): void {
    this.pass('unlinkHost', textOf(path), () => this.inner.unlinkHost(path));
  }

  removeHostDirectory(path: Buffer): void {
    this.pass('removeHostDirectory', textOf(path), () => this.inner.removeHostDirectory(path));
  }

  makeHostNode(path: Buffer, mode: number, rdev: number): void {
    this.pass('makeHostNode', textOf(path), () => this.inner.makeHostNode(path, mode, rdev));
  }

  openInRoot(root: number, path: Buffer, flags: OpenFlags, mode?: number): number {
    const text = textOf(path);
    return this.pass('openInRoot', text, () =>
      this.opened(text, this.inner.openInRoot(root, path, flags, mode)),
    );
  }

  openAt(directory: number, path: Buffer, flags: OpenFlags, mode?: number): number {
    const text = this.pathAt(directory, path);
    return this.pass('openAt', text, () =>
      this.opened(text, this.inner.openAt(directory, path, flags, mode)),
    );
  }

  /** The path of a name in a directory, by that which the directory was opened by. */
  private pathAt(directory: number, name: Buffer): string {
    const text = textOf(name);
    const above = this.paths.get(directory) ?? '';
    return text === '.' ? above : `${above}/${text}`;
  }

  private onName<T>(operation: keyof System, directory: number, name: Buffer, call: () => T): T {
    return this.pass(operation, this.pathAt(directory, name), call);
  }

  readonly lstatAt: System['lstatAt'] = (directory, name) =>
    this.onName('lstatAt', directory, name, () => this.inner.lstatAt(directory, name));
  readonly makeDirectoryAt: System['makeDirectoryAt'] = (directory, name, mode) =>
    this.onName('makeDirectoryAt', directory, name, () => this.inner.makeDirectoryAt(directory, name, mode));
  readonly symlinkAt: System['symlinkAt'] = (target, directory, name) =>
    this.onName('symlinkAt', directory, name, () => this.inner.symlinkAt(target, directory, name));
  readonly linkAt: System['linkAt'] = (from, existing, directory, name) =>
    this.onName('linkAt', from, existing, () => this.inner.linkAt(from, existing, directory, name));
  readonly renameAt: System['renameAt'] = (from, existing, directory, name) =>
    this.onName('renameAt', from, existing, () => this.inner.renameAt(from, existing, directory, name));
  readonly unlinkAt: System['unlinkAt'] = (directory, name) =>
    this.onName('unlinkAt', directory, name, () => this.inner.unlinkAt(directory, name));
  readonly removeDirectoryAt: System['removeDirectoryAt'] = (directory, name) =>
    this.onName('removeDirectoryAt', directory, name, () => this.inner.removeDirectoryAt(directory, name));
  readonly makeNodeAt: System['makeNodeAt'] = (directory, name, mode, rdev) =>
    this.onName('makeNodeAt', directory, name, () => this.inner.makeNodeAt(directory, name, mode, rdev));
  readonly chownFile: System['chownFile'] = (fd, uid, gid) =>
    this.onFile('chownFile', fd, () => this.inner.chownFile(fd, uid, gid));
  readonly chmodFile: System['chmodFile'] = (fd, mode) =>
    this.onFile('chmodFile', fd, () => this.inner.chmodFile(fd, mode));
  readonly setFileTimes: System['setFileTimes'] = (fd, atime, mtime) =>
    this.onFile('setFileTimes', fd, () => this.inner.setFileTimes(fd, atime, mtime));
  readonly writeFileXattr: System['writeFileXattr'] = (fd, name, value) =>
    this.onFile('writeFileXattr', fd, () => this.inner.writeFileXattr(fd, name, value));

  openBeneath(directory: number, path: Buffer, flags: OpenFlags): number {
    const text = textOf(path);
    return this.pass('openBeneath', text, () =>
      this.opened(text, this.inner.openBeneath(directory, path, flags)),
    );
  }

  statAt(directory: number, name: Buffer, isLocal: boolean): HostStat {
    return this.pass('statAt', textOf(name), () => this.inner.statAt(directory, name, isLocal));
  }

  readDirectory(fd: number): HostEntry[] {
    return this.onFile('readDirectory', fd, () => this.inner.readDirectory(fd));
  }

  readLinkAt(directory: number, name: Buffer): Buffer {
    return this.pass('readLinkAt', textOf(name), () => this.inner.readLinkAt(directory, name));
  }

  readFileXattrs(fd: number): Map<string, Buffer> {
    return this.onFile('readFileXattrs', fd, () => this.inner.readFileXattrs(fd));
  }

  fileSystemUuid(fd: number): string | undefined {
    return this.onFile('fileSystemUuid', fd, () => this.inner.fileSystemUuid(fd));
  }

  statFile(fd: number): HostStat {
    return this.onFile('statFile', fd, () => this.inner.statFile(fd));
  }

  syncFileSystem(fd: number): void {
    this.onFile('syncFileSystem', fd, () => this.inner.syncFileSystem(fd));
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

function textOf(path: Buffer): string {
  return path.toString('utf8');
}

/** A plan that asks for what an operation cannot do is a defect of the test, which would otherwise pass unharmed. */
function misplaced(operation: string, fault: Fault): never {
  throw new AssertionError(`internal invariant broken: ${operation} has no fault of kind '${fault.kind}'`);
}
