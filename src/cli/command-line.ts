/** Parts of the command line that commands share: examples in the help, and options that are numbers or sizes. */
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

/** Parses a size such as 64M, 64MiB or 1G into bytes. Fails with `problem` if it is no size or below `bytesMin`. */
export function sizeBytes(text: string, bytesMin: number, problem: string): number {
  const [, digits, unit = ''] = /^(\d+)\s*([KMGT]?)(?:i?B)?$/i.exec(text) ?? [];
  const value = Number(digits) * 1024 ** ' KMGT'.indexOf(unit.toUpperCase() || ' ');
  if (!Number.isSafeInteger(value) || value < bytesMin) throw new InvalidArgumentError(problem);
  return value;
}

/** Parses a time in seconds, which must be above 0. */
export function seconds(text: string): number {
  const value = Number(text);
  if (!(value > 0) || !Number.isFinite(value))
    throw new InvalidArgumentError('It must be a number of seconds above 0.');
  return value;
}
