/** Layers by command: archives and whiteouts that are imported, and forks over several trees. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { ScratchCommand } from '../../testing/command/scratch-command.ts';
import { tarBytes } from '../../testing/trees/tar-bytes.ts';

function withLayers(context: TestContext): ScratchCommand {
  const scratch = new ScratchCommand(context);
  scratch.must('init');
  writeFileSync(
    scratch.at('one.tar'),
    tarBytes([
      { path: 'etc/a', content: '1' },
      { path: 'etc/b', content: '1' },
    ]),
  );
  const second = [{ path: 'etc/.wh.a' }, { path: 'etc/c', content: '2' }];
  writeFileSync(scratch.at('two.tar.gz'), gzipSync(tarBytes(second)));
  return scratch;
}

describe('layers', () => {
  test('of an image are imported over each other', (context) => {
    const scratch = withLayers(context);
    assert.match(scratch.must('import', 'one.tar'), /as 'one': 2 files/);
    const report = scratch.json('import', 'two.tar.gz', '--over', 'one', '--name', 'image') as {
      whiteouts: number;
    };
    assert.equal(report.whiteouts, 1);
    assert.match(scratch.must('diff', 'image'), /D \/etc\/a\nA \/etc\/c\n/);
    assert.match(
      scratch.mustFail(1, 'import', 'two.tar.gz', '--over', 'none'),
      /no fork or snapshot named 'none'/,
    );
    assert.match(scratch.mustFail(2, 'import', 'two.tar.gz', '--whiteouts', 'aufs'), /oci, overlay, none/);
    writeFileSync(scratch.at('cut.tar'), tarBytes([{ path: 'a', content: 'x' }]).subarray(0, 700));
    assert.match(scratch.mustFail(1, 'import', 'cut.tar'), /damaged.*fetch it again/);
  });

  test('are stacked as lowers, the first one uppermost', (context) => {
    const scratch = withLayers(context);
    scratch.must('import', 'one.tar');
    scratch.must('import', 'two.tar.gz', '--whiteouts', 'oci');
    const said = scratch.must('fork', '--lower', 'two', '--lower', 'one', 'image');
    assert.equal(said, "forked 'two', 'one' as 'image'\n");
    assert.match(scratch.mustFail(1, 'cat', 'image:/etc/a'), /ENOENT/);
    assert.equal(scratch.must('cat', 'image:/etc/b'), '1');
    assert.equal(scratch.must('cat', 'image:/etc/c'), '2');
    scratch.must('rm', 'image:/etc/b');
    assert.match(scratch.must('diff', 'image'), /^D \/etc\/b$/m);
    assert.equal(scratch.must('fork', '--lower', 'two', '--lower', 'one'), 'two-1\n');
    mkdirSync(scratch.at('host'));
    writeFileSync(scratch.at('host/new'), 'host');
    scratch.must('fork', '--lower', './host', '--lower', 'image', 'mixed');
    assert.equal(scratch.must('cat', 'mixed:/new'), 'host');
    assert.equal(scratch.must('cat', 'mixed:/etc/c'), '2');
    assert.deepEqual((scratch.json('fsck') as { isClean: boolean }).isClean, true);
  });

  test('that cannot be stacked are refused with the reason', (context) => {
    const scratch = withLayers(context);
    scratch.must('import', 'one.tar');
    assert.match(
      scratch.mustFail(1, 'fork', '--lower', 'one', '--lower', 'one', 'x'),
      /'one' is named twice/,
    );
    assert.match(
      scratch.mustFail(1, 'fork', '--lower', 'one', '--lower', 'no', 'x'),
      /no fork or snapshot named 'no'/,
    );
    assert.match(scratch.mustFail(2, 'fork', '--lower', 'one', 'x', 'y'), /only the name is left/);
    assert.match(
      scratch.mustFail(1, 'fork', '--lower', 'one', '--pin', 'x'),
      /--pin is for a fork of a directory/,
    );
  });
});
