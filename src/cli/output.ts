/** Prints the output of commands: tables and lines for people, JSON for programs. */
import { once } from 'node:events';
import type { ImportNote, ImportReport } from '../transfer/index.ts';

/** Thrown when nobody reads the output any more. The command then ends quietly. */
export class BrokenPipeError extends Error {}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this looks for.
const CONTROL = /[\x00-\x1f\x7f-\x9f]/g;

/** Text that is safe on a terminal: control characters, which names of files may hold, become \xNN. */
export function printable(text: string): string {
  return text.replace(CONTROL, (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** True once something was printed. */
export let hasPrinted = false;

/** Writes to stdout, and waits if the reader is slow. BrokenPipeError if there is no reader any more. */
export async function write(data: string | Uint8Array): Promise<void> {
  hasPrinted = true;
  const { stdout } = process;
  if (stdout.destroyed || stdout.errored !== null) throw new BrokenPipeError();
  if (stdout.write(data)) return;
  try {
    await once(stdout, 'drain');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') throw new BrokenPipeError();
    throw error;
  }
}

/** Writes a line for people. */
export async function writeLine(text: string): Promise<void> {
  await write(`${printable(text)}\n`);
}

export async function writeJson(value: unknown): Promise<void> {
  await write(`${JSON.stringify(value, undefined, 2)}\n`);
}

export type Lines = readonly string[] | Generator<string, void>;

/** Prints the result of a command: `value` as JSON for programs, or the lines that `tell` makes of it for people. */
export async function print<T>(
  isJson: boolean,
  value: T,
  tell: (value: T) => Lines | Promise<Lines>,
): Promise<void> {
  if (isJson) await writeJson(value);
  else for (const line of await tell(value)) await writeLine(line);
}

const NO_BORDERS = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};

/** The title of a table's column. The column is aligned left, or right if `right` made the title. */
export type Column = string | { readonly right: string };

export function right(title: string): Column {
  return { right: title };
}

/** A table without borders: a line of titles, and a line for each row. */
export async function table(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
): Promise<readonly string[]> {
  const { default: Table } = await import('cli-table3');
  const drawn = new Table({
    head: columns.map((column) => (typeof column === 'string' ? column : column.right)),
    colAligns: columns.map((column) => (typeof column === 'string' ? 'left' : 'right')),
    chars: NO_BORDERS,
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [], compact: true },
  });
  for (const row of rows) drawn.push(row.map(printable));
  return drawn
    .toString()
    .split('\n')
    .map((line) => line.trimEnd());
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** Formats a number of bytes: 1536 → '1.5 KiB'. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit > 0 && value < 100 ? 1 : 0;
  return `${value.toFixed(digits)} ${UNITS[unit]!}`;
}

export function formatCount(count: number): string {
  return count.toLocaleString('en-US');
}

/** 'YYYY-MM-DD HH:MM' in local time; the number of seconds if it is more than a `Date` can hold. */
export function formatTime(seconds: number): string {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return String(seconds);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/** ISO 8601 with nanoseconds, in UTC, for JSON; the number of seconds if it is more than a `Date` can hold. */
export function isoTime(seconds: number, nanoseconds: number): string {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return String(seconds);
  const whole = date.toISOString().replace(/\.\d+Z$/, '');
  return `${whole}.${String(nanoseconds).padStart(9, '0')}Z`;
}

/** A count with its noun: '1 file', '2 files'. */
export function counted(count: number, singular: string, plural = `${singular}s`): string {
  return `${formatCount(count)} ${count === 1 ? singular : plural}`;
}

type Amount = Pick<ImportReport, 'files' | 'directories' | 'apparentBytes' | 'durationMs'>;

/** Says how much an import or export moved: '3 files, 1 directory, 1.5 KiB in 0.01 s'. */
export function amountMoved({ files, directories, apparentBytes, durationMs }: Amount): string {
  const entries = `${counted(files, 'file')}, ${counted(directories, 'directory', 'directories')}`;
  return `${entries}, ${formatBytes(apparentBytes)} in ${(durationMs / 1000).toFixed(2)} s`;
}

type ShownNote = Pick<ImportNote, 'path' | 'message'>;

export function noteLine({ path, message }: ShownNote): string {
  return `note: ${path}: ${message}`;
}

/** Writes notes to stderr, but not with `isJson`: the JSON report has them. */
export function writeNotes(isJson: boolean, notes: readonly ShownNote[]): void {
  for (const note of isJson ? [] : notes) process.stderr.write(`${printable(noteLine(note))}\n`);
}
