/**
 * Swaps names as another user, as fast as possible. Each line of stdin is a list of swaps, pairs of paths as JSON,
 * which are repeated until the next line; an empty line stops them. The answer to each line is the number of swaps
 * since the line before.
 */
import { renameSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { RENAME_EXCHANGE, renameWith } from '../host/libc.ts';

type Swap = readonly [place: string, other: string];

/** The longest time between a swap and its undoing, in milliseconds: longer than a few system calls. */
const STAY_MS_MAX = 0.1;
const SWAPS_AT_ONCE = 8;

let swaps: readonly Swap[] = [];
let timer: NodeJS.Immediate | undefined;
let count = 0;

function stay(): void {
  const end = performance.now() + Math.random() * STAY_MS_MAX;
  while (performance.now() < end);
}

/** Whether `call` succeeds. It may fail because root has just moved something, or because only root may do this. */
function attempt(call: () => void): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}

/** Swaps two names in one step or two, and undoes that. If `other` is missing, `place` is moved away for a while. */
function swap([place, other]: Swap): void {
  const isAtOnce = Math.random() < 0.5;
  const there = (): void => {
    if (isAtOnce) renameWith(RENAME_EXCHANGE, place, other);
    else {
      attempt(() => renameSync(place, `${place}~`));
      renameSync(other, place);
    }
  };
  const back = (): void => {
    if (isAtOnce) renameWith(RENAME_EXCHANGE, place, other);
    else {
      attempt(() => renameSync(place, other));
      renameSync(`${place}~`, place);
    }
  };
  if (attempt(there)) count++;
  stay();
  attempt(back);
  stay();
}

function goOn(): void {
  for (let done = 0; done < SWAPS_AT_ONCE && swaps.length > 0; done++)
    swap(swaps[Math.floor(Math.random() * swaps.length)]!);
  timer = swaps.length > 0 ? setImmediate(goOn) : undefined;
}

createInterface({ input: process.stdin }).on('line', (line) => {
  // The cast: only `Stranger` starts this program.
  swaps = line === '' ? [] : (JSON.parse(line) as Swap[]);
  clearImmediate(timer);
  process.stdout.write(`${count}\n`);
  count = 0;
  goOn();
});
