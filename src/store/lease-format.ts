/**
 * Bytes of a lease file. Each process that has the store open has such a file, and locks it until it closes the store
 * or dies. See docs/format.md, "Leases".
 *
 *     u64 epoch since which the process relies on the content of the store; 2^53 - 1 if it has no tree open
 *     u32 process id
 */
import { ByteReader, ByteWriter, DecodeError } from '../base/index.ts';

export const LEASE_BYTES = 12;
/** The epoch of a process that has no tree open; it is above every epoch of the store. */
export const NO_EPOCH = Number.MAX_SAFE_INTEGER;

export interface LeaseRecord {
  readonly epoch: number;
  readonly pid: number;
}

export function encodeLease(lease: LeaseRecord): Buffer {
  return new ByteWriter(LEASE_BYTES).u64(lease.epoch).u32(lease.pid).take();
}

/** An incomplete file (its process is just opening the store) or a damaged file counts as the oldest epoch. */
export function decodeLease(bytes: Buffer): LeaseRecord {
  if (bytes.length < LEASE_BYTES) return { epoch: 0, pid: 0 };
  const reader = new ByteReader(bytes);
  try {
    return { epoch: reader.u64(), pid: reader.u32() };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { epoch: 0, pid: 0 };
  }
}
