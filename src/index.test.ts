/** Runs the example in the documentation comment of the library as it stands. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { nativeOnly } from '../testing/host/native-only.ts';

function exampleText(): string {
  // Only the declarations keep the comment: the compiled module has no code that it belongs to.
  const declarations = readFileSync(fileURLToPath(new URL('./index.d.ts', import.meta.url)), 'utf8');
  const block = /```js\n([\s\S]*?)```/.exec(declarations)?.[1];
  assert.ok(block !== undefined, 'the comment has an example');
  return block.replaceAll(/^ \* ?/gm, '').replace("'ramet'", `'${new URL('./index.js', import.meta.url)}'`);
}

test('the example runs and prints what it says', { skip: nativeOnly }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-example-'));
  try {
    mkdirSync(join(directory, 'project', 'src'), { recursive: true });
    writeFileSync(join(directory, 'project', 'src', 'main.js'), '');
    writeFileSync(join(directory, 'example.mjs'), exampleText());
    const printed = execFileSync(process.execPath, ['example.mjs'], { cwd: directory, encoding: 'utf8' });
    assert.match(printed, /^hello from a fork\n/);
    assert.match(printed, /^added \/hello\.txt$/m);
    assert.match(printed, /^added \/src2$/m);
    assert.match(printed, /\[ 'hello\.txt', 'src', 'src2' \]/);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
