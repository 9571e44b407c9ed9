/** The first write into a large file of the host: time, disk and memory, compared with overlays on ext4 and XFS. */
import { mkdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Absent, cachedBytes, diskBytes, evictFiles, isAbsent } from '../../src/demo/index.ts';
import { Store } from '../../src/library/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import { summarizeSingle } from '../measure/sampling.ts';
import type { Cell, Row, Section } from '../measure/table.ts';
import { firstLine, runProgram, type WorkDirectory, whyNotRoot } from '../measure/work-directory.ts';
import { BLOCK_BYTES, firstWrite, hostCalls, MIB, makeLargeFile } from '../memory/large-file.ts';
import { usedBytesOf } from '../memory/peers.ts';
import { mountImage, mountOverlay } from '../peers/mounts.ts';

const GIB = 1024 * MIB;
const COPIES = 5;
const NAME = 'large';

/** The cost of each copy for one contender. */
interface Figures {
  readonly timeMs: Cell;
  readonly diskMib: Cell;
  readonly cachedMib: Cell;
}

function absent(because: Absent): Figures {
  return { timeMs: because, diskMib: because, cachedMib: because };
}

/** A writable copy of the directory of the large file. */
interface Copy {
  write(position: number): number;
  end(): void | Promise<void>;
}

/** The position of the page that copy `index` writes, a different one in each copy. */
function positionOf(index: number, sizeBytes: number): number {
  return (Math.floor(sizeBytes / BLOCK_BYTES / (COPIES + 1)) * (index + 1) + 7) * BLOCK_BYTES;
}

async function measure(
  lower: string,
  usedBytes: () => number,
  copy: (index: number) => Copy | Promise<Copy>,
  copies: number,
): Promise<Figures> {
  const file = path.join(lower, NAME);
  const { size } = statSync(file);
  const [times, disk, cached]: [number[], number[], number[]] = [[], [], []];
  for (let index = 0; index < copies; index++) {
    evictFiles(createSystem(), [file]);
    const one = await copy(index);
    const [usedBefore, cachedBefore] = [usedBytes(), cachedBytes()];
    times.push(one.write(positionOf(index, size)));
    const cachedAfter = cachedBytes();
    runProgram('sync');
    disk.push((usedBytes() - usedBefore) / MIB);
    if (!isAbsent(cachedBefore) && !isAbsent(cachedAfter)) cached.push((cachedAfter - cachedBefore) / MIB);
    await one.end();
  }
  const cachedMib: Cell =
    cached.length > 0 ? summarizeSingle(cached) : { absentBecause: 'this system has no /proc/meminfo' };
  return { timeMs: summarizeSingle(times), diskMib: summarizeSingle(disk), cachedMib };
}

async function overlays(
  lower: string,
  own: string,
  work: WorkDirectory,
  copies: number,
  usedBytes: () => number = () => diskBytes(own),
): Promise<Figures> {
  const reason = whyNotRoot();
  if (reason !== undefined) return absent({ absentBecause: reason });
  mkdirSync(own);
  try {
    return await measure(
      lower,
      usedBytes,
      (index) => {
        const directory = path.join(own, `${index}`);
        const { point, unmount } = mountOverlay(lower, directory, work);
        return {
          write: (position) => firstWrite(hostCalls, path.join(point, NAME), position, BLOCK_BYTES),
          end: () => {
            unmount();
            rmSync(directory, { recursive: true });
          },
        };
      },
      copies,
    );
  } catch (error) {
    return absent({ absentBecause: `an overlay cannot be mounted here: ${firstLine(error)}` });
  }
}

/** Like `overlays`, on XFS, where the kernel copies up by reflink. */
async function overlaysOnXfs(lower: string, work: WorkDirectory, sizeBytes: number): Promise<Figures> {
  const image = mountImage('xfs', work, Math.max(2 * GIB, sizeBytes * 2));
  if (isAbsent(image)) return absent(image);
  try {
    const onXfs = path.join(image.point, 'lower');
    mkdirSync(onXfs);
    runProgram('cp', '--sparse=always', path.join(lower, NAME), path.join(onXfs, NAME));
    const usedBytes = (): number => usedBytesOf(image.point);
    return await overlays(onXfs, path.join(image.point, 'overlays'), work, COPIES, usedBytes);
  } finally {
    image.unmount();
  }
}

async function forks(lower: string, work: WorkDirectory): Promise<Figures> {
  const directory = work.join('copy-up-store');
  const store = await Store.open(directory);
  try {
    return await measure(
      lower,
      () => diskBytes(directory),
      async (index) => {
        const fork = await store.createFork({ name: `fork-${index}`, lowers: [lower] });
        return {
          write: (position) => firstWrite(fork.fs, `/${NAME}`, position, BLOCK_BYTES),
          end: () => fork.close(),
        };
      },
      COPIES,
    );
  } finally {
    await store.close();
    rmSync(directory, { recursive: true });
  }
}

async function section(context: BenchContext, kind: 'sparse' | 'full', sizeBytes: number): Promise<Section> {
  const { work, onStep } = context;
  const lower = work.join(`lower-${kind}`);
  mkdirSync(lower);
  const hostPath = path.join(lower, NAME);
  onStep('making a large file');
  if (kind === 'full') makeLargeFile({ hostPath, sizeBytes, forks: COPIES, writeBytes: BLOCK_BYTES });
  else {
    writeFileSync(hostPath, 'a page, and a hole');
    truncateSync(hostPath, sizeBytes);
  }
  onStep('first writes');
  const byName: Record<string, Figures> = {
    'overlayfs on ext4': await overlays(
      lower,
      work.join(`overlays-${kind}`),
      work,
      kind === 'full' ? 1 : COPIES,
    ),
    'overlayfs on XFS': await overlaysOnXfs(lower, work, sizeBytes),
    Ramet: await forks(lower, work),
  };
  rmSync(lower, { recursive: true });
  const row = (what: string, unit: Row['unit'], field: keyof Figures): Row => ({
    what,
    unit,
    cells: Object.fromEntries(Object.entries(byName).map(([name, figures]) => [name, figures[field]])),
  });
  const size = sizeBytes >= GIB ? `${sizeBytes / GIB} GiB` : `${sizeBytes / MIB} MiB`;
  return {
    title: `The first 4 KiB written into a ${kind} file of ${size} on the host`,
    peers: ['overlayfs on ext4', 'overlayfs on XFS'],
    own: ['Ramet'],
    rows: [
      row('open, write, close', 'ms', 'timeMs'),
      row('disk, for each copy', 'MiB', 'diskMib'),
      row('page cache, for each copy', 'MiB', 'cachedMib'),
    ],
    notes: ['each in a fresh copy; nothing of the file is in memory before'],
  };
}

export const hostCopyUpBenchmark: Benchmark = {
  name: 'copy-up',
  about: 'the first write into a large file of a directory that was forked where it stands',
  run: async (context) => {
    const sizeBytes = context.isQuick ? 256 * MIB : 10 * GIB;
    return [await section(context, 'sparse', 10 * GIB), await section(context, 'full', sizeBytes)];
  },
};
