/**
 * Leases: the epochs of the store on which living processes still rely. Gc frees a blob's space only when no lease is
 * older than the epoch in which the blob was dropped. The kernel releases a lease's lock when its process dies; a lease
 * file that can be locked is a dead process's, and is removed.
 *
 * A process has one epoch for all its open trees, that of the first, because a reflink between two trees may hand on
 * blocks that only the older tree knew. `advance` moves it up.
 */
import { isFsError } from '../base/index.ts';
import { O_CREAT, O_EXCL, O_RDWR, type System } from '../sys/index.ts';
import { pathExists } from './layout.ts';
import { decodeLease, encodeLease, LEASE_BYTES, type LeaseRecord, NO_EPOCH } from './lease-format.ts';

let leasesMade = 0;
/** Where the host has no locks, lock files are beside the leases. */
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
      // A scan may take the file for a dead process's and remove it before it is locked.
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

  /** A tree is being opened at `epoch`. Call before its rows are read. */
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

  /** At `epoch`, rows of the store's trees named all that the open trees rely on. */
  advance(epoch: number): void {
    if (this.tokens.size === 0 || epoch <= this.epoch) return;
    this.epoch = epoch;
    this.write();
  }

  /** The epoch in the lease file. */
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

/** The leases of all living processes. Removes those of dead ones. */
export function livingLeases(system: System, directory: string): LeaseRecord[] {
  const living: LeaseRecord[] = [];
  for (const { name } of system.readHostDirectory(Buffer.from(directory))) {
    if (!LEASE_NAME.test(name)) continue;
    const path = `${directory}/${name}`;
    try {
      const lease = readLease(system, path);
      if (lease !== undefined) living.push(lease);
    } catch (error) {
      // It was closed meanwhile.
      if (!isFsError(error, 'ENOENT')) throw error;
    }
  }
  return living;
}

function readLease(system: System, path: string): LeaseRecord | undefined {
  const fd = system.open(path, O_RDWR);
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
