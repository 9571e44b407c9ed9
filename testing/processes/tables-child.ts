/**
 * One of several processes with the same tables: allocates numbers, one in each transaction, and checks that it
 * reads its own rows again; or opens and closes the tables over and over.
 */
import { MetaTables } from '../../src/meta/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { answerAll } from './child.ts';

export interface TablesReport {
  /** How many numbers were allocated, or how often the tables were opened. */
  readonly count: number;
  /** Numbers that were taken although this process had committed that they are gone, or rows older than its own. */
  readonly problems: readonly string[];
}

const [directory, kind, secondsText] = process.argv.slice(2);
const system = createSystem();

function open(): MetaTables {
  return MetaTables.open(directory!, system);
}

async function takeNumbers(end: number): Promise<TablesReport> {
  const tables = open();
  const problems: string[] = [];
  let next = 0;
  let count = 0;
  for (; Date.now() < end && problems.length === 0; count++) {
    const number = tables.transaction(() => tables.allocate('nextLayer'));
    if (number < next) problems.push(`${number} after ${next - 1} was taken`);
    next = number + 1;
    tables.renew();
    const seen = tables.counters.get('nextLayer');
    if (seen < next) problems.push(`${seen} is seen after ${number} was taken`);
    if (count % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await tables.close();
  return { count, problems };
}

async function openAndClose(end: number): Promise<TablesReport> {
  let count = 0;
  for (; Date.now() < end; count++) {
    const tables = open();
    tables.counters.get('nextLayer');
    await tables.close();
  }
  return { count, problems: [] };
}

answerAll(() => {
  const end = Date.now() + Number(secondsText) * 1000;
  return kind === 'take' ? takeNumbers(end) : openAndClose(end);
});
process.send!('ready');
