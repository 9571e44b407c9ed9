/** How cost grows: with the files of a tree, with the layers under it, with the forks that are open. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { type Absent, isAbsent } from '../../src/demo/index.ts';
import { Store } from '../../src/library/index.ts';
import { StoreEngine } from '../../src/store/index.ts';
import { collectGarbage } from '../../src/upkeep/index.ts';
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import { runContender } from '../measure/contender.ts';
import { summarize } from '../measure/sampling.ts';
import type { Cell, Row, Sampled, Section, Unit } from '../measure/table.ts';
import { firstLine, runProgram, type WorkDirectory, whyNotRoot } from '../measure/work-directory.ts';
import { mountImage, mountOverlay } from '../peers/mounts.ts';
import {
  type DepthArgument,
  type DepthResult,
  type FilesArgument,
  type FilesResult,
  type ForksArgument,
  type ForksResult,
  filePath,
  layerFile,
} from './cases.ts';

const DEPTH_CONTENDER = new URL('./depth-contender.js', import.meta.url);
const FILES_CONTENDER = new URL('./files-contender.js', import.meta.url);
const FORKS_CONTENDER = new URL('./forks-contender.js', import.meta.url);

const FILES = [1_000, 10_000, 100_000, 1_000_000];
const DEPTHS = [1, 2, 4, 8, 16, 32, 64];
const FORKS = [1, 10, 100, 1_000];
/** Peers that copy get no larger tree: copying one takes minutes. */
const COPIED_FILES_MAX = 100_000;
/** Number of directories in the tree under the chain, of files in each, and of names that each layer adds. */
const DEPTH_DIRECTORIES = 200;
const DEPTH_FILES = 25;
const CHANGES_PER_LAYER = 50;
/** A cost that grows less than this from the first column to the last counts as flat or logarithmic. */
const GROWTH_MAX = 2.5;

type Results<Result> = ReadonlyMap<string, Result>;

function count(value: number): string {
  return value.toLocaleString('en-US');
}

/** A row with a column for each size, and how much its cost grows over all of them. */
function row<Result>(
  what: string,
  unit: Unit,
  results: Results<Result>,
  pick: (result: Result) => Cell | undefined,
): Row {
  const cells: Record<string, Cell> = {};
  const medians: number[] = [];
  for (const [name, result] of results) {
    const cell = pick(result);
    if (cell === undefined) continue;
    cells[name] = cell;
    if (!isAbsent(cell)) medians.push(cell.median);
  }
  // Only times have a growth: memory divided by few forks is noise, and a count is no cost.
  const isCost = unit === 'µs' || unit === 'ms';
  const growth = isCost && medians.length > 1 ? medians[medians.length - 1]! / medians[0]! : undefined;
  return { what, unit, cells, ...(growth === undefined ? {} : { growth, growthMax: GROWTH_MAX }) };
}

function section<Result>(
  title: string,
  results: Results<Result>,
  rows: readonly Row[],
  notes: string[],
): Section {
  return { title, peers: [], own: [], columns: [...results.keys()], rows, notes };
}

// Files.

/** Makes `files` files of 100 bytes, 50 in a directory, and one directory of as many empty files. */
function makeFiles(root: string, files: number): void {
  let made = '';
  for (let index = 0; index < files; index++) {
    const path = filePath(index);
    const directory = path.slice(0, path.lastIndexOf('/'));
    if (directory !== made) mkdirSync(`${root}${directory}`, { recursive: true });
    made = directory;
    writeFileSync(`${root}${path}`, `file ${index}`.padEnd(100));
  }
  mkdirSync(`${root}/wide`);
  for (let index = 0; index < files; index++) writeFileSync(`${root}/wide/entry-${index}`, '');
}

interface FilesFigures {
  readonly own: FilesResult;
  readonly host: FilesResult;
  /** Microseconds a file. */
  readonly importUs: Cell;
  readonly copyUs: Cell;
  readonly xfsUs: Cell;
  /** Milliseconds for the tree. */
  readonly btrfsMs: Cell;
  readonly overlayMs: Cell;
}

function timed(work: () => void): Sampled {
  const started = performance.now();
  work();
  return summarize([performance.now() - started]);
}

function perFile(cell: Cell, files: number): Cell {
  return isAbsent(cell) ? cell : summarize([(cell.median * 1000) / files]);
}

function copyMs(root: string, target: string): Cell {
  try {
    return timed(() => runProgram('cp', '-a', root, target));
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

/** Copies the tree to a filesystem in an image file, then measures `fork` there. */
function onImage(
  kind: 'xfs' | 'btrfs',
  { work, root, files }: { work: WorkDirectory; root: string; files: number },
  fork: (point: string) => void,
): Cell {
  if (files > COPIED_FILES_MAX) return { absentBecause: 'a copy of the largest tree to it takes minutes' };
  const image = mountImage(kind, work, 4 * 2 ** 30);
  if (isAbsent(image)) return image;
  try {
    if (kind === 'btrfs') runProgram('btrfs', 'subvolume', 'create', `${image.point}/base`);
    runProgram('cp', '-a', `${root}/.`, `${image.point}/base`);
    runProgram('sync', '-f', image.point);
    return timed(() => fork(image.point));
  } catch (error) {
    return { absentBecause: `${kind} cannot be used here: ${firstLine(error)}` };
  } finally {
    image.unmount();
  }
}

function overlayMs(work: WorkDirectory, root: string, files: number): Cell {
  const reason = whyNotRoot();
  if (reason !== undefined) return { absentBecause: reason };
  try {
    let unmount = (): void => undefined;
    const time = timed(() => {
      unmount = mountOverlay(root, work.join(`scale-overlay-${files}`), work).unmount;
    });
    unmount();
    return time;
  } catch (error) {
    return { absentBecause: `an overlay cannot be mounted here: ${firstLine(error)}` };
  }
}

async function measureFiles(work: WorkDirectory, files: number): Promise<FilesFigures> {
  const root = work.join(`scale-${files}`);
  const storeDirectory = work.join(`scale-store-${files}`);
  makeFiles(root, files);
  const store = await Store.open(storeDirectory);
  const started = performance.now();
  await store.import(root, { name: 'base' });
  const importMs = summarize([performance.now() - started]);
  await store.close();
  const all = files * 2;
  const place = { work, root, files };
  const figures: FilesFigures = {
    importUs: perFile(importMs, all),
    copyUs: perFile(copyMs(root, work.join('scale-copy')), all),
    own: await runContender<FilesResult>(FILES_CONTENDER, ramet(storeDirectory, files)),
    host: await runContender<FilesResult>(FILES_CONTENDER, host(root, files)),
    xfsUs: perFile(
      onImage('xfs', place, (point) =>
        runProgram('cp', '-a', '--reflink=always', `${point}/base`, `${point}/fork`),
      ),
      all,
    ),
    btrfsMs: onImage('btrfs', place, (point) =>
      runProgram('btrfs', 'subvolume', 'snapshot', `${point}/base`, `${point}/fork`),
    ),
    overlayMs: overlayMs(work, root, files),
  };
  for (const directory of [root, storeDirectory]) rmSync(directory, { recursive: true });
  return figures;
}

function ramet(storeDirectory: string, files: number): FilesArgument {
  return { kind: 'ramet', storeDirectory, files };
}

function host(root: string, files: number): FilesArgument {
  return { kind: 'host', root, files };
}

async function filesSection({ work, isQuick, onStep }: BenchContext): Promise<Section> {
  const results = new Map<string, FilesFigures>();
  for (const files of isQuick ? FILES.slice(0, 2) : FILES) {
    onStep(`a tree of ${count(files)} files`);
    results.set(`${count(files)} files`, await measureFiles(work, files));
  }
  return section(
    'Cost by the number of files',
    results,
    [
      row('Ramet: open the store', 'ms', results, ({ own }) => own.openMs),
      row('Ramet: fork', 'ms', results, ({ own }) => own.forkMs),
      row('btrfs: snapshot', 'ms', results, ({ btrfsMs }) => btrfsMs),
      row('overlayfs: mount', 'ms', results, (figures) => figures.overlayMs),
      row('XFS: cp --reflink, a file', 'µs', results, ({ xfsUs }) => xfsUs),
      row('ext4: cp -a, a file', 'µs', results, ({ copyUs }) => copyUs),
      row('Ramet: import, a file', 'µs', results, ({ importUs }) => importUs),
      row('Ramet: first stat of a name', 'µs', results, ({ own }) => own.firstStat),
      row('ext4: the same', 'µs', results, ({ host: of }) => of.firstStat),
      row('Ramet: stat again', 'µs', results, ({ own }) => own.statAgain),
      row('ext4: the same', 'µs', results, ({ host: of }) => of.statAgain),
      row(
        'Ramet: first readdir of all in one directory, a name',
        'µs',
        results,
        ({ own }) => own.firstReaddir,
      ),
      row('ext4: the same', 'µs', results, ({ host: of }) => of.firstReaddir),
      row('Ramet: readdir again, a name', 'µs', results, ({ own }) => own.readdirAgain),
      row('Ramet: resident memory after all that', 'MiB', results, ({ own }) => own.residentMib),
    ],
    [
      'a tree has so many small files in directories of 50, and as many empty ones again in one directory',
      'first: in a process that has just opened the tree; the host has in its caches what it keeps of so many inodes',
    ],
  );
}

// Depth.

/** Makes a chain of layers in a store, with a snapshot `at-<depth>` at each of the depths. */
async function makeChain(storeDirectory: string, depths: readonly number[]): Promise<void> {
  const engine = await StoreEngine.open(storeDirectory, {
    create: true,
    chainLayersMax: Number.POSITIVE_INFINITY,
  });
  const tree = engine.createEmpty('work');
  const make = (path: string): void => {
    tree.fileSystem.close(tree.fileSystem.open(path, 0o102, 0o644));
  };
  for (let directory = 0; directory < DEPTH_DIRECTORIES; directory++) {
    tree.fileSystem.makeDirectory(`/d${directory}`, 0o755);
    for (let file = 0; file < DEPTH_FILES; file++) make(`/d${directory}/f${file}`);
  }
  engine.freeze(tree);
  for (let layer = 1; layer <= Math.max(...depths); layer++) {
    if (depths.includes(layer)) engine.snapshot('work', `at-${layer}`);
    for (let change = 0; change < CHANGES_PER_LAYER; change++)
      make(layerFile(layer, change, DEPTH_DIRECTORIES));
    engine.freeze(tree);
  }
  await engine.close();
}

/** Makes the same layers as directories of the host, for an overlay: named by number, 0 the lowest. */
function makeLowers(root: string, layers: number): void {
  for (let layer = 0; layer < layers; layer++) {
    for (let directory = 0; directory < DEPTH_DIRECTORIES; directory++) {
      if (layer > 0) break;
      mkdirSync(`${root}/0/d${directory}`, { recursive: true });
      for (let file = 0; file < DEPTH_FILES; file++) writeFileSync(`${root}/0/d${directory}/f${file}`, '');
    }
    for (let change = 0; layer > 0 && change < CHANGES_PER_LAYER; change++) {
      const path = `${root}/${layer}${layerFile(layer, change, DEPTH_DIRECTORIES)}`;
      mkdirSync(path.slice(0, path.lastIndexOf('/')), { recursive: true });
      writeFileSync(path, '');
    }
  }
}

async function overlayDepth(work: WorkDirectory, depth: number): Promise<DepthResult | Absent> {
  const reason = whyNotRoot();
  if (reason !== undefined) return { absentBecause: reason };
  const root = work.join('depth-lowers');
  const directory = work.join(`depth-overlay-${depth}`);
  for (const part of ['upper', 'work', 'point']) mkdirSync(`${directory}/${part}`, { recursive: true });
  // Names relative to the directory of the lowers are short: mount options have room for one page of text.
  const lowers = Array.from({ length: depth }, (_, at) => depth - 1 - at).join(':');
  const options = `lowerdir=${lowers},upperdir=${directory}/upper,workdir=${directory}/work`;
  const point = `${directory}/point`;
  const command = 'cd "$1" && exec mount -t overlay overlay -o "$2" "$3"';
  try {
    runProgram('sh', '-c', command, 'sh', root, options, point);
  } catch (error) {
    return { absentBecause: `an overlay of this depth cannot be mounted here: ${firstLine(error)}` };
  }
  const unmount = work.onRemove(() => runProgram('umount', point));
  try {
    const argument: DepthArgument = { root: point, depth, directories: DEPTH_DIRECTORIES };
    return await runContender<DepthResult>(DEPTH_CONTENDER, argument);
  } finally {
    unmount();
  }
}

interface DepthFigures {
  readonly chain: DepthResult;
  readonly flat: DepthResult;
  readonly overlay: DepthResult | Absent;
}

async function depthSection({ work, isQuick, onStep }: BenchContext): Promise<Section> {
  const depths = isQuick ? DEPTHS.slice(0, 4) : DEPTHS;
  const [chains, flats] = [work.join('depth-chain'), work.join('depth-flat')];
  onStep('chains of layers');
  for (const directory of [chains, flats]) await makeChain(directory, depths);
  makeLowers(work.join('depth-lowers'), Math.max(...depths));
  const flattening = await StoreEngine.open(flats);
  collectGarbage(flattening);
  await flattening.close();
  const results = new Map<string, DepthFigures>();
  for (const depth of depths) {
    onStep(`a chain of ${depth} layers`);
    const measure = (storeDirectory: string): Promise<DepthResult> => {
      const argument = { storeDirectory, tree: `at-${depth}`, depth, directories: DEPTH_DIRECTORIES };
      return runContender<DepthResult>(DEPTH_CONTENDER, argument);
    };
    results.set(`depth ${depth}`, {
      chain: await measure(chains),
      flat: await measure(flats),
      overlay: await overlayDepth(work, depth),
    });
  }
  const cases = (what: string, pick: (result: DepthResult) => Sampled): Row[] => [
    row(`${what}: Ramet`, 'µs', results, ({ flat }) => pick(flat)),
    row(`${what}: Ramet, nothing flattened`, 'µs', results, ({ chain }) => pick(chain)),
    row(`${what}: overlayfs`, 'µs', results, ({ overlay }) => (isAbsent(overlay) ? overlay : pick(overlay))),
  ];
  return section(
    'Cost by the number of layers',
    results,
    [
      ...cases('first stat of a name of the lowest layer', ({ base }) => base),
      ...cases('first stat of a name of a middle layer', ({ middle }) => middle),
      ...cases('stat of a name that is not there', ({ missing }) => missing),
      ...cases('stat again', ({ again }) => again),
      ...cases('first readdir of a directory', ({ readdir }) => readdir),
      row('layers after flattening', 'count', results, ({ flat }) => summarize([flat.layers])),
    ],
    [
      `${count(DEPTH_DIRECTORIES * DEPTH_FILES)} files in ${DEPTH_DIRECTORIES} directories`,
      `each layer adds ${CHANGES_PER_LAYER} names`,
      'each in a fresh process',
      'an overlay has the dentries of its lowers in memory, Ramet only the pages of its tables',
    ],
  );
}

// Forks.

async function forksSection({ work, isQuick, onStep }: BenchContext): Promise<Section> {
  const root = work.join('scale-forks');
  const storeDirectory = work.join('scale-forks-store');
  makeFiles(root, 10_000);
  const store = await Store.open(storeDirectory);
  await store.import(root, { name: 'base' });
  await store.close();
  const results = new Map<string, ForksResult>();
  for (const forks of isQuick ? FORKS.slice(0, 3) : FORKS) {
    onStep(`${count(forks)} forks open at once`);
    const argument: ForksArgument = { storeDirectory, forks };
    results.set(`${count(forks)} forks`, await runContender<ForksResult>(FORKS_CONTENDER, argument));
  }
  return section(
    'Cost by the number of forks that are open at once',
    results,
    [
      row('fork', 'ms', results, ({ forkMs }) => forkMs),
      row('JavaScript memory, a fork, idle', 'KiB', results, (of) => of.idleHeapKib),
      row('resident memory, a fork, idle', 'KiB', results, (of) => of.idleResidentKib),
      row('JavaScript memory, a fork, a file read and one written', 'KiB', results, (of) => of.usedHeapKib),
      row('resident memory, a fork, the same', 'KiB', results, (of) => of.usedResidentKib),
      row('descriptors of the process', 'count', results, (of) => of.descriptors),
    ],
    ['of a tree of 20,000 files; memory of few forks is below what can be measured, and mostly noise'],
  );
}

export const scaleBenchmark: Benchmark = {
  name: 'scale',
  about: 'how cost grows with files, layers, and open forks',
  run: async (context) => [
    await filesSection(context),
    await depthSection(context),
    await forksSection(context),
  ],
};
