/** One contender of the sequential benchmark, in its own process: `node sequential-contender.js '{…}'`. */
import { evictFiles, filesUnder } from '../../src/demo/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { contenderArgument } from '../measure/contender.ts';
import { QUICK, summarize } from '../measure/sampling.ts';
import type { Cell } from '../measure/table.ts';
import type { SequentialArgument, SequentialResult } from './sequential-cases.ts';
import { openLibraryTree } from './trees.ts';

const PIECE_BYTES = 2 ** 20;
const WARM_ROUNDS = 3;

/** The calls that are measured; the fs of every contender has them. */
interface SequentialFs {
  openSync(path: string, flags: string): number;
  closeSync(fd: number): void;
  readSync(fd: number, buffer: Buffer, offset: number, length: number, position: number): number;
  writeSync(fd: number, buffer: Buffer, offset: number, length: number, position: number): number;
  fsyncSync(fd: number): void;
}

function elapsedMs(work: () => void): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}

function read(fs: SequentialFs, path: string, sizeBytes: number): void {
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  const fd = fs.openSync(path, 'r');
  for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
    if (fs.readSync(fd, buffer, 0, PIECE_BYTES, at) !== PIECE_BYTES) throw new Error(`short read at ${at}`);
    if (buffer[0] !== (at / PIECE_BYTES) % 251) throw new Error(`wrong byte at ${at}`);
  }
  fs.closeSync(fd);
}

const argument = contenderArgument<SequentialArgument>();
const { sizeBytes, behind } = argument;
const opening = { ...argument, sampling: QUICK };
let tree = await openLibraryTree(opening);
let fs = tree.fs as unknown as SequentialFs; // The cast: all of node:fs is there, though the type has few calls.
const path = `${tree.root}/sequential`;
const piece = Buffer.alloc(PIECE_BYTES, 7);
const fd = fs.openSync(path, 'w');
const writeMs = elapsedMs(() => {
  for (let at = 0; at < sizeBytes; at += PIECE_BYTES) {
    piece[0] = (at / PIECE_BYTES) % 251;
    fs.writeSync(fd, piece, 0, PIECE_BYTES, at);
  }
});
const syncMs = elapsedMs(() => fs.fsyncSync(fd));
fs.closeSync(fd);
const warm: number[] = [];
for (let round = 0; round < WARM_ROUNDS; round++) warm.push(elapsedMs(() => read(fs, path, sizeBytes)));
let coldMs: Cell = { absentBecause: 'it lies in this process alone' };
if (behind !== undefined) {
  await tree.close();
  evictFiles(createSystem(), filesUnder(behind));
  tree = await openLibraryTree(opening);
  fs = tree.fs as unknown as SequentialFs; // The cast: as at its declaration.
  coldMs = summarize([elapsedMs(() => read(fs, path, sizeBytes))]);
}
await tree.close();
const isHeldInProcess = behind === undefined;
const result: SequentialResult = {
  writeMs: summarize([writeMs]),
  syncMs: isHeldInProcess ? { absentBecause: 'it lies in this process alone' } : summarize([syncMs]),
  warmMs: summarize(warm),
  coldMs,
};
process.stdout.write(JSON.stringify(result));
