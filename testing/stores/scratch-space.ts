/** For tests: a temporary directory of blobs, over each system that this machine has. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { BLOCK_SIZE, type BlobId } from '../../src/base/index.ts';
import type { BlobSpaceLimits } from '../../src/blob/blob-files.ts';
import { blobPath, sumPath } from '../../src/blob/blob-path.ts';
import { BlobSpace } from '../../src/blob/blob-space.ts';
import { createBufferedSystem, createNativeSystem, FaultySystem, type System } from '../../src/sys/index.ts';

export const systems: System[] = [createBufferedSystem()];
const native = createNativeSystem();
if (native instanceof Error) process.stderr.write(`native system left out: ${native.message}\n`);
else systems.unshift(native);

export class ScratchSpace implements Disposable {
  readonly directory = mkdtempSync(`${tmpdir()}/ramet-blob-`);
  readonly faulty: FaultySystem;
  space: BlobSpace;

  constructor(system: System, limits: BlobSpaceLimits = {}) {
    this.faulty = new FaultySystem(system);
    this.space = new BlobSpace(this.faulty, this.directory, limits);
  }

  /** Opens the space like a new process: nothing is open, mapped, or verified. */
  reopen(limits: BlobSpaceLimits = {}): BlobSpace {
    this.space.close();
    this.space = new BlobSpace(this.faulty, this.directory, limits);
    return this.space;
  }

  bytesOf(id: BlobId): Buffer {
    return readFileSync(blobPath(this.directory, id));
  }

  flipBit(id: BlobId, position: number): void {
    flip(blobPath(this.directory, id), position);
  }

  flipSumBit(id: BlobId, position: number): void {
    flip(sumPath(this.directory, id), position);
  }

  [Symbol.dispose](): void {
    this.faulty.plan = undefined;
    // The descriptors of a crashed system are closed already.
    if (!this.faulty.isCrashed) this.space.close();
    rmSync(this.directory, { recursive: true });
  }
}

function flip(path: string, position: number): void {
  const bytes = readFileSync(path);
  bytes[position]! ^= 0x10;
  writeFileSync(path, bytes);
}

export function blobId(number: number): BlobId {
  return number as BlobId; // The cast: tests choose whole numbers from 1.
}

/** Bytes that differ from block to block and within a block. */
export function pattern(lengthBytes: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at++)
    bytes[at] = (at * 7 + Math.floor(at / BLOCK_SIZE) * 13 + seed * 31) & 0xff;
  return bytes;
}
