/** The large file of the memory benchmark, and the figures that are measured for each contender. */
import { closeSync, fdatasyncSync, openSync, readSync, writeSync } from 'node:fs';
import {
  type Absent,
  cachedBytes,
  cachedGrowth,
  evictFiles,
  isAbsent,
  residentBytes,
  SeededBytes,
} from '../../src/demo/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { summarize } from '../measure/sampling.ts';
import type { Cell } from '../measure/table.ts';

export const MIB = 2 ** 20;
export const BLOCK_BYTES = 4096;
const WRITE_BYTES = 4 * MIB;
const READ_BYTES = MIB;

/** A large file on the host, and how many forks are to have it. */
export interface LargeFile {
  readonly hostPath: string;
  readonly sizeBytes: number;
  readonly forks: number;
  /** Size of the first write to each fork. */
  readonly writeBytes: number;
}

export interface LargeFileFigures {
  /** Growth of the machine's page cache. */
  readonly cachedMib: Cell;
  /** Resident pages, after reading, of the host files that hold the data. */
  readonly residentMib: Cell;
  readonly diskMib: Cell;
  /** Open, write, close: the first change to the file in each fork. */
  readonly firstWriteMs: Cell;
  /** Reading the file in all forks, with nothing in memory before. */
  readonly readMs: Cell;
}

export function absentFigures(reason: string): LargeFileFigures {
  const absent: Absent = { absentBecause: reason };
  return { cachedMib: absent, residentMib: absent, diskMib: absent, firstWriteMs: absent, readMs: absent };
}

/** Makes the file, with bytes that do not compress, and syncs it. */
export function makeLargeFile({ hostPath, sizeBytes, forks, writeBytes }: LargeFile): LargeFile {
  const content = new SeededBytes('a large file');
  const fd = openSync(hostPath, 'wx');
  for (let at = 0; at < sizeBytes; at += WRITE_BYTES)
    writeSync(fd, content.at(at, Math.min(WRITE_BYTES, sizeBytes - at)));
  fdatasyncSync(fd);
  closeSync(fd);
  return { hostPath, sizeBytes, forks, writeBytes };
}

/** The position of the block that fork `index` overwrites, a different one in each fork. */
export function changedPosition({ sizeBytes }: LargeFile, index: number): number {
  return ((index * 104_729 + 1000) % (sizeBytes / BLOCK_BYTES)) * BLOCK_BYTES;
}

/** The calls that the measurement makes; node:fs has them, and so has the fs of a fork. */
export interface LargeFileCalls {
  openSync(path: string, flags: string): number;
  closeSync(fd: number): void;
  readSync(fd: number, buffer: Buffer, offset: number, length: number, position: number): number;
  writeSync(fd: number, buffer: Buffer, offset: number, length: number, position: number): number;
}

export const hostCalls: LargeFileCalls = { openSync, closeSync, readSync, writeSync };

/** Opens a file, writes to it, and closes it; returns the milliseconds of that. */
export function firstWrite(fs: LargeFileCalls, path: string, position: number, bytes: number): number {
  const block = Buffer.alloc(bytes, 7);
  const started = process.hrtime.bigint();
  const fd = fs.openSync(path, 'r+');
  fs.writeSync(fd, block, 0, bytes, position);
  fs.closeSync(fd);
  return Number(process.hrtime.bigint() - started) / 1e6;
}

/** Reads a file from end to end. */
export function readThrough(fs: LargeFileCalls, path: string, sizeBytes: number): void {
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  const fd = fs.openSync(path, 'r');
  for (let at = 0; at < sizeBytes; ) {
    const bytes = fs.readSync(fd, buffer, 0, READ_BYTES, at);
    if (bytes === 0) throw new Error(`${path} ends at ${at}, not at ${sizeBytes}`);
    at += bytes;
  }
  fs.closeSync(fd);
}

/** Drops `files` from memory, calls `read`, and returns the growth of `Cached`, their resident pages, and the time. */
export async function measureReading(
  files: readonly string[],
  read: () => void | Promise<void>,
): Promise<Pick<LargeFileFigures, 'cachedMib' | 'residentMib' | 'readMs'>> {
  const system = createSystem();
  evictFiles(system, files);
  const before = cachedBytes();
  const started = performance.now();
  await read();
  const readMs = summarize([performance.now() - started]);
  const after = cachedBytes();
  const resident = residentBytes(system, files);
  return { cachedMib: inMib(cachedGrowth(system, before, after)), residentMib: inMib(resident), readMs };
}

function inMib(bytes: number | Absent): Cell {
  return isAbsent(bytes) ? bytes : summarize([bytes / MIB]);
}
