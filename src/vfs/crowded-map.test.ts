/** Holes in a memory map that has used up its mappings. A separate file, because a process has one budget of them. */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import test from 'node:test';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { BLOCK_SIZE } from '../base/index.ts';
import { processMapBudget } from '../mapping/index.ts';

const budget = processMapBudget(() => 200);

test('many small holes stay within the budget, and file and map read the same', async (context) => {
  const engine = await scratchStore(context);
  if (!engine.system.canMap) return;
  const files = engine.createEmpty('work').fileSystem;
  const file = files.open('/a', constants.O_CREAT | constants.O_RDWR, 0o644);
  const expected = Buffer.alloc(128 * BLOCK_SIZE, 1);
  files.write(file, expected, 0, expected.length, 0);
  engine.snapshot('work', 'base');
  const view = files.map(file);
  for (let block = 1; block < 128; block += 2) {
    files.write(file, Buffer.from([3]), 0, 1, block * BLOCK_SIZE);
    expected[block * BLOCK_SIZE] = 3;
  }
  engine.snapshot('work', 'second');
  for (let position = 1000; position + 2 * BLOCK_SIZE <= expected.length; position += 3 * BLOCK_SIZE) {
    files.punch(file, position, 2 * BLOCK_SIZE);
    expected.fill(0, position, position + 2 * BLOCK_SIZE);
    const bytes = Buffer.alloc(expected.length);
    files.read(file, bytes, 0, bytes.length, 0);
    assert.ok(bytes.equals(expected), `a hole at ${position}`);
    assert.ok(Buffer.from(view.bytes).equals(expected), `a hole at ${position}, by the map`);
    assert.ok(budget.usedCount <= budget.limit, `${budget.usedCount} mappings`);
  }
  view.close();
});
