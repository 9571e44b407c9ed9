/** The text that commands print for figures, paths and problems. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CommanderError } from 'commander';
import { FsError, nameFromString, StoreError } from '../base/index.ts';
import { modeText } from './attributes.ts';
import { counted, formatBytes, formatTime, isoTime, printable, right, table } from './output.ts';
import { CommandError, describeProblem, EXIT_FAILURE, EXIT_USAGE } from './problem.ts';
import { namedTreeError } from './session.ts';
import { baseName, joinPath, parseTreePath, requireTreePath, treePathOrRoot } from './tree-path.ts';

describe('output', () => {
  test('sizes, counts, times and modes read as people write them', () => {
    assert.deepEqual([0, 1023, 1024, 1536, 150 * 1024, 5 * 1024 ** 3].map(formatBytes), [
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 KiB',
      '150 KiB',
      '5.0 GiB',
    ]);
    assert.deepEqual([counted(1, 'file'), counted(2000, 'file')], ['1 file', '2,000 files']);
    assert.equal(isoTime(1_700_000_000, 5), '2023-11-14T22:13:20.000000005Z');
    assert.equal(isoTime(-1, 500_000_000), '1969-12-31T23:59:59.500000000Z');
    assert.deepEqual([0o040755, 0o100644, 0o104755, 0o102644, 0o041777, 0o120777].map(modeText), [
      'drwxr-xr-x',
      '-rw-r--r--',
      '-rwsr-xr-x',
      '-rw-r-Sr--',
      'drwxrwxrwt',
      'lrwxrwxrwx',
    ]);
  });

  test('times that no Date can hold are numbers of seconds', () => {
    for (const seconds of [99_999_999_999_999, -99_999_999_999_999, 8_640_000_000_001])
      assert.deepEqual([formatTime(seconds), isoTime(seconds, 5)], [String(seconds), String(seconds)]);
    assert.equal(isoTime(8_640_000_000_000, 0), '+275760-09-13T00:00:00.000000000Z');
  });

  test('control characters are escaped, other text is left alone', () => {
    assert.equal(printable('a\n\u001b[31mü✓'), 'a\\x0a\\x1b[31mü✓');
  });

  test('tables have no borders and no blanks at the end of a line', async () => {
    const rows = [
      ['one', '1'],
      ['three', '300'],
    ];
    assert.deepEqual(await table(['A', right('N')], rows), ['A        N', 'one      1', 'three  300']);
  });
});

describe('paths in trees', () => {
  test('are a name, a colon, and a path from the root', () => {
    assert.deepEqual(parseTreePath('base:/a/b'), { tree: 'base', path: '/a/b' });
    assert.deepEqual(parseTreePath('base:'), { tree: 'base', path: '/' });
    assert.deepEqual(parseTreePath('base:/ü'), { tree: 'base', path: nameFromString('/ü') });
    assert.deepEqual(parseTreePath('base:/a\nb'), { tree: 'base', path: '/a\nb' });
    for (const text of ['base', './base:/a', '/base:/a', 'base:a', ':/a', '']) {
      assert.equal(parseTreePath(text), undefined, text);
    }
  });

  test('are required in some places, where other text is wrong usage', () => {
    assert.throws(
      () => requireTreePath('a'),
      (error) => error instanceof CommandError && error.exitCode === EXIT_USAGE,
    );
    assert.deepEqual(treePathOrRoot('base'), { tree: 'base', path: '/' });
    assert.throws(() => treePathOrRoot('base:a'), CommandError);
  });

  test('are joined and taken apart', () => {
    assert.deepEqual([joinPath('/', 'a'), joinPath('/a', 'b')], ['/a', '/a/b']);
    assert.deepEqual([baseName('/a/b/'), baseName('/'), baseName('a')], ['b', '', 'a']);
  });
});

describe('problems', () => {
  test('say the cause and the way out, once', () => {
    const problem = describeProblem(
      new StoreError('ERR_STORE_NOT_FOUND', 'open', '/s', 'there is no store', 'Make one.'),
    );
    assert.deepEqual(problem, {
      code: 'ERR_STORE_NOT_FOUND',
      message: "open '/s': there is no store",
      hint: 'Make one.',
      path: '/s',
      exitCode: EXIT_FAILURE,
    });
    assert.equal(describeProblem(new FsError('ENOSPC')).hint?.includes('ramet gc'), true);
    assert.equal(describeProblem(new FsError('ENOSPC', { note: 'the note' })).hint, undefined);
  });

  test('of usage have exit code 2, defects are named as such, and anything else is a failure', () => {
    const usage = describeProblem(
      new CommanderError(1, 'commander.unknownOption', "error: unknown option '-x'"),
    );
    assert.deepEqual(
      [usage.code, usage.message, usage.exitCode],
      ['USAGE', "unknown option '-x'", EXIT_USAGE],
    );
    assert.deepEqual(describeProblem(new TypeError('oops')).code, 'INTERNAL');
    assert.deepEqual(describeProblem('text').message, 'text');
    const host = Object.assign(new Error('ENOSPC: full'), { code: 'ENOSPC' });
    assert.match(describeProblem(host).hint ?? '', /ramet gc/);
  });

  test('with a tree name the tree', () => {
    const codes = ['ENOENT', 'EEXIST', 'EBUSY', 'EROFS', 'EINVAL'] as const;
    for (const code of codes) {
      const named = namedTreeError('try', new FsError(code, { syscall: 'open', path: 'try' }));
      assert.ok(named instanceof CommandError && named.code === code && named.message.includes("'try'"));
    }
    const elsewhere = new FsError('ENOENT', { path: '/x' });
    assert.equal(namedTreeError('try', elsewhere), elsewhere);
  });
});
