/** The owner's log as people read it. Apart from what writes it, which commands that only read need not load. */

/** Levels of pino. */
const LEVELS: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};

/** One line of the log as people read it; what is no JSON (a trace of Node.js) as it is. */
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
