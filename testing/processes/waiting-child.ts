/** Makes tiny transactions one after the other, and reports the longest wait for the lock of the tables. */
import { StoreEngine } from '../../src/store/index.ts';
import { answerAll } from './child.ts';

export interface WaitAnswer {
  /** Transactions since the last answer. */
  readonly count: number;
  /** The longest wait for the lock of the tables, in milliseconds. */
  readonly longestMs: number;
}

const engine = await StoreEngine.open(process.argv[2]!);
let count = 0;
let longestMs = 0;

function once(): void {
  const started = performance.now();
  engine.tables.transaction(() => {
    longestMs = Math.max(longestMs, performance.now() - started);
    engine.tables.allocate('nextIno');
  });
  count++;
  setImmediate(once);
}

answerAll((): WaitAnswer => {
  const answer = { count, longestMs };
  count = 0;
  longestMs = 0;
  return answer;
});
process.send!('ready');
once();
