/** The program that `callByProcess` runs: makes the call in its argument, and reports the outcome on stdout. */
import { writeSync } from 'node:fs';
import { isFsError } from '../base/index.ts';
import { createKernel } from '../sys/index.ts';
import { makeCall, type PathCall } from './blocking-call.ts';
import type { ProcessReport } from './call-by-process.ts';

function report(text: string): ProcessReport {
  const kernel = createKernel();
  if (kernel instanceof Error) throw kernel;
  try {
    // The cast: the argument comes from `callByProcess` of the same version of this program.
    makeCall(kernel, JSON.parse(text) as PathCall);
    return null;
  } catch (error) {
    if (!isFsError(error)) throw error;
    return error.plain();
  }
}

writeSync(1, JSON.stringify(report(process.argv[2]!)));
