/** A tree of many small files on the host, and a store with a snapshot of it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { SeededBytes } from '../../src/demo/index.ts';
import { Store } from '../../src/library/index.ts';
import type { WorkDirectory } from './work-directory.ts';

export interface TreeStore {
  /** The tree on the host. */
  readonly hostDirectory: string;
  readonly storeDirectory: string;
  /** Name of the snapshot. */
  readonly snapshot: string;
  readonly files: number;
  readonly directories: number;
  readonly importMs: number;
}

/** Sizes of source files: most are small. */
const SIZES = [200, 700, 1500, 3000, 900, 6000, 400, 12_000, 2200, 1100];

/** Makes `directories` directories, twenty in each parent, with `files` files in all, no two alike. */
export function makeHostTree(root: string, directories: number, files: number): void {
  const content = new SeededBytes('a tree of small files').at(0, 4 * 1024 * 1024);
  const perDirectory = files / directories;
  for (let at = 0; at < directories; at++) {
    const directory = path.join(root, `part-${Math.floor(at / 20)}`, `module-${at}`);
    mkdirSync(directory, { recursive: true });
    for (let file = 0; file < perDirectory; file++) {
      const index = at * perDirectory + file;
      const start = (index * 32) % (content.length - 16_384);
      const bytes = Buffer.from(content.subarray(start, start + SIZES[index % SIZES.length]!));
      bytes.writeUInt32LE(index);
      writeFileSync(path.join(directory, `file-${file}.ts`), bytes);
    }
  }
}

export async function makeTreeStore(
  work: WorkDirectory,
  directories: number,
  files: number,
): Promise<TreeStore> {
  const hostDirectory = work.join('tree');
  const storeDirectory = work.join('tree-store');
  makeHostTree(hostDirectory, directories, files);
  const store = await Store.open(storeDirectory);
  const started = performance.now();
  await store.import(hostDirectory, { name: 'base' });
  const importMs = performance.now() - started;
  await store.close();
  return { hostDirectory, storeDirectory, snapshot: 'base', files, directories, importMs };
}
