/** Shows that each rule of tidy.ts finds what it names and lets the rest pass, then runs them over the repository. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import type { RepositoryFile } from './tidy.ts';
import {
  checkChangelog,
  checkFileLength,
  checkFormats,
  checkHosts,
  checkLineWidth,
  checkLinks,
  checkLock,
  checkName,
  checkOpening,
  checkRepository,
  checkRooms,
  checkWords,
  findRoot,
  formatFinding,
  readRepository,
} from './tidy.ts';

const file = (path: string, text = ''): RepositoryFile => ({ path, text });
const linesFound = (findings: readonly { line: number }[]): number[] => findings.map(({ line }) => line);

describe('rules for one file', () => {
  test('a source file may have 500 lines, a test 800, a page any number', () => {
    const lines = (count: number): string => 'x\n'.repeat(count);
    assert.deepEqual(checkFileLength(file('src/a.ts', lines(500))), []);
    assert.match(checkFileLength(file('src/a.ts', lines(501)))[0]?.message ?? '', /^501 lines/);
    assert.deepEqual(checkFileLength(file('src/a.test.ts', lines(800))), []);
    assert.match(checkFileLength(file('src/a.test.ts', lines(801)))[0]?.message ?? '', /^801 lines/);
    assert.deepEqual(checkFileLength(file('docs/a.md', lines(2000))), []);
  });

  test('a line of code may have 120 characters', () => {
    const text = `${'x'.repeat(120)}\n${'x'.repeat(121)}\n`;
    assert.deepEqual(linesFound(checkLineWidth(file('src/a.ts', text))), [2]);
    assert.deepEqual(checkLineWidth(file('docs/a.md', text)), []);
  });

  test('empty names are found in any part of a path', () => {
    for (const path of ['src/utils.ts', 'src/base/lock-manager.ts', 'src/common/a.ts', 'docs/misc.md']) {
      assert.equal(checkName(file(path)).length, 1, path);
    }
    for (const path of ['src/base/commonality.ts', 'src/sys/memory.ts']) {
      assert.deepEqual(checkName(file(path)), [], path);
    }
  });

  test('a source file opens with a comment, after the line that names the interpreter', () => {
    assert.deepEqual(checkOpening(file('src/a.ts', '/** What it is for. */\n')), []);
    assert.deepEqual(checkOpening(file('src/a.ts', '#!/usr/bin/env node\n// What it is for.\n')), []);
    assert.deepEqual(linesFound(checkOpening(file('src/a.ts', 'export const a = 1;\n'))), [1]);
    assert.deepEqual(checkOpening(file('docs/a.md', '# A\n')), []);
  });

  test('markers of unfinished work are found as whole words in every file', () => {
    assert.deepEqual(linesFound(checkWords(file('docs/a.md', 'fine\nTODO later\n'))), [2]);
    assert.deepEqual(linesFound(checkWords(file('src/a.ts', '// FIXME\n// XXX\n'))), [1, 2]);
    assert.deepEqual(checkWords(file('src/a.ts', "mkdtempSync('a-XXXXXX');\n")), []);
  });

  test('casts to any are found in code', () => {
    assert.deepEqual(linesFound(checkWords(file('src/a.ts', 'a;\n(b as any).c;\n<any>d;\n'))), [2, 3]);
    assert.deepEqual(checkWords(file('docs/a.md', 'the same as any other\n')), []);
  });

  test('focused tests are found in tests', () => {
    const text = "test('a');\ntest.only('b');\ntest('c', { only: true });\n";
    assert.deepEqual(linesFound(checkWords(file('src/a.test.ts', text))), [2, 3]);
  });

  test('ambient time and chance are found in the rooms that get them injected', () => {
    const text = 'Date.now();\nnew Date();\nMath.random();\nperformance.now();\nnew Date(ms);\n';
    assert.deepEqual(linesFound(checkWords(file('src/vfs/a.ts', text))), [1, 2, 3, 4]);
    for (const path of ['src/sys/a.ts', 'src/cli/a.ts', 'src/vfs/a.test.ts', 'bench/a.ts']) {
      assert.deepEqual(checkWords(file(path, text)), [], path);
    }
  });

  test('paths of one machine are found', () => {
    const bad = ['cd /Users/me/x', "'/root'", '/home/someone/x', '`/root/.cache`', '(/home/me/a)'];
    for (const text of bad) assert.deepEqual(linesFound(checkHosts(file('docs/a.md', text))), [1], text);
    const good = [
      'docs/home/x',
      'FORK:/root/x',
      '/homes/x',
      '/rooted',
      `\${dir}/home`,
      'https://a.b/root',
      '/tmp/x',
    ];
    for (const text of good) assert.deepEqual(checkHosts(file('docs/a.md', text)), [], text);
  });

  test('package registries are found', () => {
    assert.deepEqual(linesFound(checkHosts(file('.npmrc', 'a\nregistry=http://registry.invalid/\n'))), [2]);
  });
});

describe('rules across files', () => {
  const lintRules = file('biome.json', '{ "includes": ["src/vfs/**"] }');

  test('a room has a documented door and an import list', () => {
    const door = file('src/vfs/index.ts', '/** vfs: what it is for. */\n');
    assert.deepEqual(checkRooms([lintRules, door, file('src/vfs/a.ts'), file('src/index.ts')]), []);
    assert.deepEqual(checkRooms([lintRules, file('src/vfs/a.ts')]).map(formatFinding), [
      'src/vfs/index.ts: missing: a room has an index.ts as its only door',
    ]);
    assert.equal(checkRooms([lintRules, file('src/vfs/index.ts', '// vfs\n')])[0]?.line, 1);
    const noList = checkRooms([lintRules, door, file('src/new/index.ts', '/** new */')]);
    assert.deepEqual(noList.map(formatFinding), ['biome.json: src/new has no list of what it may import']);
  });

  test('a folder inside a room is found', () => {
    const door = file('src/vfs/index.ts', '/** vfs: what it is for. */\n');
    assert.equal(checkRooms([lintRules, door, file('src/vfs/inner/a.ts')]).length, 2);
  });

  test('links lead to files, folders and headings that exist', () => {
    const target = file(
      'docs/b.md',
      '# One `thing`: two\n\n## Same\n\n## Same\n\n```\n# not a heading\n```\n',
    );
    const check = (text: string): number[] =>
      linesFound(checkLinks([file('docs/a.md', text), target, file('README.md')], ['docs/demo.gif']));
    const good = [
      '[b](b.md)',
      '[b](./b.md#one-thing-two)',
      '[b](b.md#same-1 "title")',
      '[up](../README.md)',
      '[folder](../docs/)',
      '[web](https://example.org/x)',
      '<img src="demo.gif" alt="">',
      '`[code](nowhere.md)`',
      '```\n[code](nowhere.md)\n```',
      '# Here\n[self](#here)',
    ];
    for (const text of good) assert.deepEqual(check(text), [], text);
    const bad = [
      '[b](c.md)',
      '[b](b.md#not-a-heading)',
      '[b](/docs/b.md)',
      '[out](../../README.md)',
      '<a href="none.html">',
    ];
    for (const text of bad) assert.deepEqual(check(`\n${text}`), [2], text);
  });

  test('every format file is named in docs/format.md', () => {
    const format = file('src/meta/inode-format.ts');
    assert.deepEqual(checkFormats([format, file('docs/format.md', 'see inode-format.ts')]), []);
    assert.equal(checkFormats([format, file('docs/format.md', 'inodes')]).length, 1);
    assert.equal(checkFormats([format]).length, 1, 'no page at all');
  });

  test('the lock is complete and has the version of the package and no addresses', () => {
    const packageFile = file('package.json', '{ "version": "1.0.0" }');
    const lock = (version: string, resolved?: string): RepositoryFile =>
      file(
        'package-lock.json',
        JSON.stringify({ version, packages: { '': {}, 'node_modules/a': { resolved } } }),
      );
    assert.deepEqual(checkLock([packageFile, lock('1.0.0')]), []);
    assert.equal(checkLock([packageFile, lock('1.0.0', 'http://elsewhere/a.tgz')]).length, 1);
    assert.equal(checkLock([packageFile, lock('0.9.0')]).length, 1);
    const incomplete = lock('1.0.0').text.replace(
      '{}',
      '{ "optionalDependencies": { "@a/b": "1", "a": "1" } }',
    );
    assert.match(
      checkLock([packageFile, file('package-lock.json', incomplete)])[0]?.message ?? '',
      /^@a\/b, /,
    );
    assert.equal(checkLock([packageFile, file('package-lock.json', incomplete)]).length, 1);
    assert.match(checkLock([packageFile])[0]?.message ?? '', /^missing/);
  });

  test('the changelog has a section for this version or for what is unreleased', () => {
    const packageFile = file('package.json', '{ "version": "1.0.0" }');
    assert.deepEqual(checkChangelog([packageFile, file('CHANGELOG.md', '## [Unreleased]\n')]), []);
    assert.deepEqual(checkChangelog([packageFile, file('CHANGELOG.md', '## [1.0.0] - 2026-01-01\n')]), []);
    assert.equal(checkChangelog([packageFile, file('CHANGELOG.md', '## [0.9.0]\n')]).length, 1);
    assert.equal(checkChangelog([packageFile]).length, 1);
  });
});

describe('reading a repository', () => {
  test('reads tracked and new files, and neither ignored, deleted, linked nor binary ones', () => {
    const root = mkdtempSync(join(tmpdir(), 'ramet-tidy-'));
    try {
      execFileSync('git', ['init', '--quiet'], { cwd: root });
      mkdirSync(join(root, 'folder'));
      for (const name of ['tracked.ts', 'deleted.ts', 'new.ts']) writeFileSync(join(root, name), name);
      writeFileSync(join(root, '.gitignore'), 'ignored.ts\n');
      writeFileSync(join(root, 'ignored.ts'), '');
      writeFileSync(join(root, 'picture.png'), Buffer.from([1, 0, 2]));
      symlinkSync('folder', join(root, 'link'));
      execFileSync('git', ['add', 'tracked.ts', 'deleted.ts'], { cwd: root });
      rmSync(join(root, 'deleted.ts'));
      const { files, otherPaths } = readRepository(root);
      assert.deepEqual(
        files.map(({ path }) => path),
        ['.gitignore', 'new.ts', 'tracked.ts'],
      );
      assert.equal(files[2]?.text, 'tracked.ts');
      assert.deepEqual(otherPaths, ['picture.png']);
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test('the root is the nearest folder with biome.json; without one it says so', () => {
    const root = mkdtempSync(join(tmpdir(), 'ramet-tidy-'));
    try {
      const inner = join(root, 'dist', 'tools');
      mkdirSync(inner, { recursive: true });
      assert.throws(() => findRoot(inner), /no biome\.json/);
      writeFileSync(join(root, 'biome.json'), '{}');
      assert.equal(findRoot(inner), root);
    } finally {
      rmSync(root, { recursive: true });
    }
  });
});

test('this repository is tidy', (context) => {
  const root = findRoot(process.cwd());
  if (!existsSync(join(root, '.git'))) {
    context.skip('not a git checkout: there is no list of the files that belong to it');
    return;
  }
  const { files, otherPaths } = readRepository(root);
  assert.ok(files.length > 20, 'the list of files is not empty');
  assert.deepEqual(checkRepository(files, otherPaths).map(formatFinding), []);
});
