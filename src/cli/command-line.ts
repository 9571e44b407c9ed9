/** What commands share on the command line: the examples in their help, and values that are numbers or sizes. */
import { InvalidArgumentError } from 'commander';

/** The examples at the end of a command's help. */
export function examples(...lines: readonly string[]): string {
  const title = lines.length === 1 ? 'Example:' : 'Examples:';
  return `\n${title}\n${lines.map((line) => `  $ ${line}`).join('\n')}`;
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('It must be a whole number from 1.');
  return value;
}

/** Bytes of a size such as 64M, 64MiB or 1G: at least `bytesMin`, or the error says `problem`. */
export function sizeBytes(text: string, bytesMin: number, problem: string): number {
  const [, digits, unit = ''] = /^(\d+)\s*([KMGT]?)(?:i?B)?$/i.exec(text) ?? [];
  const value = Number(digits) * 1024 ** ' KMGT'.indexOf(unit.toUpperCase() || ' ');
  if (!Number.isSafeInteger(value) || value < bytesMin) throw new InvalidArgumentError(problem);
  return value;
}

/** A time in seconds above 0. */
export function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value))
    throw new InvalidArgumentError('It must be a number of seconds above 0.');
  return value;
}
