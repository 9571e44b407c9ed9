/** The memory that many mounted copies take: copies of one large file, each with a small change, and of a real tree. */
import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Absent, diskBytes, evictFiles, filesUnder, isAbsent } from '../../src/demo/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import { summarize, summarizeSingle } from '../measure/sampling.ts';
import type { Cell, Row, Section } from '../measure/table.ts';
import { readAll } from '../measure/timed-program.ts';
import { firstLine, runProgram, type WorkDirectory } from '../measure/work-directory.ts';
import {
  changedPosition,
  firstWrite,
  hostCalls,
  type LargeFile,
  MIB,
  makeLargeFile,
  measureReading,
} from '../memory/large-file.ts';
import {
  CONTENDERS,
  type ContenderKind,
  type MountContender,
  type MountedCopy,
  OTHER_MODES,
  OWN,
  PEERS,
} from './contenders.ts';

const FORKS = 16;
/** Time limit for the copies of the large file: a contender that copies every byte may not finish, and is left out. */
const COPIES_MS_MAX = 45_000;
const KIB = 1024;
/** Budgets beyond one copy of the file, in the default mode: the kernel's own pages, and everything that forks add. */
const KERNEL_PAGES_MIB = 64;
const BEYOND_ONE_COPY_MIB = 10;
const DISK_BUDGET_MIB = 1;
const FIRST_WRITE_BUDGET_MS = 0.1;
const IDLE_BUDGET_KIB = 64;
/** Pause after the copies were trimmed: an idle serving process gives back more memory. */
const IDLE_MS = 10_000;
/** The time limit for reading one copy. */
const READ_MS_MAX = 60_000;

interface LargeFigures {
  readonly cachedMib: Cell;
  readonly residentMib: Cell;
  readonly servingMib: Cell;
  readonly diskMib: Cell;
  readonly firstWriteMs: Cell;
  readonly readMs: Cell;
}

function absentLarge(absent: Absent): LargeFigures {
  return {
    cachedMib: absent,
    residentMib: absent,
    servingMib: absent,
    diskMib: absent,
    firstWriteMs: absent,
    readMs: absent,
  };
}

function sync(file: string): void {
  const fd = openSync(file, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

async function measureLarge(
  contender: MountContender,
  large: LargeFile,
  storage: () => number,
): Promise<LargeFigures> {
  const name = path.basename(large.hostPath);
  const servingBefore = await contender.servingBytes();
  const usedBefore = storage();
  const copies: MountedCopy[] = [];
  const writes: number[] = [];
  try {
    const started = performance.now();
    for (let index = 0; index < large.forks; index++) {
      if (performance.now() - started > COPIES_MS_MAX)
        throw new Error(`${index} of ${large.forks} copies took ${COPIES_MS_MAX / 1000} s: not measured`);
      const copy = await contender.copy();
      copies.push(copy);
      const file = path.join(copy.root, name);
      writes.push(firstWrite(hostCalls, file, changedPosition(large, index), large.writeBytes));
      sync(file);
    }
    const grown = storage() - usedBefore;
    const files = copies.map(({ root }) => path.join(root, name));
    const behind = new Set(copies.flatMap((copy) => copy.behind).flatMap(filesUnder));
    const own = files.filter((_file, index) => copies[index]!.hasOwnPages);
    const reading = await measureReading([...own, ...behind], () => {
      for (const file of files) runProgram('sh', '-c', 'cat "$1" > /dev/null', 'sh', file);
    });
    const serving = (await contender.servingBytes()) - servingBefore;
    return {
      ...reading,
      servingMib: summarize([serving / MIB]),
      diskMib: summarize([grown / MIB]),
      firstWriteMs: summarizeSingle(writes),
    };
  } finally {
    for (const copy of copies) await copy.unmount();
  }
}

/** Bytes allocated below the work directory: copies, upper directories, stores. Mounts inside it are not counted. */
function storageOf(work: WorkDirectory): number {
  const output = runProgram('du', '--one-file-system', '--block-size=1', '--summarize', work.path);
  return Number.parseInt(output, 10);
}

async function largeOf(kind: ContenderKind, large: LargeFile, context: BenchContext): Promise<LargeFigures> {
  context.onStep(`a large file in ${large.forks} mounted copies: ${kind.name}`);
  const { work } = context;
  const contender = await kind.open(path.dirname(large.hostPath), work);
  if (isAbsent(contender)) return absentLarge(contender);
  try {
    return await measureLarge(contender, large, () => storageOf(work));
  } catch (error) {
    return absentLarge({ absentBecause: firstLine(error) });
  } finally {
    await contender.close();
  }
}

async function runLarge(context: BenchContext): Promise<Section> {
  const sizeMib = context.isQuick ? 64 : 512;
  mkdirSync(context.work.join('large'));
  const hostPath = context.work.join('large', 'file');
  const large = makeLargeFile({ hostPath, sizeBytes: sizeMib * MIB, forks: FORKS, writeBytes: 4096 });
  const figures = new Map<string, LargeFigures>();
  for (const kind of CONTENDERS) figures.set(kind.name, await largeOf(kind, large, context));
  const row = (what: string, unit: Row['unit'], pick: (of: LargeFigures) => Cell, budget?: number): Row => ({
    what,
    unit,
    cells: Object.fromEntries([...figures].map(([name, of]) => [name, pick(of)])),
    ...(budget === undefined ? {} : { budget }),
  });
  const cachedBudget = sizeMib + BEYOND_ONE_COPY_MIB + KERNEL_PAGES_MIB;
  return {
    title: `A file of ${sizeMib} MiB in ${FORKS} mounted copies, one 4 KiB page changed in each, all read by cat`,
    peers: PEERS,
    own: [OWN],
    columns: OTHER_MODES,
    rows: [
      row('memory: growth of Cached', 'MiB', ({ cachedMib }) => cachedMib, cachedBudget),
      row('memory: pages of the files', 'MiB', ({ residentMib }) => residentMib, cachedBudget),
      row('memory of the serving processes: growth', 'MiB', ({ servingMib }) => servingMib),
      row('disk: growth', 'MiB', ({ diskMib }) => diskMib, DISK_BUDGET_MIB),
      row('first 4 KiB write in a copy', 'ms', ({ firstWriteMs }) => firstWriteMs, FIRST_WRITE_BUDGET_MS),
      row('reading all, from cold', 'ms', ({ readMs }) => readMs),
    ],
    notes: [
      'everything is dropped from memory before the baseline is taken; Cached is for the whole machine',
      'pages of the files: those of the files that are read, where the kernel keeps any, and of the files behind them',
      `with --io direct the budget is ${sizeMib + BEYOND_ONE_COPY_MIB} MiB`,
      'the first write is open, write, close; it does not include making the copy',
    ],
  };
}

/** Kernel memory and pages of files, in KiB, from /proc/meminfo: proc_meminfo(5). */
function kernelKib(): { readonly slab: number; readonly cached: number } {
  const text = readFileSync('/proc/meminfo', 'utf8');
  const of = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]);
  return { slab: of('Slab'), cached: of('Cached') };
}

interface MemoryNow {
  readonly slab: number;
  readonly cached: number;
  readonly serving: number;
}

async function memoryNow(contender: MountContender): Promise<MemoryNow> {
  return { ...kernelKib(), serving: (await contender.servingBytes()) / KIB };
}

/** Growth of each kind of memory per copy, in KiB. */
function perCopy(before: MemoryNow, now: MemoryNow, copies: number): Readonly<Record<string, number>> {
  const slab = (now.slab - before.slab) / copies;
  const serving = (now.serving - before.serving) / copies;
  const cached = (now.cached - before.cached) / copies;
  return { slab, serving, cached, together: slab + serving };
}

/** Growth of memory after mounting, after reading, and after an idle time (`idle`). */
type ManyFigures = Readonly<Record<'mounted' | 'read' | 'idle', ReturnType<typeof perCopy>>> & {
  readonly mountMs: number;
  readonly readMs: number;
  /** CPU time; undefined for a contender that cannot trim. */
  readonly trimMs: number | undefined;
};

/** Makes, reads and unmounts one copy, so that memory which a serving process takes only once is not measured. */
async function readOne(contender: MountContender): Promise<void> {
  const copy = await contender.copy();
  await readAll(READ_MS_MAX, copy.root);
  await copy.unmount();
}

/**
 * Brings a contender to the state after a while without requests: trims it, waits, and trims it again, since an idle
 * process gives back more memory. Resolves to the milliseconds of CPU time that this took; to undefined for a contender
 * that cannot trim.
 */
async function idle(contender: MountContender): Promise<number | undefined> {
  if (contender.trim === undefined) return undefined;
  const trimMs = await contender.trim();
  await setTimeout(IDLE_MS);
  return trimMs + (await contender.trim());
}

async function measureMany(contender: MountContender, count: number): Promise<ManyFigures> {
  await readOne(contender);
  await idle(contender);
  const before = await memoryNow(contender);
  const copies: MountedCopy[] = [];
  try {
    let started = performance.now();
    while (copies.length < count) copies.push(await contender.copy());
    const mountMs = (performance.now() - started) / count;
    const mounted = perCopy(before, await memoryNow(contender), count);
    started = performance.now();
    for (const { root } of copies) await readAll(READ_MS_MAX, root);
    const readMs = (performance.now() - started) / count;
    const read = perCopy(before, await memoryNow(contender), count);
    const trimMs = await idle(contender);
    const idleFigures = perCopy(before, await memoryNow(contender), count);
    const eachMs = trimMs === undefined ? undefined : trimMs / count;
    return { mounted, read, idle: idleFigures, mountMs, readMs, trimMs: eachMs };
  } finally {
    for (const copy of copies) await copy.unmount();
  }
}

/** The sources of this project. */
function makeRealTree(work: WorkDirectory): string {
  const root = work.join('real-tree');
  mkdirSync(root);
  const project = fileURLToPath(new URL('../../../', import.meta.url));
  for (const name of ['src', 'testing', 'docs', 'bench']) runProgram('cp', '-a', `${project}${name}`, root);
  return root;
}

async function runMany(context: BenchContext): Promise<Section> {
  const source = makeRealTree(context.work);
  const usual = context.isQuick ? 50 : 1000;
  // fuse-overlayfs runs a process for each copy; a thousand processes would be another experiment.
  const fewer = context.isQuick ? 10 : 100;
  const counts = new Map(['fuse-overlayfs', ...OTHER_MODES].map((name) => [name, fewer]));
  const figures = new Map<string, ManyFigures | Absent>();
  for (const kind of CONTENDERS) {
    if (kind.name === 'ext4') continue;
    context.onStep(`many mounted copies: ${kind.name}`);
    const contender = await kind.open(source, context.work);
    if (isAbsent(contender)) {
      figures.set(kind.name, contender);
      continue;
    }
    evictFiles(createSystem(), filesUnder(source));
    try {
      figures.set(kind.name, await measureMany(contender, counts.get(kind.name) ?? usual));
    } catch (error) {
      figures.set(kind.name, { absentBecause: firstLine(error) });
    } finally {
      await contender.close();
    }
  }
  const files = filesUnder(source).length;
  const treeMib = Math.round(diskBytes(source) / MIB);
  return {
    title: `${usual} mounted copies of ${files} files, KiB for each copy`,
    peers: PEERS.filter((name) => name !== 'ext4'),
    own: [OWN],
    columns: OTHER_MODES,
    rows: manyRows(figures),
    notes: [
      `only ${fewer} copies for ${[...counts.keys()].join(', ')}; the tree takes ${treeMib} MiB`,
      'slab and cached are for the whole machine; serving is the anonymous memory of the serving processes',
      'one copy is made, read, unmounted and trimmed before; each copy is read by find and cat',
      `idle: trimmed, as a mount is by itself after a minute; ${IDLE_MS / 1000} s later trimmed again`,
    ],
  };
}

function manyRows(figures: ReadonlyMap<string, ManyFigures | Absent>): Row[] {
  const cells = (pick: (of: ManyFigures) => number): Record<string, Cell> =>
    Object.fromEntries([...figures].map(([name, of]) => [name, isAbsent(of) ? of : summarize([pick(of)])]));
  const rows: Row[] = [];
  for (const moment of ['mounted', 'read', 'idle'] as const) {
    for (const kind of ['slab', 'serving', 'together', 'cached'] as const) {
      const row: Row = { what: `${moment}: ${kind}`, unit: 'KiB', cells: cells((of) => of[moment][kind]!) };
      rows.push(moment === 'idle' && kind === 'together' ? { ...row, budget: IDLE_BUDGET_KIB } : row);
    }
  }
  return [
    ...rows,
    { what: 'making and mounting one', unit: 'ms', cells: cells(({ mountMs }) => mountMs) },
    { what: 'reading all of one', unit: 'ms', cells: cells(({ readMs }) => readMs) },
    { what: 'trimming one, CPU time', unit: 'ms', cells: trimCells(figures) },
  ];
}

/** Cells of the contenders that can trim. */
function trimCells(figures: ReadonlyMap<string, ManyFigures | Absent>): Record<string, Cell> {
  const taken = [...figures].flatMap(([name, of]): [string, Cell][] =>
    isAbsent(of) || of.trimMs === undefined ? [] : [[name, summarize([of.trimMs])]],
  );
  return Object.fromEntries(taken);
}

export const mountMemoryBenchmark: Benchmark = {
  name: 'memory',
  about: 'a large file in many mounted copies: memory, disk, first write',
  run: runLarge,
};

export const mountManyBenchmark: Benchmark = {
  name: 'many',
  about: 'memory of a thousand mounted copies of a real tree',
  run: runMany,
};
