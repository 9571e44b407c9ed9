/** The tests that test-files runs for a path. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { testFiles } from './test-files.ts';

test('a folder stands for its tests, a file for the test beside it', () => {
  assert.ok(testFiles('src/cli').includes('dist/src/cli/commands/demo.test.js'));
  assert.deepEqual(testFiles('tools/tidy.ts'), ['dist/tools/tidy.test.js']);
  assert.deepEqual(testFiles('tools/tidy.test.ts'), ['dist/tools/tidy.test.js']);
  assert.deepEqual(testFiles('src/cli/main.ts'), []);
  assert.deepEqual(testFiles('src/nowhere'), []);
});

test('without a path, or without tests at a path, prints its usage and runs nothing', () => {
  const program = fileURLToPath(new URL('./test-files.js', import.meta.url));
  for (const args of [[], ['src/nowhere'], ['tools', 'src/cli/main.ts'], ['--test-only']]) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' });
    assert.deepEqual([status, stdout], [2, '']);
    assert.match(stderr, /usage: npm run t -- .*PATH/);
  }
});
