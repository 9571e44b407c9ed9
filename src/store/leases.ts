/**
 * Leases: the epochs of the store on which living processes still rely. Gc frees a blob's space only when no lease is
 * older than the epoch in which the blob was dropped. A process locks its lease file, and the kernel releases the lock
 * when the process dies. A lease file that someone else can lock therefore belongs to a dead process, and is removed.
 *
 * A process has one epoch for all its open trees: the epoch at which it opened the first of them. One epoch for each
 * tree would not do, because a reflink between two trees may pass on blocks that only the older tree named. `advance`
 * moves the epoch up.
 */
import { isFsError } from '../base/index.ts';
import { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR, type System } from '../sys/index.ts';
import { pathExists } from './layout.ts';
import { decodeLease, encodeLease, LEASE_BYTES, type LeaseRecord, NO_EPOCH } from './lease-format.ts';

let leasesMade = 0;
/** Matches leases, but not the lock files that lie beside them if the host has no file locks. */
const LEASE_NAME = /^lease-[0-9]+-[0-9]+$/;

export class Lease {
  private readonly system: System;
  private readonly path: string;
  private readonly fd: number;
  /** One token for each open tree. */
  private readonly tokens = new Set<object>();
  private epoch = NO_EPOCH;

  private constructor(system: System, path: string, fd: number) {
    this.system = system;
    this.path = path;
    this.fd = fd;
  }

  /** Takes a lease for this process in `directory` (the store's `run`). */
  static take(system: System, directory: string): Lease {
    for (;;) {
      const path = `${directory}/lease-${process.pid}-${leasesMade++}`;
      let fd: number;
      try {
        fd = system.open(path, O_RDWR | O_CREAT | O_EXCL, 0o600);
      } catch (error) {
        if (isFsError(error, 'EEXIST')) continue;
        throw error;
      }
      // Before this locks the file, another process may take it for the lease of a dead process, lock it and remove it.
      if (!system.tryLock(fd) || !pathExists(system, path)) {
        system.close(fd);
        continue;
      }
      const lease = new Lease(system, path, fd);
      try {
        lease.write();
      } catch (error) {
        lease.close();
        throw error;
      }
      return lease;
    }
  }

  /** Registers a tree that is being opened at `epoch`. Call it before the tree's rows are read. */
  hold(token: object, epoch: number): void {
    const isFirst = this.tokens.size === 0;
    this.tokens.add(token);
    if (!isFirst) return;
    this.epoch = epoch;
    this.write();
  }

  release(token: object | undefined): void {
    if (token === undefined || !this.tokens.delete(token) || this.tokens.size > 0) return;
    this.epoch = NO_EPOCH;
    this.write();
  }

  /** Moves the lease up to `epoch`, at which rows of the store's trees must name all blocks that open trees rely on. */
  advance(epoch: number): void {
    if (this.tokens.size === 0 || epoch <= this.epoch) return;
    this.epoch = epoch;
    this.write();
  }

  /** The epoch in the lease file; `NO_EPOCH` while no tree is open. */
  get heldEpoch(): number {
    return this.epoch;
  }

  private write(): void {
    const bytes = encodeLease({ epoch: this.epoch, pid: process.pid });
    this.system.pwrite(this.fd, bytes, 0, bytes.length, 0);
  }

  close(): void {
    try {
      this.system.unlink(this.path);
    } catch (error) {
      if (!isFsError(error, 'ENOENT')) throw error;
    } finally {
      this.system.close(this.fd);
    }
  }
}

/** The leases of all living processes. Removes the leases of dead ones. */
export function livingLeases(system: System, directory: string): LeaseRecord[] {
  const living: LeaseRecord[] = [];
  for (const { name } of system.readHostDirectory(Buffer.from(directory))) {
    if (!LEASE_NAME.test(name)) continue;
    const path = `${directory}/${name}`;
    try {
      const lease = readLease(system, path);
      if (lease !== undefined) living.push(lease);
    } catch (error) {
      // The process has removed its lease since the directory was read.
      if (!isFsError(error, 'ENOENT')) throw error;
    }
  }
  return living;
}

function readLease(system: System, path: string): LeaseRecord | undefined {
  const fd = system.open(path, O_RDWR | O_NOFOLLOW);
  try {
    if (system.tryLock(fd)) {
      system.unlink(path);
      return undefined;
    }
    const bytes = Buffer.alloc(LEASE_BYTES);
    return decodeLease(bytes.subarray(0, system.pread(fd, bytes, 0, LEASE_BYTES, 0)));
  } finally {
    system.close(fd);
  }
}
