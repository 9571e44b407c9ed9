/** Times calls in rounds, whose means are compared, and one by one, for the slowest ones. */
import { median, quantile } from '../../src/demo/index.ts';
import type { Sampled } from './table.ts';

export interface SamplingOptions {
  readonly rounds: number;
  /** The least duration of a round, in milliseconds. */
  readonly roundMs: number;
}

export const THOROUGH: SamplingOptions = { rounds: 9, roundMs: 80 };
export const QUICK: SamplingOptions = { rounds: 3, roundMs: 15 };

/** Calls shorter than this are not timed one by one: reading the clock takes about 0.05 µs. */
const SINGLE_US_MIN = 1.5;
const SINGLE_CALLS = 4000;

/** Summary of samples, in their own unit. */
export function summarize(samples: readonly number[]): Sampled {
  return {
    median: median(samples),
    low: Math.min(...samples),
    high: Math.max(...samples),
    count: samples.length,
  };
}

/** Like `summarize`, with percentiles, for calls that were timed one by one. */
export function summarizeSingle(samples: readonly number[]): Sampled {
  return { ...summarize(samples), p50: median(samples), p99: quantile(samples, 0.99) };
}

/**
 * Returns the microseconds of a call. `call` gets a number that counts up. Calls for as long as a round takes come
 * first: they warm up the code, and show how many calls make a round.
 */
export function sampleCalls(call: (index: number) => void, options: SamplingOptions): Sampled {
  let index = 0;
  const timeUs = (calls: number): number => {
    const started = process.hrtime.bigint();
    for (const end = index + calls; index < end; index++) call(index);
    return Number(process.hrtime.bigint() - started) / 1000;
  };
  let calls = 1;
  let elapsedUs = timeUs(calls);
  while (elapsedUs < options.roundMs * 1000) {
    calls = Math.ceil(calls * Math.min(10, Math.max(1.2, (options.roundMs * 1100) / Math.max(1, elapsedUs))));
    elapsedUs = timeUs(calls);
  }
  const samples: number[] = [];
  for (let round = 0; round < options.rounds; round++) samples.push(timeUs(calls) / calls);
  const summary = summarize(samples);
  if (summary.median < SINGLE_US_MIN) return summary;
  const singles: number[] = [];
  for (let at = 0; at < Math.min(SINGLE_CALLS, calls * options.rounds); at++) singles.push(timeUs(1));
  return { ...summary, p50: median(singles), p99: quantile(singles, 0.99) };
}

/** Like `sampleCalls`, for calls that return a promise: each is awaited before the next. */
export async function samplePromises(
  call: (index: number) => Promise<unknown>,
  options: SamplingOptions,
): Promise<Sampled> {
  let index = 0;
  const timeUs = async (calls: number): Promise<number> => {
    const started = process.hrtime.bigint();
    for (const end = index + calls; index < end; index++) await call(index);
    return Number(process.hrtime.bigint() - started) / 1000;
  };
  const calls = Math.max(1, Math.ceil((options.roundMs * 1000) / Math.max(1, (await timeUs(50)) / 50)));
  const samples: number[] = [];
  for (let round = 0; round < options.rounds; round++) samples.push((await timeUs(calls)) / calls);
  const singles: number[] = [];
  for (let at = 0; at < Math.min(SINGLE_CALLS, calls * options.rounds); at++) singles.push(await timeUs(1));
  return { ...summarize(samples), p50: median(singles), p99: quantile(singles, 0.99) };
}
