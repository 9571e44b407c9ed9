/** The results of a benchmark, and their text: one table for each section, one column for each contender. */
import { type Absent, isAbsent } from '../../src/demo/index.ts';

export type Unit = 'µs' | 'ms' | 'KiB' | 'MiB' | '%' | 'count';

/** A quantity that was measured `count` times: once, if it cannot be measured again. */
export interface Sampled {
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly count: number;
  /** Percentiles of single calls, if these take long enough to be timed one by one. */
  readonly p50?: number;
  readonly p99?: number;
}

export type Cell = Sampled | Absent;

export interface Row {
  readonly what: string;
  readonly unit: Unit;
  /** A cell for each contender, by its name. Lower is better. */
  readonly cells: Readonly<Record<string, Cell>>;
  /** The most that Ramet may take, in the row's unit. */
  readonly budget?: number;
  /** If the columns are sizes: the last column's median divided by the first one's, and the most that this may be. */
  readonly growth?: number;
  readonly growthMax?: number;
}

export interface Section {
  readonly title: string;
  readonly peers: readonly string[];
  /** Columns of Ramet itself; a budget is met when all of them meet it. */
  readonly own: readonly string[];
  /** Columns without ratio and budget: sizes, and modes of Ramet that are not the default. */
  readonly columns?: readonly string[];
  readonly rows: readonly Row[];
  /** What a reader has to know to judge the figures. */
  readonly notes: readonly string[];
}

/** Three significant digits, or a whole number: 0.123, 1.23, 12.3, 123, 1,234. */
export function formatValue(value: number): string {
  const size = Math.abs(value);
  if (size >= 999.5) return Math.round(value).toLocaleString('en-US');
  if (size >= 99.95) return value.toFixed(0);
  if (size >= 9.995) return value.toFixed(1);
  return size >= 0.9995 ? value.toFixed(2) : value.toFixed(3);
}

/** The median, and in brackets the lowest and the highest. */
export function formatCell(cell: Cell | undefined): string {
  if (cell === undefined) return '';
  if (isAbsent(cell)) return '–';
  const { median, low, high, count } = cell;
  return count > 1
    ? `${formatValue(median)} (${formatValue(low)}–${formatValue(high)})`
    : formatValue(median);
}

/** `p50 / p99` of single calls; empty where they were not timed. */
export function formatTail(cell: Cell | undefined): string {
  if (cell === undefined || isAbsent(cell) || cell.p50 === undefined || cell.p99 === undefined) return '';
  return `${formatValue(cell.p50)} / ${formatValue(cell.p99)}`;
}

function medianOf(cell: Cell | undefined): number | undefined {
  return cell === undefined || isAbsent(cell) ? undefined : cell.median;
}

function defined(values: readonly (number | undefined)[]): number[] {
  return values.filter((value) => value !== undefined);
}

/** The worst of Ramet's own columns; undefined when none was measured. */
function ownMedian(section: Section, row: Row): number | undefined {
  const medians = defined(section.own.map((name) => medianOf(row.cells[name])));
  return medians.length === 0 ? undefined : Math.max(...medians);
}

/** Ramet's worst column divided by the best peer; undefined if either was not measured, or the peer took 0. */
export function ratioOf(section: Section, row: Row): number | undefined {
  const peers = defined(section.peers.map((name) => medianOf(row.cells[name])));
  const own = ownMedian(section, row);
  const best = Math.min(...peers);
  return own === undefined || peers.length === 0 || best <= 0 ? undefined : own / best;
}

/** Whether the budget is met; undefined if the row has no budget or no figure. */
export function isMet(section: Section, row: Row): boolean | undefined {
  const own = ownMedian(section, row);
  return own === undefined || row.budget === undefined ? undefined : own <= row.budget;
}

/** The section as lines of text: title, table, tails of single calls, what was not measured and why, notes. */
export function formatSection(section: Section): string {
  const columns = [...section.peers, ...section.own, ...(section.columns ?? [])];
  const body = section.rows.map((row) => {
    const ratio = ratioOf(section, row);
    const met = isMet(section, row);
    return [
      titleOf(row),
      ...columns.map((name) => formatCell(row.cells[name])),
      ratio === undefined ? '' : `${formatValue(ratio)}×`,
      row.budget === undefined ? '' : `≤ ${formatValue(row.budget)}`,
      met === undefined ? '' : met ? 'yes' : 'NO',
      formatGrowth(row),
    ];
  });
  const head = ['median (lowest–highest)', ...columns, 'ratio', 'budget', 'met', 'growth'];
  const lines = withoutEmptyColumns([head, ...body]);
  const parts = [[`## ${section.title}`], alignColumns(lines), tailLines(section, columns)];
  const notes = [...absences(section), ...section.notes].map((note) => `  ${note}`);
  return [...parts, notes]
    .filter((part) => part.length > 0)
    .map((part) => part.join('\n'))
    .join('\n\n');
}

function titleOf({ what, unit }: Row): string {
  return unit === 'count' ? what : `${what}, ${unit}`;
}

/** The growth, marked with `!` where it is above its limit, that is, more than flat or logarithmic. */
function formatGrowth({ growth, growthMax }: Row): string {
  if (growth === undefined) return '';
  return `×${formatValue(growth)}${growthMax !== undefined && growth > growthMax ? ' !' : ''}`;
}

/** Leaves out the columns that are empty below their head. */
function withoutEmptyColumns(lines: readonly (readonly string[])[]): string[][] {
  const isUsed = (column: number): boolean => lines.slice(1).some((line) => line[column] !== '');
  return lines.map((line) => line.filter((_text, column) => isUsed(column)));
}

function tailLines(section: Section, columns: readonly string[]): string[] {
  const body = section.rows
    .map((row) => [titleOf(row), ...columns.map((name) => formatTail(row.cells[name]))])
    .filter((line) => line.slice(1).some((text) => text !== ''));
  return body.length === 0 ? [] : alignColumns([['single calls, p50 / p99', ...columns], ...body]);
}

/** Each reason once, with the columns it concerns. */
function absences(section: Section): string[] {
  const names = new Map<string, Set<string>>();
  for (const row of section.rows) {
    for (const [name, cell] of Object.entries(row.cells)) {
      if (!isAbsent(cell)) continue;
      const known = names.get(cell.absentBecause) ?? new Set();
      names.set(cell.absentBecause, known.add(name));
    }
  }
  return [...names].map(([reason, columns]) => `–: ${[...columns].join(', ')}: ${reason}`);
}

/** Text columns of equal width, two spaces apart; the first is aligned left, the others right. */
export function alignColumns(lines: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const line of lines) {
    for (const [column, text] of line.entries()) widths[column] = Math.max(widths[column] ?? 0, text.length);
  }
  return lines.map((line) =>
    line
      .map((text, column) => (column === 0 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!)))
      .join('  ')
      .trimEnd(),
  );
}
