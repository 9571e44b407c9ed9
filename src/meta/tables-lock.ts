/**
 * One at a time opens, changes, or closes the tables of a store. LMDB excludes only those who change them from each
 * other, and two things go wrong then (lmdb 3.5, mdb.c):
 *
 * - Who opens reads the number of the last transaction from the file and writes it to the memory that all processes
 *   share (mdb_env_open2). If another process has committed in between, everybody goes back to the state before: they
 *   read old rows, and the next to commit overwrites what was acknowledged.
 * - The last to close destroys the mutexes in that memory (mdb_env_close_active) while the next to open waits to use
 *   them; every transaction is EINVAL from then on.
 *
 * Readers need no lock. It lies on the directory of the tables, and dies with its process.
 */
import { constants, fstatSync } from 'node:fs';
import { assert, FsError } from '../base/index.ts';
import { createSystem, type System } from '../sys/index.ts';

/** Of this thread, by `dev:ino`: who opens the same tables twice has one lock, or it would wait for itself. */
const openHere = new Map<string, TablesLock>();

export class TablesLock {
  private readonly system: System;
  private readonly descriptor: number;
  private readonly file: string;
  private users = 1;
  private depth = 0;

  private constructor(system: System, descriptor: number, file: string) {
    this.system = system;
    this.descriptor = descriptor;
    this.file = file;
  }

  /** Of the tables in a directory. ENOENT, ENOTDIR, EACCES. */
  static open(directory: string, kind?: System['kind']): TablesLock {
    const system = createSystem(kind);
    const descriptor = system.open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    const { dev, ino } = fstatSync(descriptor, { bigint: true });
    const file = `${dev}:${ino}`;
    const open = openHere.get(file);
    if (open === undefined) {
      const lock = new TablesLock(system, descriptor, file);
      openHere.set(file, lock);
      return lock;
    }
    system.close(descriptor);
    open.users++;
    return open;
  }

  /** Waits for other processes and threads. This thread may take it again while it has it. ENOLCK. */
  acquire(): void {
    if (this.depth === 0) this.system.lock(this.descriptor);
    this.depth++;
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
    assert(this.depth > 0, 'only who has taken the lock gives it back');
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
