/** Forks of a directory, with the real program: every command, wrong input, and mounts while other forks are used. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { ScratchCommand } from '../../testing/command/scratch-command.ts';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { fingerprint } from '../../testing/trees/host-tree.ts';
import { hostWalk, makeLargeSparse } from '../../testing/trees/sparse-files.ts';
import { createSystem } from '../sys/index.ts';

/** A store, and `repo` with files in it. */
function withDirectory(context: TestContext): ScratchCommand {
  const scratch = new ScratchCommand(context);
  fs.mkdirSync(scratch.at('repo/src'), { recursive: true });
  fs.writeFileSync(scratch.at('repo/README'), 'read me\n');
  fs.writeFileSync(scratch.at('repo/src/large'), Buffer.alloc(20_000, 'large '));
  fs.symlinkSync('README', scratch.at('repo/link'));
  scratch.must('init');
  return scratch;
}

describe('ramet on a fork of a directory', { skip: nativeOnly, concurrency: 2 }, () => {
  test('fork, cat, stat, cp, rm, snapshot, diff, export, ls, du, drop, gc, fsck', (context) => {
    const scratch = withDirectory(context);
    const before = fingerprint(scratch.at('repo'));
    assert.equal(scratch.must('fork', './repo', 'try-1'), "forked './repo' as 'try-1'\n");
    assert.equal(scratch.must('cat', 'try-1:/README'), 'read me\n');
    assert.equal(scratch.must('cat', 'try-1:/link'), 'read me\n');
    assert.match(scratch.must('stat', 'try-1:/src/large'), /20.?000/);
    fs.writeFileSync(scratch.at('new'), 'new\n');
    scratch.must('cp', 'new', 'try-1:/src/new');
    scratch.must('cp', 'try-1:/src/large', 'try-1:/copy');
    scratch.must('cp', 'try-1:/README', 'out');
    assert.equal(fs.readFileSync(scratch.at('out'), 'utf8'), 'read me\n');
    scratch.must('rm', 'try-1:/README');
    scratch.must('snapshot', 'try-1', 'done');
    scratch.must('fork', 'done', 'try-2');
    assert.equal(scratch.must('cat', 'try-2:/src/new'), 'new\n');
    scratch.must('export', 'try-2', 'exported');
    assert.deepEqual(fs.readdirSync(scratch.at('exported')).sort(), ['copy', 'link', 'src']);
    assert.deepEqual(
      fs.readFileSync(scratch.at('exported/copy')),
      fs.readFileSync(scratch.at('repo/src/large')),
    );
    assert.match(scratch.must('ls'), /try-1 .*repo/);
    scratch.must('du');
    scratch.must('du', '--shared');
    scratch.must('pages', 'try-1:/copy');
    scratch.must('pages', 'try-2:/src/large');
    scratch.must('diff', 'done', 'try-2');
    scratch.must('fsck');
    for (const name of ['try-1', 'try-2', 'done']) scratch.must('drop', name);
    scratch.must('gc');
    scratch.must('fsck');
    assert.deepEqual(fingerprint(scratch.at('repo')), before);
  });

  test('a fork without a name gets one', (context) => {
    const scratch = withDirectory(context);
    assert.equal(scratch.must('fork', './repo'), 'repo-1\n');
    assert.equal(scratch.must('fork', scratch.at('repo'), '--pin'), 'repo-2\n');
  });

  test('holes of a file stay holes in every copy, and `pages` counts them', (context) => {
    const scratch = withDirectory(context);
    const system = createSystem();
    makeLargeSparse(system, scratch.at('repo/large'));
    const data = hostWalk(system, scratch.at('repo/large'));
    assert.deepEqual(data, [[2 ** 30, 2 ** 30 + 4096]]);
    for (const [name, ...pin] of [['by-name'], ['pinned', '--pin']]) {
      scratch.must('fork', './repo', name!, ...pin);
      scratch.must('fork', './repo', `${name}-2`, ...pin);
      scratch.must('cp', `${name}:/large`, `${name}:/copy`);
      scratch.must('cp', `${name}:/large`, `${name}-2:/copy`);
      for (const [tree, path] of [
        [name, 'large'],
        [name, 'copy'],
        [`${name}-2`, 'copy'],
      ]) {
        const pages = scratch.json('pages', `${tree}:/${path}`) as { holeCount: number; pageCount: number };
        assert.equal(pages.pageCount - pages.holeCount, 1, `${tree}:/${path}`);
        scratch.must('cp', `${tree}:/${path}`, 'out');
        assert.deepEqual(hostWalk(system, scratch.at('out')), data);
        fs.rmSync(scratch.at('out'));
      }
      const { trees } = scratch.json('du') as { trees: { name: string; referencedBytes: number }[] };
      const blocks = pin.length === 0 ? 0 : 1;
      assert.equal(trees.find((tree) => tree.name === `${name}-2`)?.referencedBytes, blocks * 4096);
    }
    scratch.must('fsck');
  });

  test('cat and fsck report what has changed on the host', (context) => {
    const scratch = withDirectory(context);
    scratch.must('fork', './repo', 'try-1');
    fs.writeFileSync(scratch.at('new'), 'x');
    scratch.must('fork', './repo', 'try-2', '--pin');
    scratch.must('cp', 'try-1:/src/large', 'try-1:/copy');
    scratch.must('cp', 'try-2:/src/large', 'try-2:/copy');
    fs.appendFileSync(scratch.at('repo/src/large'), 'more');
    const large = scratch.must('cat', 'try-1:/src/large');
    assert.equal(large.length, 20_004);
    assert.match(
      scratch.mustFail(1, 'cat', 'try-1:/copy'),
      /ESTALE.*host file '.*repo\/src\/large' was changed/,
    );
    assert.equal(scratch.must('cat', 'try-2:/copy').length, 20_000);
    const { code, out, err } = scratch.run('fsck');
    assert.equal(code, 1);
    assert.match(out + err, /try-1:\/copy/);
    assert.doesNotMatch(out + err, /try-2/);
    fs.renameSync(scratch.at('repo'), scratch.at('away'));
    assert.match(scratch.mustFail(1, 'cat', 'try-1:/README'), /ESTALE.*repo' is gone: put it back/);
    fs.renameSync(scratch.at('away'), scratch.at('repo'));
    assert.equal(scratch.must('cat', 'try-1:/README'), 'read me\n');
  });

  test('wrong input is refused, with the way out', (context) => {
    const scratch = withDirectory(context);
    const fails = (message: RegExp, ...args: string[]): void =>
      assert.match(scratch.mustFail(1, 'fork', ...args), message);
    fails(/missing.*no such file|ENOENT.*missing/, './missing', 'name');
    fails(/ENOTDIR|not a directory/, './repo/README', 'name');
    fails(/a directory is named \.\/repo/, 'repo', 'name');
    fails(/EINVAL|name/, './repo', 'a/b');
    scratch.must('fork', './repo', 'try-1');
    fails(/try-1/, './repo', 'try-1');
    fails(/--pin is for a fork of a directory/, 'try-1', 'try-2', '--pin');
    assert.doesNotMatch(scratch.must('ls'), /try-2/);
  });
});

describe('ramet mount of a fork of a directory', { skip: mountsOnly }, () => {
  test('on top of that directory, while another fork of it is used by other processes', (context) => {
    const scratch = withDirectory(context);
    const before = fingerprint(scratch.at('repo'));
    scratch.must('fork', './repo', 'try-1');
    scratch.must('fork', './repo', 'try-2');
    scratch.must('mount', 'try-1', './repo');
    try {
      assert.equal(fs.readFileSync(scratch.at('repo/README'), 'utf8'), 'read me\n');
      fs.appendFileSync(scratch.at('repo/README'), 'and write me\n');
      fs.writeFileSync(scratch.at('repo/own'), 'own\n');
      assert.equal(scratch.must('cat', 'try-1:/README'), 'read me\nand write me\n');
      // Other processes find the directory covered by the mount: they say so, and do not wait.
      assert.match(scratch.mustFail(1, 'cat', 'try-2:/README'), /ESTALE.*covered by a mount of Ramet/);
      assert.match(scratch.mustFail(1, 'fork', './repo', 'try-3'), /ELOOP/);
    } finally {
      scratch.must('umount', './repo');
    }
    assert.deepEqual(fingerprint(scratch.at('repo')), before);
    assert.equal(scratch.must('cat', 'try-2:/README'), 'read me\n');
    assert.equal(scratch.must('cat', 'try-1:/README'), 'read me\nand write me\n');
    scratch.must('fsck');
  });

  test('elsewhere, while other processes write in another fork of it', (context) => {
    const scratch = withDirectory(context);
    fs.mkdirSync(scratch.at('place'));
    scratch.must('fork', './repo', 'try-1');
    scratch.must('fork', './repo', 'try-2');
    scratch.must('mount', 'try-1', 'place');
    try {
      fs.writeFileSync(scratch.at('new'), 'two\n');
      scratch.must('cp', 'new', 'try-2:/README');
      fs.writeFileSync(scratch.at('place/README'), 'one\n');
      assert.equal(scratch.must('cat', 'try-2:/README'), 'two\n');
      assert.equal(fs.readFileSync(scratch.at('place/README'), 'utf8'), 'one\n');
      scratch.must('gc');
      assert.equal(fs.readFileSync(scratch.at('place/src/large')).length, 20_000);
    } finally {
      scratch.must('umount', 'place');
    }
    assert.equal(fs.readFileSync(scratch.at('repo/README'), 'utf8'), 'read me\n');
    scratch.must('fsck');
  });

  test('which holds its own store is refused', (context) => {
    const scratch = withDirectory(context);
    scratch.must('fork', '.', 'try-1');
    assert.match(scratch.mustFail(1, 'mount', 'try-1', '.'), /the store lies inside/);
  });
});
