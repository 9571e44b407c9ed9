/**
 * Bytes of a lease file, and nothing else: what a process that has the store open says of itself. It is locked
 * until the process closes the store or dies. Described in docs/format.md, "Leases".
 *
 *     u64 epoch of the store from which the process relies on what exists; 2^53 - 1: it has no tree open
 *     u32 process id
 */
import { ByteReader, ByteWriter } from '../base/index.ts';

export const LEASE_BYTES = 12;
/** The epoch of a process that has no tree open: newer than everything. */
export const NO_EPOCH = Number.MAX_SAFE_INTEGER;

export interface LeaseRecord {
  readonly epoch: number;
  readonly pid: number;
}

export function encodeLease(lease: LeaseRecord): Buffer {
  return new ByteWriter(LEASE_BYTES).u64(lease.epoch).u32(lease.pid).take();
}

/** A file that is not whole yet counts as the oldest epoch: its process is only just opening the store. */
export function decodeLease(bytes: Buffer): LeaseRecord {
  if (bytes.length < LEASE_BYTES) return { epoch: 0, pid: 0 };
  const reader = new ByteReader(bytes);
  return { epoch: reader.u64(), pid: reader.u32() };
}
