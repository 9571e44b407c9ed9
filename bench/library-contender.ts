/** One contender of the library benchmark, in its own process: `node library-contender.js '{…}'`. */
import * as hostFs from 'node:fs';
import { createFsFromVolume, Volume } from 'memfs';
import { Store } from '../src/index.ts';
import { contenderArgument } from './contender.ts';
import {
  type LibraryArgument,
  type LibraryResult,
  READ_BYTES,
  WIDE_DIRECTORIES,
  WIDE_ENTRIES,
} from './library-cases.ts';
import { type SamplingOptions, sampleCalls, summarizeSingle } from './sampling.ts';
import type { Sampled } from './table.ts';

/** The part of node:fs that is measured. */
interface MeasuredFs {
  openSync(path: string, flags: string): number;
  closeSync(fd: number): void;
  readSync(fd: number, buffer: Buffer, offset: number, length: number, position: number): number;
  readFileSync(path: string): string | Buffer;
  statSync(path: string): { readonly size: number } | undefined;
  writeFileSync(path: string, data: Buffer): void;
  unlinkSync(path: string): void;
  readdirSync(path: string): readonly unknown[];
}

/** An open tree: its fs, and the path of its root. */
interface Tree {
  readonly fs: MeasuredFs;
  readonly root: string;
  close(): Promise<void>;
}

const NOTHING = (): Promise<void> => Promise.resolve();

function openMemfs(root: string): Tree {
  const volume = new Volume();
  for (const entry of hostFs.readdirSync(root, { recursive: true, withFileTypes: true })) {
    const host = `${entry.parentPath}/${entry.name}`;
    const inside = host.slice(root.length);
    if (entry.isDirectory()) volume.mkdirSync(inside, { recursive: true });
    else {
      volume.mkdirSync(entry.parentPath.slice(root.length) || '/', { recursive: true });
      volume.writeFileSync(inside, hostFs.readFileSync(host));
    }
  }
  // Its calls are node's; the types differ in overloads that are not used here.
  return { fs: createFsFromVolume(volume) as unknown as MeasuredFs, root: '', close: NOTHING };
}

async function openRamet(storeDirectory: string, name: string): Promise<Tree> {
  const store = await Store.open(storeDirectory);
  const fork = await store.fork(name);
  return { fs: fork.fs as MeasuredFs, root: '', close: () => store.close() };
}

async function openTree({ contender, root, storeDirectory, fork }: LibraryArgument): Promise<Tree> {
  if (contender === 'node:fs') return { fs: hostFs, root, close: NOTHING };
  if (storeDirectory !== undefined && fork !== undefined) return openRamet(storeDirectory, fork);
  return openMemfs(root);
}

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`the measured call did not do its work: ${what}`);
}

function warmCases({ fs, root }: Tree, sampling: SamplingOptions): Omit<LibraryResult, 'readdirCold'> {
  const buffer = Buffer.alloc(READ_BYTES);
  const data = Buffer.alloc(READ_BYTES, 3);
  const fd = fs.openSync(`${root}/large`, 'r');
  const blocks = (fs.statSync(`${root}/large`)?.size ?? 0) / READ_BYTES;
  expect(blocks > 0, 'stat of the large file');
  const file = `${root}/src/file-50`;
  const overwritten = `${root}/src/file-60`;
  const created = `${root}/src/created`;
  const wide = `${root}/wide-0`;
  expect(fs.readFileSync(file).length === READ_BYTES, 'readFile');
  expect(fs.readdirSync(wide).length === WIDE_ENTRIES, 'readdir');
  const result = {
    read: sampleCalls((index) => {
      // Scattered over the file, so that no single block is the hot one.
      fs.readSync(fd, buffer, 0, READ_BYTES, ((index * 7919) % blocks) * READ_BYTES);
    }, sampling),
    readFile: sampleCalls(() => void fs.readFileSync(file), sampling),
    stat: sampleCalls(() => void fs.statSync(file), sampling),
    writeFile: sampleCalls(() => fs.writeFileSync(overwritten, data), sampling),
    createUnlink: sampleCalls(() => {
      fs.closeSync(fs.openSync(created, 'wx'));
      fs.unlinkSync(created);
    }, sampling),
    readdir: sampleCalls(() => void fs.readdirSync(wide), sampling),
  };
  fs.closeSync(fd);
  expect(Buffer.compare(fs.readFileSync(overwritten) as Buffer, data) === 0, 'writeFile');
  return result;
}

/** Microseconds of the first readdir of each wide directory after the tree was opened, the host's cache being warm. */
async function coldReaddir(argument: LibraryArgument): Promise<Sampled> {
  const samples: number[] = [];
  // The others keep nothing that opening again would throw away.
  const rounds = argument.storeDirectory === undefined ? 1 : argument.sampling.rounds;
  for (let round = 0; round < rounds; round++) {
    const tree = await openTree(argument);
    for (let wide = 0; wide < WIDE_DIRECTORIES; wide++) {
      const path = `${tree.root}/wide-${wide}`;
      const started = process.hrtime.bigint();
      tree.fs.readdirSync(path);
      samples.push(Number(process.hrtime.bigint() - started) / 1000);
    }
    await tree.close();
  }
  return summarizeSingle(samples);
}

const argument = contenderArgument<LibraryArgument>();
const tree = await openTree(argument);
const warm = warmCases(tree, argument.sampling);
await tree.close();
const result: LibraryResult = { ...warm, readdirCold: await coldReaddir(argument) };
process.stdout.write(JSON.stringify(result));
