/** For tests: random files with holes, and the data ranges of files, for the host, open trees and mounts alike. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import type { SeededRandom } from '../../src/base/index.ts';
import type { System } from '../../src/sys/index.ts';
import { patternBytes } from '../stores/shared-store.ts';

const BLOCK = 4096;
/** The longest random file. */
const BYTES_MAX = 300 * BLOCK;

/** lseek(2) of one file. */
export interface Seeks {
  readonly sizeBytes: number;
  data(position: number): number | undefined;
  hole(position: number): number | undefined;
}

/** A change of a file's bytes or holes. */
export type SparseChange =
  | { readonly is: 'write'; readonly bytes: Buffer; readonly position: number }
  | { readonly is: 'punch'; readonly position: number; readonly length: number }
  | { readonly is: 'cut'; readonly size: number };

/** Random changes that make a file, or change it later. */
export function randomChanges(random: SeededRandom, count: number): SparseChange[] {
  const position = (): number => {
    const at = random.below(BYTES_MAX);
    // Half of the changes begin at a block boundary.
    return random.below(2) === 0 ? at : at - (at % BLOCK);
  };
  return Array.from({ length: count }, () => {
    switch (random.below(6)) {
      case 0:
        return { is: 'punch', position: position(), length: 1 + random.below(20 * BLOCK) };
      case 1:
        return { is: 'cut', size: position() };
      default: {
        const bytes = patternBytes(1 + random.below(6 * BLOCK), random.below(1000));
        return { is: 'write', bytes, position: position() };
      }
    }
  });
}

export function changeHostFile(system: System, path: string, changes: readonly SparseChange[]): void {
  const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
  for (const change of changes) {
    if (change.is === 'write') fs.writeSync(fd, change.bytes, 0, change.bytes.length, change.position);
    else if (change.is === 'cut') fs.ftruncateSync(fd, change.size);
    else assert.ok(system.punch(fd, change.position, change.length), 'the host can punch holes');
  }
  fs.closeSync(fd);
}

/** lseek(2) of a file of the host, or of a mount. `close` it. */
export function hostSeeks(system: System, path: string): Seeks & { close(): void } {
  const fd = fs.openSync(path, 'r');
  return {
    sizeBytes: fs.fstatSync(fd).size,
    data: (position) => system.seekData(fd, position),
    hole: (position) => system.seekHole(fd, position),
    close: () => fs.closeSync(fd),
  };
}

/** The data ranges of a file, found with lseek(2) from its beginning to its end. */
export function dataWalk({ sizeBytes, data, hole }: Seeks): [start: number, end: number][] {
  const found: [number, number][] = [];
  for (let position = 0; position < sizeBytes; ) {
    const start = data(position);
    if (start === undefined) break;
    assert.ok(start >= position, 'SEEK_DATA does not go back');
    const end = hole(start);
    assert.ok(end !== undefined && end > start && end <= sizeBytes, `data at ${start} ends at ${end}`);
    found.push([start, end]);
    position = end;
  }
  return found;
}

export function hostWalk(system: System, path: string): [start: number, end: number][] {
  const seeks = hostSeeks(system, path);
  try {
    return dataWalk(seeks);
  } finally {
    seeks.close();
  }
}

/** Asserts that both files have the same data and holes, at random positions too. */
export function assertSameSeeks(actual: Seeks, expected: Seeks, random: SeededRandom, label: string): void {
  assert.equal(actual.sizeBytes, expected.sizeBytes, label);
  assert.deepEqual(dataWalk(actual), dataWalk(expected), label);
  for (let times = 0; times < 20; times++) {
    const at = random.below(expected.sizeBytes + BLOCK);
    assert.deepEqual(
      [actual.data(at), actual.hole(at)],
      [expected.data(at), expected.hole(at)],
      `${label}, at ${at}`,
    );
  }
}

/** The blocks of the ranges of a walk. */
export function blocksOf(walk: readonly [start: number, end: number][]): number[] {
  const blocks = new Set<number>();
  for (const [start, end] of walk)
    for (let block = Math.floor(start / BLOCK); block * BLOCK < end; block++) blocks.add(block);
  return [...blocks];
}

/** The blocks with data after changes, by a naive model of a filesystem with blocks of 4,096 bytes. */
export function blocksAfter(
  blocks: readonly number[],
  sizeBytes: number,
  changes: readonly SparseChange[],
): number[] {
  const left = new Set(blocks);
  const drop = (first: number, end: number): void => {
    for (const block of [...left]) if (block >= first && block < end) left.delete(block);
  };
  let size = sizeBytes;
  for (const change of changes) {
    if (change.is === 'cut') {
      drop(Math.ceil(change.size / BLOCK), Number.POSITIVE_INFINITY);
      size = change.size;
      continue;
    }
    const length = change.is === 'write' ? change.bytes.length : change.length;
    const end = change.position + length;
    if (change.is === 'punch') {
      // Beyond the end of the file there is nothing to keep.
      const last = end >= size ? Math.ceil(end / BLOCK) : Math.floor(end / BLOCK);
      drop(Math.ceil(change.position / BLOCK), last);
    } else {
      for (let block = Math.floor(change.position / BLOCK); block * BLOCK < end; block++) left.add(block);
      size = Math.max(size, end);
    }
  }
  return [...left].sort((a, b) => a - b);
}

/** Makes a file of 2 GiB that is one hole, except for a block of `x` at 1 GiB. */
export function makeLargeSparse(system: System, path: string): void {
  changeHostFile(system, path, [
    { is: 'cut', size: 2 ** 31 },
    { is: 'write', bytes: Buffer.alloc(BLOCK, 'x'), position: 2 ** 30 },
  ]);
}

/** The bytes that this process has read until now, from files and caches: proc_pid_io(5). */
export function bytesRead(): number {
  return Number(/^rchar: (\d+)$/m.exec(fs.readFileSync('/proc/self/io', 'utf8'))?.[1]);
}
