/** Proves the cases right: every one of them holds for node:fs over the host. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostFactory } from './host.ts';
import { conformanceGroups } from './index.ts';
import { runConformance } from './run.ts';

test('the suite has 200 cases or more, and each is named once', () => {
  const names = conformanceGroups.flatMap((group) => group.cases.map((one) => `${group.name}: ${one.name}`));
  assert.ok(names.length >= 200, `${names.length} cases`);
  assert.equal(new Set(names).size, names.length);
});

runConformance(hostFactory());
