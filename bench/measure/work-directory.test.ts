/** The directory of a benchmark, and the tree of files that it works on. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stopPrograms, timeProgram } from './timed-program.ts';
import { makeHostTree, makeTreeStore } from './tree-store.ts';
import { runProgram, WorkDirectory, whyNotProgram, whyNotRoot } from './work-directory.ts';

describe('work directory', () => {
  let parent: string;

  before(() => {
    parent = mkdtempSync(path.join(tmpdir(), 'bench-test-'));
  });

  after(() => rmSync(parent, { recursive: true, force: true }));

  it('undoes everything once, the last thing first, and removes itself', () => {
    const work = new WorkDirectory(parent);
    const undone: string[] = [];
    work.onRemove(() => undone.push('mount'));
    const second = work.onRemove(() => undone.push('second'));
    work.onRemove(() => undone.push('third'));
    writeFileSync(work.join('file'), '');
    second();
    assert.deepEqual(undone, ['second']);
    work.remove();
    assert.deepEqual(undone, ['second', 'third', 'mount']);
    assert.ok(!existsSync(work.path));
  });

  it('is removed even if a step can no longer be undone', () => {
    const work = new WorkDirectory(parent);
    const undone: string[] = [];
    work.onRemove(() => undone.push('first'));
    work.onRemove(() => {
      throw new Error('it is in use');
    });
    work.remove();
    assert.deepEqual(undone, ['first']);
    assert.ok(!existsSync(work.path));
  });

  it('unmounts what is mounted in it, and leaves the files of the mounted tree alone', {
    skip: whyNotRoot() ?? false,
  }, () => {
    const kept = path.join(parent, 'kept');
    mkdirSync(kept);
    writeFileSync(path.join(kept, 'file'), 'x');
    const work = new WorkDirectory(parent);
    mkdirSync(work.join('point'));
    runProgram('mount', '--bind', kept, work.join('point'));
    work.remove();
    assert.ok(!existsSync(work.path));
    assert.deepEqual(readdirSync(kept), ['file']);
  });

  it('stops a program that takes too long, and all that are running', async () => {
    await assert.rejects(timeProgram(50, 'sh', '-c', 'sleep 60 & sleep 60'), /longer than 0.05 s/);
    const running = timeProgram(60_000, 'sh', '-c', 'sleep 60 & sleep 60');
    stopPrograms();
    await assert.rejects(running, /ended with/);
    assert.equal((await timeProgram(60_000, 'echo', 'said')).output, 'said\n');
    await assert.rejects(timeProgram(60_000, 'sh', '-c', 'echo why >&2; exit 3'), /ended with 3: why/);
  });

  it('says why a program cannot be used', () => {
    assert.equal(whyNotProgram('sh'), undefined);
    assert.equal(whyNotProgram('no-such-program'), 'no-such-program is not installed');
    assert.throws(() => runProgram('sh', '-c', 'echo the reason >&2; exit 3'), /the reason/);
  });

  it('makes a tree of unlike files, and a store of it', async () => {
    const work = new WorkDirectory(parent);
    makeHostTree(work.join('other'), 4, 40);
    const names = readdirSync(work.join('other'), { recursive: true, withFileTypes: true });
    const contents = names
      .filter((entry) => entry.isFile())
      .map((entry) => readFileSync(path.join(entry.parentPath, entry.name), 'latin1'));
    assert.equal(contents.length, 40);
    assert.equal(new Set(contents).size, 40);
    const tree = await makeTreeStore(work, 4, 40);
    assert.ok(existsSync(path.join(tree.storeDirectory, 'VERSION')));
    assert.ok(tree.importMs > 0);
    work.remove();
  });
});

describe('npm run bench', () => {
  const main = fileURLToPath(new URL('../main.js', import.meta.url));

  it('refuses a benchmark that it does not know, and names those that it does', () => {
    for (const argument of ['nothing', '--nothing']) {
      assert.throws(
        () => execFileSync(process.execPath, [main, argument], { stdio: 'pipe', encoding: 'utf8' }),
        (error: Error & { status?: number; stderr?: string }) => {
          assert.equal(error.status, 2);
          assert.match(error.stderr ?? '', /nothing.*\nusage: .*\n {2}library /);
          return true;
        },
      );
    }
  });
});
