/** The physical frames behind the forks' maps of the large file: they show which memory is shared. Needs root. */
import { BLOCK_SIZE } from '../base/index.ts';
import type { System } from '../sys/index.ts';
import type { Checks } from './checks.ts';
import type { Absent } from './host-measures.ts';
import { BIG_FILE, untouchedPage } from './plan.ts';
import type { OpenFork } from './verify.ts';

const SHOWN_FORKS = 3;

/** One page of the large file as some forks have it. */
export interface FrameRow {
  readonly page: number;
  readonly note: string;
  /** Physical frame number in each of the forks shown. */
  readonly frames: readonly number[];
}

export interface FrameFigures {
  readonly forks: readonly string[];
  readonly rows: readonly FrameRow[];
  /** Number of pages in the maps of all forks together; `distinctFrames` counts the different frames that hold them. */
  readonly pages: number;
  readonly distinctFrames: number;
}

/** Looks at every page of every map, all of which have been touched, and checks which frames are shared. */
export function frameFigures(
  system: System,
  forks: readonly OpenFork[],
  sizeBytes: number,
  checks: Checks,
): FrameFigures | Absent {
  // A comparison ends at the first difference, so later pages may not have been touched.
  if (checks.problems.length > 0) return { absentBecause: 'bytes differ, so not every page was touched' };
  const pages = sizeBytes / BLOCK_SIZE;
  const tables: (readonly number[])[] = [];
  for (const { view } of forks) {
    if (view === undefined) return { absentBecause: 'this system cannot map files' };
    tables.push(system.frameNumbers(view.address, pages));
  }
  if (tables.every((table) => table.every((frame) => frame === 0))) {
    return { absentBecause: 'frame numbers are shown to root only' };
  }
  const distinct = new Set<number>();
  for (const table of tables) for (const frame of table) distinct.add(frame);
  checks.isTrue(!distinct.has(0), () => `${BIG_FILE}: a page that was read is not in memory any more`);
  const plans = forks.map((open) => open.plan);
  // A block that every fork overwrote is in no map any more. The plans let that happen only if there is a single fork.
  const expected = pages + forks.length - (forks.length === 1 ? 1 : 0);
  checks.isTrue(
    distinct.size === expected,
    () =>
      `${BIG_FILE}: ${distinct.size} frames behind the maps of ${forks.length} forks, must be ${expected}`,
  );
  const shown = tables.slice(0, SHOWN_FORKS);
  const row = (page: number, note: string): FrameRow => ({
    page,
    note,
    frames: shown.map((table) => table[page]!),
  });
  const rows: FrameRow[] = [];
  const untouched = untouchedPage(plans, sizeBytes);
  if (untouched !== undefined) rows.push(row(untouched, 'no fork changed it'));
  const first = plans[0];
  if (first !== undefined) rows.push(row(first.page, `${first.name} changed it`));
  return {
    forks: plans.slice(0, SHOWN_FORKS).map((plan) => plan.name),
    rows,
    pages: pages * forks.length,
    distinctFrames: distinct.size,
  };
}
