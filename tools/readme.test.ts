/** Tests README.md: its library example is the tested one, and its commands run. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { findRoot } from './tidy.ts';

const root = findRoot(process.cwd());
const readme = readFileSync(join(root, 'README.md'), 'utf8');

function block(text: string, language: string): string {
  const found = new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``).exec(text)?.[1];
  assert.ok(found !== undefined, `there is a block of ${language}`);
  return found;
}

test('the library example is the one in the comment of src/index.ts, which is run as a test', () => {
  const comment = readFileSync(join(root, 'src/index.ts'), 'utf8').replaceAll(/^ \* ?/gm, '');
  assert.equal(block(readme, 'js'), block(comment, 'js'));
});

test('the commands run, in their order', () => {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-readme-'));
  try {
    const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
    const program = join(directory, 'ramet');
    writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
    chmodSync(program, 0o755);
    mkdirSync(join(directory, 'repo', 'src'), { recursive: true });
    writeFileSync(join(directory, 'repo', 'src', 'main.ts'), 'main();\n');
    writeFileSync(join(directory, 'patch.ts'), 'patched();\n');
    const env = {
      ...process.env,
      PATH: `${directory}${delimiter}${process.env.PATH ?? ''}`,
      RAMET_STORE: '',
    };
    const lines = block(readme, 'console').trimEnd().split('\n');
    assert.ok(lines.length >= 10, 'the block has the commands');
    for (const line of lines) {
      assert.match(line, /^\$ ramet /);
      // Throws with the command's own message unless the command exits with 0.
      execFileSync('sh', ['-c', line.slice(2)], { cwd: directory, env, stdio: 'pipe' });
    }
    assert.ok(existsSync(join(directory, '.ramet', 'VERSION')), 'the store is where the text says');
    assert.equal(readFileSync(join(directory, 'result', 'src', 'patch.ts'), 'utf8'), 'patched();\n');
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
