/**
 * The owner's log: JSON lines, as pino writes them, in the store's `run`. Its size is bounded: a full file is copied to
 * `owner.log.1` and emptied. It is copied, not renamed, because stdout and stderr of the process go to the same open
 * file.
 */
import { closeSync, constants, copyFileSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

const LOG_BYTES_MAX = 1024 * 1024;

/** The destination of pino. */
class BoundedFile {
  private readonly path: string;
  private readonly options: Required<LogOptions>;
  private readonly fd: number;
  private length: number;

  constructor(path: string, options: Required<LogOptions>) {
    this.path = path;
    this.options = options;
    this.fd = openLogFile(path);
    this.length = fstatSync(this.fd).size;
  }

  write(json: string): void {
    const line = this.options.shown(json);
    try {
      if (this.length + line.length > this.options.bytesMax) this.empty();
      this.length += writeSync(this.fd, line);
    } catch {
      // A log that cannot be written, on a full disk for example, is no reason to stop serving.
    }
  }

  private empty(): void {
    copyFileSync(this.path, `${this.path}.1`);
    ftruncateSync(this.fd, 0);
    this.length = 0;
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** To append to. A symlink in its place is ELOOP: others may have been able to put one there. */
export function openLogFile(path: string): number {
  const { O_APPEND, O_CREAT, O_NOFOLLOW, O_WRONLY } = constants;
  return openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600);
}

export interface LogOptions {
  readonly bytesMax?: number;
  /** Translates the JSON of a line: see `HeldDirectory.shown`. */
  readonly shown?: (json: string) => string;
}

export function openLog(
  path: string,
  { bytesMax = LOG_BYTES_MAX, shown = (json) => json }: LogOptions = {},
): { readonly logger: Logger; close(): void } {
  const file = new BoundedFile(path, { bytesMax, shown });
  const logger = pino({ base: { pid: process.pid }, timestamp: pino.stdTimeFunctions.isoTime }, file);
  return { logger, close: () => file.close() };
}
