/** Starts an owner process in the background and waits until the process serves, or says why it does not. */
import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { FsError } from '../base/index.ts';
import { openLogFile } from './log.ts';
import type { OwnerPlace } from './owner-place.ts';
import { fromWire, type WireError } from './wire-error.ts';

/** The owner's report of its start, on descriptor 3. */
export type StartReport =
  | { readonly state: 'ready' }
  /** Another owner has the store's lock. */
  | { readonly state: 'taken' }
  | { readonly state: 'failed'; readonly error: WireError };

export const REPORT_DESCRIPTOR = 3;

const MAIN = fileURLToPath(new URL('./main.js', import.meta.url));

/** Rejects with the error of an owner that could not start; ENOTCONN when the owner ended without a report. */
export async function startOwner(storeDirectory: string, place: OwnerPlace): Promise<'ready' | 'taken'> {
  const log = openLogFile(place.logPath);
  let text = '';
  try {
    const child = spawn(process.execPath, ['--expose-gc', MAIN, storeDirectory], {
      detached: true,
      cwd: '/',
      stdio: ['ignore', log, log, 'pipe'],
    });
    child.unref();
    // The cast: `stdio` makes the fourth descriptor a pipe.
    const pipe = child.stdio[REPORT_DESCRIPTOR] as Readable;
    for await (const bytes of pipe) text += String(bytes);
  } finally {
    closeSync(log);
  }
  const report = parseReport(text);
  if (report === undefined) {
    throw new FsError('ENOTCONN', {
      syscall: 'owner',
      note: `the owner process ended before it was ready: see ${place.logPath}`,
    });
  }
  if (report.state === 'failed') throw fromWire(report.error);
  return report.state;
}

function parseReport(text: string): StartReport | undefined {
  try {
    // The cast: `main.ts` of this same version wrote the report.
    return JSON.parse(text) as StartReport;
  } catch {
    return undefined;
  }
}
