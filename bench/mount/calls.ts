/** Single calls on mounts, made by one program, compared with ext4, overlayfs and fuse-overlayfs. */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { type Absent, isAbsent, SeededBytes } from '../../src/demo/index.ts';
import type { BenchContext, Benchmark } from '../measure/bench-context.ts';
import { runContender } from '../measure/contender.ts';
import type { Cell, Row, Section } from '../measure/table.ts';
import { firstLine, type WorkDirectory } from '../measure/work-directory.ts';
import {
  BEYOND_BYTES,
  type MountCall,
  type MountCallArgument,
  type MountCallResult,
  SMALL_BYTES,
  SMALL_FILES,
  WITHIN_BYTES,
} from './cases.ts';
import { CONTENDERS, type MountContender, type MountedCopy, OTHER_MODES, OWN, PEERS } from './contenders.ts';

const CLIENT = new URL('./client.js', import.meta.url);

const MIB = 2 ** 20;

interface CallRow {
  readonly call: MountCall;
  readonly what: string;
  /** Ramet may take at most `factor` times as long as the peer in the same run. */
  readonly budget?: { readonly peer: (typeof PEERS)[number]; readonly factor: number };
}

const ROWS: readonly CallRow[] = [
  {
    call: 'sequential-read',
    what: '1 MiB read in order, file of 48 MiB',
    budget: { peer: 'ext4', factor: 1 / 0.7 },
  },
  { call: 'sequential-read-beyond', what: '1 MiB read in order, file of 256 MiB' },
  { call: 'sequential-read-cold', what: '1 MiB read in order, from cold' },
  { call: 'random-read', what: '4 KiB read at random', budget: { peer: 'ext4', factor: 1 / 0.8 } },
  { call: 'map', what: 'map 48 MiB and touch every page' },
  { call: 'open-read-close', what: 'open, read 4 KiB, close', budget: { peer: 'overlayfs', factor: 1 } },
  { call: 'open-read-close-cold', what: 'open, read 4 KiB, close, from cold' },
  { call: 'stat', what: 'stat', budget: { peer: 'fuse-overlayfs', factor: 1 / 0.9 } },
  { call: 'stat-missing', what: 'stat of a name that is not there' },
  { call: 'readdir', what: 'readdir of 1,000 names', budget: { peer: 'fuse-overlayfs', factor: 1 / 0.9 } },
  {
    call: 'create-write-unlink',
    what: 'create, write 4 KiB, close, unlink',
    budget: { peer: 'fuse-overlayfs', factor: 1 / 2 },
  },
  {
    call: 'sequential-write',
    what: '1 MiB written in order, new file',
    budget: { peer: 'ext4', factor: 1 / 0.8 },
  },
  {
    call: 'random-write',
    what: '4 KiB written at random',
    budget: { peer: 'fuse-overlayfs', factor: 1 / 1.3 },
  },
  { call: 'write-fsync', what: '4 KiB written and fsynced', budget: { peer: 'ext4', factor: 1 / 0.5 } },
];

/** The directory that all contenders make copies of. */
function makeCallsTree(work: WorkDirectory): string {
  const root = work.join('calls');
  mkdirSync(`${root}/small`, { recursive: true });
  const content = new SeededBytes('calls');
  for (let index = 0; index < SMALL_FILES; index++)
    writeFileSync(`${root}/small/file-${index}`, content.at(index * SMALL_BYTES, SMALL_BYTES));
  for (const [name, sizeBytes] of [
    ['within', WITHIN_BYTES],
    ['beyond', BEYOND_BYTES],
  ] as const) {
    const fd = openSync(`${root}/${name}`, 'wx');
    for (let at = 0; at < sizeBytes; at += MIB) writeSync(fd, content.at(at, MIB));
    closeSync(fd);
  }
  return root;
}

interface Ready {
  readonly contender: MountContender;
  readonly copy: MountedCopy;
}

async function measure(ready: Ready | Absent, row: CallRow, context: BenchContext): Promise<Cell> {
  if (isAbsent(ready)) return ready;
  const { root, behind } = ready.copy;
  const argument: MountCallArgument = { call: row.call, root, behind, sampling: context.sampling };
  try {
    return await runContender<MountCallResult>(CLIENT, argument);
  } catch (error) {
    return { absentBecause: `${row.what}: ${firstLine(error)}` };
  }
}

function rowOf({ what, budget }: CallRow, cells: Readonly<Record<string, Cell>>): Row {
  const peer = budget === undefined ? undefined : cells[budget.peer];
  const row: Row = { what, unit: 'µs', cells };
  return budget === undefined || peer === undefined || isAbsent(peer)
    ? row
    : { ...row, budget: peer.median * budget.factor };
}

async function run(context: BenchContext): Promise<Section> {
  const source = makeCallsTree(context.work);
  const ready = new Map<string, Ready | Absent>();
  const rows: Row[] = [];
  try {
    for (const kind of CONTENDERS) {
      context.onStep(`making a copy: ${kind.name}`);
      const contender = await kind.open(source, context.work);
      ready.set(kind.name, isAbsent(contender) ? contender : { contender, copy: await contender.copy() });
    }
    for (const row of ROWS) {
      const cells: Record<string, Cell> = {};
      for (const [name, one] of ready) {
        context.onStep(`${row.what}: ${name}`);
        cells[name] = await measure(one, row, context);
      }
      rows.push(rowOf(row, cells));
    }
  } finally {
    for (const one of ready.values()) {
      if (isAbsent(one)) continue;
      await one.copy.unmount();
      await one.contender.close();
    }
  }
  return {
    title: 'Calls on mounts, one thread',
    peers: PEERS,
    own: [OWN],
    columns: OTHER_MODES,
    rows,
    notes: [
      'by one program, through libc; each row and column in a process of its own, warm unless it says cold',
      'Ramet is the default mode, cached; budgets are those of the design, from the peers of this run',
    ],
  };
}

export const mountCallsBenchmark: Benchmark = {
  name: 'calls',
  about: 'single calls on mounts: reads, writes, opens, names',
  run,
};
