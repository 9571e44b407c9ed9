/**
 * Another user, who swaps names as fast as he can. Each line of stdin is a list of swaps, pairs of paths as JSON; he
 * goes on until the next line, of which an empty one stops him. Each line is answered with how often something was
 * swapped in since the one before.
 */
import { renameSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { RENAME_EXCHANGE, renameWith } from '../host/libc.ts';

type Swap = readonly [place: string, other: string];

/** How long what was swapped in stays there, in milliseconds: from shorter than a call to longer than a few. */
const STAY_MS_MAX = 0.1;
const SWAPS_AT_ONCE = 8;

let swaps: readonly Swap[] = [];
let timer: NodeJS.Immediate | undefined;
let count = 0;

function stay(): void {
  const end = performance.now() + Math.random() * STAY_MS_MAX;
  while (performance.now() < end);
}

/** False where it fails: root has just moved something, or may alone. */
function attempt(call: () => void): boolean {
  try {
    call();
    return true;
  } catch {
    return false;
  }
}

/** In one step, or by moving one aside. Where `other` is absent, `place` is moved away for a while. */
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
