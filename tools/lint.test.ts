/**
 * Shows that the linter's rules of structure fire: direction of imports, doors, cycles, access to the operating
 * system, length of functions. One run of Biome, with this repository's biome.json, over a scratch tree in which
 * each file is right or breaks one rule.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { findRoot } from './tidy.ts';

const IMPORTS = 'style/noRestrictedImports';
const CYCLE = 'suspicious/noImportCycles';
const LENGTH = 'complexity/noExcessiveLinesPerFunction';

const use = (...paths: string[]): string => paths.map((path) => `import '${path}';\n`).join('');
const functionOf = (lines: number): string => `export function f(): void {\n${'  f();\n'.repeat(lines)}}\n`;

/** Path, text, and the rules that it breaks, once for each break. */
const SCRATCH: readonly (readonly [path: string, text: string, broken: readonly string[]])[] = [
  // Downwards and through the door is right; upwards, sideways or past the door is not.
  ['src/base/index.ts', 'export const base = 1;\n', []],
  ['src/base/up.ts', use('../sys/index.ts'), [IMPORTS]],
  ['src/sys/index.ts', use('../base/index.ts'), []],
  ['src/sys/past-door.ts', use('../base/up.ts'), [IMPORTS]],
  ['src/blob/index.ts', use('../base/index.ts', '../sys/index.ts'), []],
  ['src/blob/sideways.ts', use('../meta/index.ts'), [IMPORTS]],
  ['src/meta/index.ts', use('../base/index.ts', '../sys/index.ts'), []],
  ['src/meta/sideways.ts', use('../blob/index.ts'), [IMPORTS]],
  ['src/extent/index.ts', use('../base/index.ts'), []],
  ['src/extent/sideways.ts', use('../blob/index.ts', '../meta/index.ts'), [IMPORTS, IMPORTS]],
  ['src/extent/up.ts', use('../mapping/index.ts', '../store/index.ts'), [IMPORTS, IMPORTS]],
  ['src/extent/up-type.ts', "import type { S } from '../store/index.ts';\nexport type T = S;\n", [IMPORTS]],
  ['src/extent/up-again.ts', "export * from '../store/index.ts';\n", [IMPORTS]],
  ['src/extent/up-late.ts', "export const late = await import('../store/index.ts');\n", [IMPORTS]],
  ['src/extent/outside.ts', use('../../testing/index.ts'), [IMPORTS]],
  ['src/extent/up.test.ts', use('../store/index.ts', '../../testing/index.ts', 'node:fs'), []],
  ['src/mapping/index.ts', use('../extent/index.ts'), []],
  ['src/mapping/up.ts', use('../layer/index.ts'), [IMPORTS]],
  ['src/layer/index.ts', use('../mapping/index.ts'), []],
  ['src/layer/up.ts', use('../vfs/index.ts'), [IMPORTS]],
  ['src/vfs/index.ts', use('../layer/index.ts'), []],
  ['src/vfs/up.ts', use('../store/index.ts'), [IMPORTS]],
  ['src/store/index.ts', use('../vfs/index.ts'), []],
  ['src/store/up.ts', use('../library/index.ts'), [IMPORTS]],
  ['src/transfer/index.ts', use('../store/index.ts'), []],
  ['src/transfer/up.ts', use('../library/index.ts'), [IMPORTS]],
  ['src/fuse/index.ts', use('../store/index.ts'), []],
  ['src/fuse/up.ts', use('../owner/index.ts'), [IMPORTS]],
  ['src/owner/index.ts', use('../fuse/index.ts', '../store/index.ts'), []],
  ['src/owner/up.ts', use('../library/index.ts', '../transfer/index.ts'), [IMPORTS, IMPORTS]],
  ['src/library/index.ts', use('../transfer/index.ts', '../store/index.ts'), []],
  ['src/library/up.ts', use('../cli/index.ts'), [IMPORTS]],
  ['src/library/past-door.ts', use('../store/up.ts'), [IMPORTS]],
  ['src/cli/index.ts', `${use('../library/index.ts', 'commander')}console.log(1);\n`, []],
  ['src/index.ts', "export * from './library/index.ts';\n", []],
  ['testing/index.ts', `${use('../src/store/index.ts', 'node:fs')}console.log(1);\n`, []],

  // The operating system, and the packages that belong to one room.
  ['src/sys/io.ts', use('node:fs', 'koffi'), []],
  ['src/meta/io.ts', use('node:fs', 'lmdb'), []],
  ['src/library/io.ts', use('node:fs', 'node:child_process'), []],
  ['src/vfs/pure.ts', use('node:util', 'node:path', 'node:assert/strict'), []],
  [
    'src/vfs/io.ts',
    use('node:fs', 'node:fs/promises', 'node:os', 'node:crypto', 'node:child_process', 'node:worker_threads'),
    [IMPORTS, IMPORTS, IMPORTS, IMPORTS, IMPORTS, IMPORTS],
  ],
  ['src/vfs/old-name.ts', use('fs'), ['style/useNodejsImportProtocol']],
  ['src/vfs/packages.ts', use('koffi', 'lmdb', 'commander'), [IMPORTS, IMPORTS, IMPORTS]],
  ['src/vfs/development.ts', use('memfs'), ['correctness/noUndeclaredDependencies']],
  ['src/vfs/noise.ts', 'console.log(1);\n', ['suspicious/noConsole']],

  // Cycles, even of types alone.
  ['src/vfs/cycle-a.ts', use('./cycle-b.ts'), [CYCLE]],
  ['src/vfs/cycle-b.ts', use('./cycle-a.ts'), [CYCLE]],
  ['src/vfs/types-a.ts', "import type { B } from './types-b.ts';\nexport type A = { b: B };\n", [CYCLE]],
  ['src/vfs/types-b.ts', "import type { A } from './types-a.ts';\nexport type B = { a: A };\n", [CYCLE]],

  // The code itself.
  ['src/vfs/long-enough.ts', functionOf(65), []],
  ['src/vfs/too-long.ts', functionOf(75), [LENGTH]],
  ['src/vfs/too-long.test.ts', functionOf(75), []],
  ['src/vfs/any.ts', 'export const f = (x: any): number => x;\n', ['suspicious/noExplicitAny']],
  ['src/vfs/default.ts', 'export default 1;\n', ['style/noDefaultExport']],
  ['src/vfs/CamelCase.ts', 'export const a = 1;\n', ['style/useFilenamingConvention']],
  ['src/vfs/type.ts', "import { A } from './pure.ts';\nexport type B = A;\n", ['style/useImportType']],
];

interface LintRun {
  readonly status: number | null;
  readonly output: string;
  /** Rules broken, by path. */
  readonly broken: ReadonlyMap<string, string[]>;
}

function lint(root: string, scratch: string): LintRun {
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome');
  const run = spawnSync(
    process.execPath,
    [biome, 'lint', '--reporter=github', '--max-diagnostics=none', '--error-on-warnings', '.'],
    { cwd: scratch, encoding: 'utf8' },
  );
  const output = run.stdout + run.stderr;
  const broken = new Map<string, string[]>();
  for (const [, rule = '', path = ''] of output.matchAll(/^::\w+ title=lint\/([^,]+),file=([^,]+),/gm)) {
    const key = relative(scratch, path);
    broken.set(key, [...(broken.get(key) ?? []), rule]);
  }
  return { status: run.status, output, broken };
}

test('the lint rules of structure fire on what they forbid, and on nothing else', () => {
  const root = findRoot(process.cwd());
  const scratch = mkdtempSync(join(tmpdir(), 'ramet-lint-'));
  try {
    for (const name of ['biome.json', 'package.json', '.gitignore']) {
      copyFileSync(join(root, name), join(scratch, name));
    }
    for (const [path, text] of SCRATCH) {
      mkdirSync(dirname(join(scratch, path)), { recursive: true });
      writeFileSync(join(scratch, path), text);
    }
    const { status, output, broken } = lint(root, scratch);
    assert.equal(status, 1, output);
    const found = SCRATCH.map(([path]) => [path, broken.get(path) ?? []]);
    const expected = SCRATCH.map(([path, , rules]) => [path, rules]);
    assert.deepEqual(found, expected);
    assert.deepEqual(
      [...broken.keys()].filter((path) => !SCRATCH.some(([known]) => known === path)),
      [],
    );
  } finally {
    rmSync(scratch, { recursive: true });
  }
});
