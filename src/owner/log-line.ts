/** Formats the owner's log for people. A separate file, so that commands which read the log need not load pino. */

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
