/** The example of a test runner in docs/ works as documented. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createSystem } from '../../src/sys/index.ts';

const WORKERS = Number(process.env.RAMET_PROCESSES ?? 8);
const EXAMPLE = 'docs/examples/test-runner.js';

/** The example lies beside `dist`, in the package whose name it imports. */
function examplePath(): string {
  const file = fileURLToPath(new URL(`../../../${EXAMPLE}`, import.meta.url));
  assert.ok(existsSync(file), `${EXAMPLE} is in the package`);
  return file;
}

test(`the test runner of docs/examples: ${WORKERS} processes fork one snapshot 1,000 times`, async () => {
  const tests = createSystem().kind === 'native' ? 1000 : 100;
  const project = fileURLToPath(new URL('../../../docs', import.meta.url));
  const run = promisify(execFile);
  const { stdout } = await run(process.execPath, [examplePath(), project, String(tests), String(WORKERS)]);
  const result = JSON.parse(stdout) as { tests: number; failed: number; kept: string[]; workers: number };
  assert.equal(result.tests, tests);
  assert.equal(result.workers, WORKERS);
  const failing = Array.from({ length: Math.floor(tests / 250) }, (_, at) => `test-${at * 250 + 249}`);
  assert.equal(result.failed, failing.length);
  assert.deepEqual(result.kept, failing.sort());
});
