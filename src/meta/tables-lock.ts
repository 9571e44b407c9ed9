/**
 * The lock under which a process opens, changes or closes the tables of a store. LMDB's own lock only keeps writers
 * apart. With that alone two things go wrong (lmdb 3.5, mdb.c):
 *
 * - An opener reads the number of the last transaction from the file and writes it to the memory that all processes
 *   share (mdb_env_open2). If another process commits in between, all processes go back to the state before that
 *   commit: they read old rows, and the next commit overwrites acknowledged changes.
 * - The last process to close destroys the mutexes in that memory (mdb_env_close_active) while the next opener waits
 *   for them. From then on every transaction fails with EINVAL.
 *
 * Readers need no lock. The lock is on the tables' directory, and ends with its process.
 *
 * The holder may be stopped, or may wait for a page of its own program that lies on a mount. If the process that serves
 * the mount waited for this lock, the holder and all programs on the mounts would wait for ever. So such a process
 * waits for a limited time only.
 */
import { fstatSync, readFileSync } from 'node:fs';
import { assert, FsError, sleepBlocking } from '../base/index.ts';
import { createSystem, O_DIRECTORY, O_RDONLY, type System } from '../sys/index.ts';

/** The pause between tries when the wait is limited; about as long as the pause between the slices of long work. */
const TRY_MS = 0.1;
/** How long to wait once an earlier wait for the same holder has timed out. */
const STUCK_MS = 20;

/**
 * This thread's locks, by `dev:ino`. Opening the same tables twice gives one lock, so that the thread never waits for
 * itself.
 */
const openHere = new Map<string, TablesLock>();

export class TablesLock {
  private readonly system: System;
  private readonly descriptor: number;
  private readonly file: string;
  private readonly directory: string;
  private readonly waitMsMax: number;
  private users = 1;
  private depth = 0;
  /** True if the last wait timed out, so that the holder probably still has the lock. */
  private isStuck = false;

  private constructor(
    directory: string,
    file: string,
    system: System,
    descriptor: number,
    waitMsMax: number,
  ) {
    this.directory = directory;
    this.file = file;
    this.system = system;
    this.descriptor = descriptor;
    this.waitMsMax = waitMsMax;
  }

  /** The lock of the tables in a directory. ENOENT, ENOTDIR, EACCES. */
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
      const lock = new TablesLock(directory, file, system, descriptor, waitMsMax);
      openHere.set(file, lock);
      return lock;
    }
    system.close(descriptor);
    open.users++;
    return open;
  }

  /**
   * Waits for other processes and threads. A thread that has the lock may take it again. ENOLCK; ETIMEDOUT after
   * `waitMsMax`.
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

  /** Returns false if the lock cannot be taken: without libc, the directory may be gone or the disk full. */
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

/** The process that has a file (`dev:ino`) locked with flock(2), if proc_locks(5) shows it. */
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
