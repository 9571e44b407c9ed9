/** Formats the owner's log for people. A separate file, so that commands which read the log need not load pino. */
import { readFileSync } from 'node:fs';

/** Levels of pino. */
const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** Formats one line of the log; a line that is not JSON (a trace of Node.js) stays as it is. */
export function readableLine(line: string): string {
  try {
    const { time, level, msg, pid: _pid, ...rest } = JSON.parse(line) as Record<string, unknown>;
    const label = LEVELS[Number(level)] ?? String(level);
    const details = Object.entries(rest).map(([key, value]) =>
      typeof value === 'string' ? `${key}=${value}` : `${key}=${JSON.stringify(value)}`,
    );
    return [String(time), label, String(msg), ...details].join(' ');
  } catch {
    return line;
  }
}

/** All lines of a log, the oldest first. The older ones are in the file `PATH.1`. */
export function readLog(path: string): string[] {
  return [...readLines(`${path}.1`), ...readLines(path)];
}

function readLines(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n').slice(0, -1);
  } catch (error) {
    // The cast: errors of node:fs have a code.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** The fields of a line. A line that is not JSON, since Node.js itself wrote it, becomes the field `msg`. */
export function parsedLine(line: string): Readonly<Record<string, unknown>> {
  try {
    // The cast: all other lines are objects, as pino writes them.
    return (JSON.parse(line) ?? {}) as Record<string, unknown>;
  } catch {
    return { msg: line };
  }
}
