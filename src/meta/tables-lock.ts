/**
 * Only one at a time opens, changes, or closes the tables of a store. LMDB itself only keeps writers from each
 * other, and then two things go wrong (lmdb 3.5, mdb.c):
 *
 * - An opener reads the number of the last transaction from the file and writes it to the memory that all processes
 *   share (mdb_env_open2). If another process has committed in between, everybody goes back to the state before: they
 *   read old rows, and the next to commit overwrites what was acknowledged.
 * - The last to close destroys the mutexes in that memory (mdb_env_close_active) while the next to open waits to use
 *   them; every transaction is EINVAL from then on.
 *
 * Readers need no lock. It lies on the directory of the tables, and dies with its process.
 *
 * Its holder may stand still: it was stopped, or waits for a page of its own program, which lies on a mount. A process
 * that serves mounts would make all their programs wait as well, that one among them, so it waits for a bounded time.
 */
import { fstatSync, readFileSync } from 'node:fs';
import { assert, FsError, sleepBlocking } from '../base/index.ts';
import { createSystem, O_DIRECTORY, O_RDONLY, type System } from '../sys/index.ts';

/** Between two tries of a bounded wait: about as long as the pause between the slices of long work. */
const TRY_MS = 0.1;
/** How long to wait for a holder that was already waited for in vain. */
const STUCK_MS = 20;

interface Place {
  readonly directory: string;
  readonly waitMsMax: number;
}

/** Of this thread, by `dev:ino`: opening the same tables twice gives one lock, or the thread would wait for itself. */
const openHere = new Map<string, TablesLock>();

export class TablesLock {
  private readonly system: System;
  private readonly descriptor: number;
  private readonly file: string;
  private readonly directory: string;
  private readonly waitMsMax: number;
  private users = 1;
  private depth = 0;
  /** A holder was waited for in vain, and still has the lock as far as is known. */
  private isStuck = false;

  private constructor(system: System, descriptor: number, file: string, { directory, waitMsMax }: Place) {
    this.system = system;
    this.descriptor = descriptor;
    this.file = file;
    this.directory = directory;
    this.waitMsMax = waitMsMax;
  }

  /** Of the tables in a directory. ENOENT, ENOTDIR, EACCES. */
  static open(
    directory: string,
    kind?: System['kind'],
    waitMsMax: number = Number.POSITIVE_INFINITY,
  ): TablesLock {
    const system = createSystem(kind);
    const descriptor = system.open(directory, O_RDONLY | O_DIRECTORY);
    const { dev, ino } = fstatSync(descriptor, { bigint: true });
    const file = `${dev}:${ino}`;
    const open = openHere.get(file);
    if (open === undefined) {
      const lock = new TablesLock(system, descriptor, file, { directory, waitMsMax });
      openHere.set(file, lock);
      return lock;
    }
    system.close(descriptor);
    open.users++;
    return open;
  }

  /**
   * Waits for other processes and threads. This thread may take it again while it has it. ENOLCK; ETIMEDOUT after the
   * time that was given.
   */
  acquire(): void {
    if (this.depth === 0) this.take();
    this.depth++;
  }

  private take(): void {
    const { system, descriptor, waitMsMax } = this;
    if (waitMsMax === Number.POSITIVE_INFINITY) {
      system.lock(descriptor);
      return;
    }
    const until = system.clock.elapsedMs() + (this.isStuck ? STUCK_MS : waitMsMax);
    while (!system.tryLock(descriptor)) {
      if (system.clock.elapsedMs() >= until) {
        this.isStuck = true;
        throw this.stuck();
      }
      sleepBlocking(TRY_MS);
    }
    this.isStuck = false;
  }

  private stuck(): FsError {
    const holder = lockHolder(this.file);
    const who = holder === undefined ? 'another process' : `process ${holder}`;
    const seconds = this.waitMsMax / 1000;
    const note = `${who} has had the tables of the store locked for ${seconds} s: let it go on, or end it`;
    return new FsError('ETIMEDOUT', { syscall: 'flock', path: this.directory, note });
  }

  /** False where it cannot be had at all: on a system without libc the directory may be gone, or the disk full. */
  acquireIfPossible(): boolean {
    try {
      this.acquire();
      return true;
    } catch (error) {
      if (error instanceof FsError) return false;
      throw error;
    }
  }

  release(): void {
    assert(this.depth > 0, 'only the holder of the lock gives it back');
    this.depth--;
    if (this.depth === 0) this.system.unlock(this.descriptor);
  }

  close(): void {
    this.users--;
    if (this.users > 0) return;
    openHere.delete(this.file);
    this.system.close(this.descriptor);
  }
}

/** The process that has a file (`dev:ino`) locked by flock(2), proc_locks(5), as far as that can be told. */
function lockHolder(file: string): string | undefined {
  const ino = file.split(':')[1];
  try {
    return new RegExp(`^\\d+: FLOCK .* (\\d+) \\S+:${ino} `, 'm').exec(
      readFileSync('/proc/locks', 'latin1'),
    )?.[1];
  } catch {
    return undefined;
  }
}
