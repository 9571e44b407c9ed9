/** Processes open and close the tables while others commit, for 4 s or for RAMET_TABLES_SECONDS. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetaTables } from '../../src/meta/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { scratchDirectory } from '../stores/scratch-store.ts';
import { Child } from './child.ts';
import type { TablesReport } from './tables-child.ts';

const SECONDS = Number(process.env.RAMET_TABLES_SECONDS ?? 4);

async function reportsOf(directory: string, kinds: readonly string[]): Promise<TablesReport[]> {
  const children: Child[] = [];
  try {
    for (const kind of kinds) {
      const child = new Child('tables-child', directory, kind, String(SECONDS));
      children.push(child);
      await child.next();
    }
    return await Promise.all(children.map((child) => child.ask<TablesReport>({})));
  } finally {
    for (const child of children) await child.kill();
  }
}

test('what one process has committed stays while others open and close the tables', async (context) => {
  const directory = scratchDirectory(context);
  const reports = await reportsOf(directory, ['take', 'open', 'open', 'open']);
  assert.deepEqual(
    reports.flatMap(({ problems }) => problems),
    [],
  );
  for (const { count } of reports) assert.ok(count > 0, 'each got its turn');
  const tables = MetaTables.open(directory, createSystem());
  const taken = tables.counters.get('nextLayer') - 1;
  await tables.close();
  assert.equal(taken, reports[0]?.count, 'no number was taken twice');
});

test('the last process to close the tables does not disturb the next one to open them', async (context) => {
  const directory = scratchDirectory(context);
  const reports = await reportsOf(directory, ['open', 'open', 'open']);
  for (const { count } of reports) assert.ok(count > 0, 'each got its turn');
});
