/** The experiment of the demo, step by step. */
import { existsSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { BLOCK_SIZE, FsError } from '../base/index.ts';
import { type Fork, type Snapshot, Store } from '../library/index.ts';
import { createSystem, type System } from '../sys/index.ts';
import { Checks } from './checks.ts';
import { type FrameFigures, frameFigures } from './frame-figures.ts';
import {
  type Absent,
  cachedBytes,
  cachedGrowth,
  directoryOnDisk,
  diskBytes,
  evictFiles,
  filesUnder,
  residentBytes,
} from './host-measures.ts';
import { BIG_FILE, type ForkPlan, planForks } from './plan.ts';
import { median } from './quantiles.ts';
import { SeededBytes } from './seeded-bytes.ts';
import { copyTree, readSourceTree, type SourceTree, writeBigFile } from './source-tree.ts';
import { type OpenFork, verifyBase, verifyBigFile, verifyNames, verifySmallFiles } from './verify.ts';

export interface DemoOptions {
  /** Where to make the temporary directory. Default: see `directoryOnDisk`. */
  readonly directory?: string | undefined;
  /** The tree to import. Default: the nearest node_modules. */
  readonly tree?: string | undefined;
  /** Size of the large file: whole blocks, more of them than forks, less than 4 GiB. */
  readonly sizeBytes: number;
  readonly forks: number;
  /** Soon after this aborts, the demo fails with ECANCELED, and leaves nothing behind. */
  readonly signal?: AbortSignal | undefined;
  /** The demo calls this before each step, with the description of the step, and awaits the result. */
  readonly onStep?: ((step: string) => void | Promise<void>) | undefined;
}

export interface DemoTimes {
  readonly medianMs: number;
  readonly maxMs: number;
}

export interface DemoResult {
  readonly files: number;
  readonly directories: number;
  readonly links: number;
  /** Bytes in the small files and the large file together. */
  readonly treeBytes: number;
  readonly bigFileBytes: number;
  readonly forks: number;
  readonly forkTime: DemoTimes;
  /** Time of the first write in each fork: 4 KiB to the large file. */
  readonly firstWriteTime: DemoTimes;
  readonly disk: {
    /** Size of the imported tree on the host. */
    readonly sourceBytes: number;
    /** Size of the whole store with the snapshot in it. */
    readonly importedBytes: number;
    /** How much all forks and their changes have added to the store. */
    readonly grownBytes: number;
  };
  readonly memory: {
    /** How much the machine's page cache grew while the demo read the large file in all forks. */
    readonly cachedGrownBytes: number | Absent;
    /** Bytes of the store's pages in memory before and after those reads. */
    readonly residentBeforeBytes: number | Absent;
    readonly residentAfterBytes: number | Absent;
    /** Time from the first read until the measurement of `residentAfterBytes`. */
    readonly readingMs: number;
  };
  readonly frames: FrameFigures | Absent;
  readonly checked: {
    readonly readBytes: number;
    readonly mappedBytes: number;
    readonly comparisons: number;
  };
  readonly problems: readonly string[];
  readonly problemsLeftOut: number;
  readonly steps: readonly { readonly step: string; readonly ms: number }[];
}

const BIG_FILE_BYTES_MAX = 4 * 1024 ** 3 - BLOCK_SIZE;

/** Runs the experiment in a temporary directory, which it removes. EINVAL, ENOENT (tree), ENOSPC, ECANCELED. */
export async function runDemo(options: DemoOptions): Promise<DemoResult> {
  checkOptions(options);
  const tree = findTree(options.tree ?? nearestNodeModules());
  const parent = options.directory ?? directoryOnDisk();
  const directory = mkdtempSync(path.join(parent, 'ramet-demo-'));
  try {
    return await new Demo(directory, tree, options).run();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function checkOptions({ sizeBytes, forks }: DemoOptions): void {
  const isGood =
    Number.isSafeInteger(forks) &&
    forks >= 1 &&
    sizeBytes % BLOCK_SIZE === 0 &&
    sizeBytes > forks * BLOCK_SIZE &&
    sizeBytes <= BIG_FILE_BYTES_MAX;
  if (isGood) return;
  throw new FsError('EINVAL', {
    syscall: 'demo',
    note: 'the large file is whole blocks of 4 KiB, more of them than forks, and less than 4 GiB',
  });
}

/** Resolves symlinks in the path of the tree, so that the demo copies its contents and not a link. ENOENT, ENOTDIR. */
function findTree(directory: string): string {
  if (!existsSync(directory)) throw new FsError('ENOENT', { syscall: 'scandir', path: directory });
  const tree = realpathSync(directory);
  if (!statSync(tree).isDirectory()) throw new FsError('ENOTDIR', { syscall: 'scandir', path: directory });
  return tree;
}

/**
 * The nearest `node_modules` above this file: the packages that the program uses or, if it is itself installed as a
 * package, the packages beside it.
 */
function nearestNodeModules(): string {
  let directory = path.dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = path.join(directory, 'node_modules');
    if (existsSync(candidate)) return candidate;
    const parent = path.dirname(directory);
    if (parent === directory) throw new FsError('ENOENT', { syscall: 'scandir', path: 'node_modules' });
    directory = parent;
  }
}

function timesOf(samples: readonly number[]): DemoTimes {
  return { medianMs: median(samples), maxMs: Math.max(...samples) };
}

/** One run of the experiment, in a directory of its own. */
class Demo {
  private readonly options: DemoOptions;
  private readonly original: string;
  private readonly sourceDirectory: string;
  private readonly storeDirectory: string;
  private readonly system: System = createSystem();
  private readonly content = new SeededBytes('ramet demo, large file');
  private readonly checks = new Checks();
  private readonly steps: { readonly step: string; readonly ms: number }[] = [];
  private readonly turn = async (): Promise<void> => {
    await nextTurn();
    if (this.options.signal?.aborted === true) throw new FsError('ECANCELED', { syscall: 'demo' });
  };

  constructor(directory: string, original: string, options: DemoOptions) {
    this.options = options;
    this.original = original;
    this.sourceDirectory = path.join(directory, 'source');
    this.storeDirectory = path.join(directory, 'store');
  }

  private async step<T>(step: string, work: () => Promise<T> | T): Promise<T> {
    await this.options.onStep?.(step);
    await this.turn();
    const started = performance.now();
    const result = await work();
    this.steps.push({ step, ms: performance.now() - started });
    return result;
  }

  async run(): Promise<DemoResult> {
    const { forks, sizeBytes } = this.options;
    await this.step('making the tree', () => this.makeSource());
    const tree = readSourceTree(this.sourceDirectory);
    const plans = planForks(forks, sizeBytes, tree.files);
    const sourceBytes = diskBytes(this.sourceDirectory);
    const treeBytes = await this.step('importing it', () => this.importSource());
    // The small files stay, because later steps compare with them. The content of the large file can be computed again.
    rmSync(path.join(this.sourceDirectory, BIG_FILE));
    const importedBytes = diskBytes(this.storeDirectory);
    // The new tree left hundreds of megabytes to write back. A fork is durable, so making a fork would wait for that.
    await this.step('letting the disk come to rest', () => this.evict());
    const forked = await this.step(`forking it ${forks} times, changing each fork`, () =>
      this.makeForks(plans),
    );
    const grownBytes = diskBytes(this.storeDirectory) - importedBytes;
    const residentBeforeBytes = await this.step('dropping its pages from memory', () => this.evict());
    const read = await this.readForks(plans, tree);
    return {
      files: tree.files.length + 1,
      directories: tree.directories.length,
      links: tree.links.size,
      treeBytes,
      bigFileBytes: sizeBytes,
      forks,
      ...forked,
      disk: { sourceBytes, importedBytes, grownBytes },
      memory: { residentBeforeBytes, ...read.memory },
      frames: read.frames,
      checked: {
        readBytes: this.checks.readBytes,
        mappedBytes: this.checks.mappedBytes,
        comparisons: this.checks.comparisons,
      },
      problems: this.checks.problems,
      problemsLeftOut: this.checks.problemsLeftOut,
      steps: this.steps,
    };
  }

  private async makeSource(): Promise<void> {
    copyTree(this.original, this.sourceDirectory);
    await this.turn();
    await writeBigFile(this.sourceDirectory, this.content, this.options.sizeBytes, this.turn);
  }

  /** Returns how many bytes the files of the tree have. */
  private async importSource(): Promise<number> {
    let bytes = 0;
    await this.withStore(async (store) => {
      await store.import(this.sourceDirectory, {
        name: 'base',
        signal: this.options.signal,
        onReport: (report) => {
          bytes = report.apparentBytes;
        },
      });
    });
    return bytes;
  }

  private async withStore<T>(work: (store: Store) => Promise<T>): Promise<T> {
    const store = await Store.open(this.storeDirectory);
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  }

  private makeForks(plans: readonly ForkPlan[]): Promise<Pick<DemoResult, 'forkTime' | 'firstWriteTime'>> {
    return this.withStore(async (store) => {
      const base = await store.snapshot('base');
      const forkMs: number[] = [];
      const writeMs: number[] = [];
      for (const plan of plans) {
        const started = performance.now();
        const fork = await base.fork(plan.name);
        forkMs.push(performance.now() - started);
        writeMs.push(changeFork(fork, plan));
        await fork.close();
        await this.turn();
      }
      return { forkTime: timesOf(forkMs), firstWriteTime: timesOf(writeMs) };
    });
  }

  private get blobFiles(): string[] {
    return filesUnder(path.join(this.storeDirectory, 'blobs'));
  }

  /**
   * Drops the pages of the tree and of the store from memory. Returns how many bytes of the store are still in memory.
   */
  private evict(): number | Absent {
    const { blobFiles } = this;
    evictFiles(this.system, [...filesUnder(this.sourceDirectory), ...blobFiles]);
    return residentBytes(this.system, blobFiles);
  }

  private readForks(
    plans: readonly ForkPlan[],
    tree: SourceTree,
  ): Promise<{
    readonly memory: Omit<DemoResult['memory'], 'residentBeforeBytes'>;
    readonly frames: DemoResult['frames'];
  }> {
    return this.withStore(async (store) => {
      const base = await store.snapshot('base');
      const forks: OpenFork[] = [];
      const before = cachedBytes();
      const started = performance.now();
      for (const plan of plans) {
        const fork = await store.fork(plan.name);
        forks.push({ plan, fork, view: this.system.canMap ? fork.map(BIG_FILE) : undefined });
      }
      await this.step('reading the large file in all forks', () =>
        verifyBigFile(forks, this.content, this.options.sizeBytes, this.checks, this.turn),
      );
      const after = cachedBytes();
      const residentAfterBytes = residentBytes(this.system, this.blobFiles);
      const readingMs = performance.now() - started;
      const frames = frameFigures(this.system, forks, this.options.sizeBytes, this.checks);
      await this.step('reading all small files in all forks', () =>
        this.readSmallFiles(forks, tree, base, plans),
      );
      const cachedGrownBytes = cachedGrowth(this.system, before, after);
      return { memory: { cachedGrownBytes, residentAfterBytes, readingMs }, frames };
    });
  }

  private async readSmallFiles(
    forks: readonly OpenFork[],
    tree: SourceTree,
    base: Snapshot,
    plans: readonly ForkPlan[],
  ): Promise<void> {
    for (const open of forks) {
      verifyNames(open, tree, this.checks);
      await this.turn();
    }
    await verifySmallFiles(forks, tree, this.checks, this.turn);
    verifyBase(base, plans, this.content, this.checks);
  }
}

/** Changes a fork as planned. Returns the milliseconds that the write to the large file took. */
function changeFork(fork: Fork, plan: ForkPlan): number {
  const { fs } = fork;
  const fd = fs.openSync(BIG_FILE, 'r+');
  const started = performance.now();
  fs.writeSync(fd, plan.pageBytes, 0, BLOCK_SIZE, plan.page * BLOCK_SIZE);
  const elapsed = performance.now() - started;
  fs.closeSync(fd);
  for (const [file, bytes] of plan.written) fs.writeFileSync(file, bytes);
  if (plan.removed !== undefined) fs.unlinkSync(plan.removed);
  return elapsed;
}
