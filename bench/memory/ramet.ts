/** Ramet in the memory benchmark. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { diskBytes, filesUnder } from '../../src/demo/index.ts';
import { Store } from '../../src/library/index.ts';
import { summarize, summarizeSingle } from '../measure/sampling.ts';
import type { WorkDirectory } from '../measure/work-directory.ts';
import {
  changedPosition,
  firstWrite,
  type LargeFile,
  type LargeFileCalls,
  type LargeFileFigures,
  MIB,
  measureReading,
  readThrough,
} from './large-file.ts';

/** Number of first writes that are made in another store before any is timed, so that their code is compiled. */
export const WARM_UP_FORKS = 100;

/** The part of the fs of a fork that is used here. */
function callsOf(tree: { readonly fs: unknown }): LargeFileCalls {
  return tree.fs as LargeFileCalls; // The cast: the fs of a fork has the calls of node:fs.
}

/** Imports the file's directory; returns the path of the file in the trees. */
async function importFile(hostPath: string, storeDirectory: string): Promise<string> {
  const store = await Store.open(storeDirectory);
  await store.import(path.dirname(hostPath), { name: 'base' });
  await store.close();
  return `/${path.basename(hostPath)}`;
}

/** Forks the snapshot for each position, and overwrites a block there. Returns the milliseconds of each first write. */
async function forkAndWrite(
  storeDirectory: string,
  file: string,
  positions: readonly number[],
  bytes: number,
): Promise<number[]> {
  const store = await Store.open(storeDirectory);
  const base = await store.snapshot('base');
  const writes: number[] = [];
  for (const [index, position] of positions.entries()) {
    const fork = await base.fork(`fork-${index}`);
    writes.push(firstWrite(callsOf(fork), file, position, bytes));
    await fork.close();
  }
  await store.close();
  return writes;
}

async function warmUp(directory: string, bytes: number): Promise<void> {
  mkdirSync(`${directory}/warm-up`);
  const hostPath = `${directory}/warm-up/file`;
  writeFileSync(hostPath, Buffer.alloc(MIB, 1));
  const storeDirectory = `${directory}/warm-up-store`;
  const file = await importFile(hostPath, storeDirectory);
  await forkAndWrite(storeDirectory, file, new Array<number>(WARM_UP_FORKS).fill(0), bytes);
}

export async function measureRamet(large: LargeFile, work: WorkDirectory): Promise<LargeFileFigures> {
  const directory = work.join(`ramet-${path.basename(large.hostPath)}`);
  mkdirSync(directory);
  await warmUp(directory, large.writeBytes);
  const storeDirectory = `${directory}/store`;
  const file = await importFile(large.hostPath, storeDirectory);
  const usedBefore = diskBytes(storeDirectory);
  const positions = Array.from({ length: large.forks }, (_, index) => changedPosition(large, index));
  const writes = await forkAndWrite(storeDirectory, file, positions, large.writeBytes);
  const grown = diskBytes(storeDirectory) - usedBefore;
  const blobs = filesUnder(path.join(storeDirectory, 'blobs'));
  let store: Store | undefined;
  const reading = await measureReading(blobs, async () => {
    store = await Store.open(storeDirectory);
    for (const index of positions.keys()) {
      readThrough(callsOf(await store.fork(`fork-${index}`)), file, large.sizeBytes);
    }
  });
  // Closed only after the memory was measured, since closing frees some.
  await store?.close();
  return {
    ...reading,
    diskMib: summarize([grown / MIB]),
    firstWriteMs: summarizeSingle(writes),
  };
}
