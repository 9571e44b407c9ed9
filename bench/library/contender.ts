/** One contender of the library benchmark, in its own process: `node contender.js '{…}'`. */
import { contenderArgument } from '../measure/contender.ts';
import { type SamplingOptions, sampleCalls, samplePromises, summarizeSingle } from '../measure/sampling.ts';
import type { Sampled } from '../measure/table.ts';
import {
  type LibraryArgument,
  type LibraryResult,
  READ_BYTES,
  WIDE_DIRECTORIES,
  WIDE_ENTRIES,
} from './cases.ts';
import { type OpenTree, openJustBash, openLibraryTree, type PromisedFs } from './trees.ts';

type WarmResult = Omit<LibraryResult, 'readdirCold'>;

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`the measured call did not do its work: ${what}`);
}

function isFilledWith(bytes: string | Uint8Array, expected: Buffer): boolean {
  return Buffer.compare(Buffer.from(bytes as Uint8Array), expected) === 0; // The cast: no encoding was given.
}

function warmCases({ fs, root }: OpenTree, sampling: SamplingOptions): WarmResult {
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
      // Reads are scattered over the file, so that no single block is hot.
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
  expect(isFilledWith(fs.readFileSync(overwritten), data), 'writeFile');
  return result;
}

/** Like `warmCases`, with calls that return promises, each awaited. */
async function promisedCases(fs: PromisedFs, sampling: SamplingOptions): Promise<WarmResult> {
  const data = Buffer.alloc(READ_BYTES, 3);
  expect((await fs.readFileBuffer('/src/file-50')).length === READ_BYTES, 'readFile');
  expect((await fs.readdir('/wide-0')).length === WIDE_ENTRIES, 'readdir');
  const result = {
    read: { absentBecause: 'it has no descriptors' },
    readFile: await samplePromises(() => fs.readFileBuffer('/src/file-50'), sampling),
    stat: await samplePromises(() => fs.stat('/src/file-50'), sampling),
    writeFile: await samplePromises(() => fs.writeFile('/src/file-60', data), sampling),
    createUnlink: await samplePromises(async () => {
      await fs.writeFile('/src/created', Buffer.alloc(0));
      await fs.rm('/src/created');
    }, sampling),
    readdir: await samplePromises(() => fs.readdir('/wide-0'), sampling),
  };
  expect(isFilledWith(await fs.readFileBuffer('/src/file-60'), data), 'writeFile');
  return result;
}

/** Microseconds of the first readdir of each wide directory after the tree was opened, with a warm host cache. */
async function coldReaddir(argument: LibraryArgument): Promise<Sampled> {
  const samples: number[] = [];
  // One round is enough for the others: they keep nothing that opening again would discard.
  const rounds = argument.contender.kind === 'ramet' ? argument.sampling.rounds : 1;
  for (let round = 0; round < rounds; round++) {
    const tree = await openLibraryTree(argument);
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

async function measure(argument: LibraryArgument): Promise<LibraryResult> {
  const { contender, root, sampling } = argument;
  if (contender.kind === 'just-bash') {
    const fs = await openJustBash(contender, root);
    return { ...(await promisedCases(fs, sampling)), readdirCold: { absentBecause: 'it keeps no names' } };
  }
  const tree = await openLibraryTree(argument);
  const warm = warmCases(tree, sampling);
  await tree.close();
  return { ...warm, readdirCold: await coldReaddir(argument) };
}

process.stdout.write(JSON.stringify(await measure(contenderArgument<LibraryArgument>())));
