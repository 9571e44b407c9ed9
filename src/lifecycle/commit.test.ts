/** Commits to host directories: what they write, what they refuse, and what a failure leaves. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { swept } from '../../testing/pace/sweep.ts';
import { inShort } from '../../testing/stores/commit-conflicts.ts';
import { changeSomething, writeText } from '../../testing/stores/random-changes.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { seededBytes } from '../../testing/trees/odd-tree.ts';
import { compareTrees, describeFileSystem, describeHostTree } from '../../testing/trees/tree-compare.ts';
import { isFsError, SeededRandom } from '../base/index.ts';
import type { StoreEngine } from '../store/index.ts';
import { createSystem, FaultySystem, type System } from '../sys/index.ts';
import { importTree } from '../transfer/index.ts';
import type { FileSystem } from '../vfs/index.ts';
import { type CommitOptions, type CommitReport, commitTree } from './commit.ts';

interface Work {
  readonly engine: StoreEngine;
  /** The imported directory. */
  readonly root: string;
  readonly fork: FileSystem;
  at(name: string): string;
  commit(options?: CommitOptions): Promise<CommitReport>;
}

async function forkOfDirectory(context: TestContext, system: System = createSystem()): Promise<Work> {
  const root = join(scratchDirectory(context), 'tree');
  const at = (name: string): string => join(root, name);
  mkdirSync(at('sub/deep'), { recursive: true });
  for (const [index, name] of ['a', 'b', 'sub/c', 'sub/deep/d', 'sub/deep/e'].entries())
    writeFileSync(at(name), seededBytes(index, 10_000));
  const engine = await scratchStore(context, { system });
  await importTree(engine, root, { name: 'base' });
  const fork = engine.fork('base', 'try').fileSystem;
  const commit = (options?: CommitOptions) => commitTree(engine, 'try', options);
  return { engine, root, fork, at, commit };
}

function differences({ engine, root }: Work, name = 'try'): string[] {
  const { fileSystem } = engine.openTreeOf(name) ?? engine.openTree(name);
  const wanted = new Map(
    [...describeFileSystem(fileSystem)].map(([path, entry]) => [path, withoutOwnTimes(entry)]),
  );
  const found = new Map(
    [...describeHostTree(createSystem(), root)].map(([path, entry]) => [path, withoutOwnTimes(entry)]),
  );
  return compareTrees(wanted, found);
}

/** Leaves out the times of directories, which change with the names in them. */
function withoutOwnTimes<T extends { readonly mode: string; readonly mtime: string }>(entry: T): T {
  return entry.mode.startsWith('4') ? { ...entry, mtime: '' } : entry;
}

function names({ engine }: Work): string[] {
  return engine.list().map(({ name }) => name);
}

describe('a commit', () => {
  test('makes the directory equal to the fork, and the next one writes only what is new', async (context) => {
    const work = await forkOfDirectory(context);
    const { fork, at, commit } = work;
    writeText(fork, '/a', 'changed');
    writeText(fork, '/new', 'new');
    fork.makeDirectory('/more', 0o750);
    fork.symlink('x', '/more/link');
    fork.link('/a', '/more/a2', false);
    fork.unlink('/b');
    fork.rename('/sub/deep', '/moved');
    fork.chmod('/sub/c', 0o600, false);
    writeFileSync(at('theirs'), 'of the directory alone');
    const report = await commit();
    assert.deepEqual([report.isDone, report.conflicts, report.notes], [true, [], []]);
    assert.equal(readFileSync(at('theirs'), 'utf8'), 'of the directory alone');
    unlinkSync(at('theirs'));
    assert.deepEqual(differences(work), []);
    assert.deepEqual(names(work), ['base', 'try', 'try.committed']);
    const again = await commit();
    assert.deepEqual([again.written, again.removed, again.conflicts], [0, 0, []]);
    writeText(fork, '/a', 'once more');
    fork.rename('/moved', '/sub/deep');
    const third = await commit();
    assert.deepEqual(third.conflicts, []);
    assert.deepEqual(differences(work), []);
    assert.deepEqual(names(work), ['base', 'try', 'try.committed']);
  });

  test('makes the directory equal to the fork after random changes, in several commits', async (context) => {
    for (let seed = 1; seed <= 10; seed++) {
      const random = new SeededRandom(seed);
      const work = await forkOfDirectory(context);
      for (let round = 0; round < 3; round++) {
        for (let count = 0; count < 15; count++) changeSomething(work.fork, random);
        const { conflicts } = await work.commit();
        assert.deepEqual(conflicts, [], `seed ${seed}, round ${round}`);
        // A commit removes no extended attribute from a directory of the host.
        const found = differences(work).filter((line) => !line.includes('xattrs'));
        assert.deepEqual(found, [], `seed ${seed}, round ${round}`);
      }
      await work.engine.close();
    }
  });

  test('writes nothing when the directory has changed, and reports each conflict', async (context) => {
    const work = await forkOfDirectory(context);
    const { fork, at, root, commit } = work;
    for (const path of ['/a', '/b', '/sub/c', '/new', '/fine']) writeText(fork, path, 'of the fork');
    for (const name of ['d', 'e']) fork.unlink(`/sub/deep/${name}`);
    fork.removeDirectory('/sub/deep');
    writeFileSync(at('a'), 'of the directory');
    unlinkSync(at('b'));
    writeFileSync(at('new'), 'of the directory');
    writeFileSync(at('sub/deep/more'), 'of the directory');
    chmodSync(at('sub/c'), 0o600);
    const before = describeHostTree(createSystem(), root);
    const refused = await commit();
    const conflicts = ['/a changed', '/b removed', '/new added', '/sub/c changed', '/sub/deep/more added'];
    assert.deepEqual([refused.isDone, inShort(refused)], [false, conflicts]);
    assert.deepEqual(compareTrees(before, describeHostTree(createSystem(), root)), []);
    assert.deepEqual(names(work), ['base', 'try']);
    const skipped = await commit({ onConflict: 'skip' });
    assert.deepEqual([skipped.isDone, inShort(skipped)], [true, conflicts]);
    assert.equal(readFileSync(at('fine'), 'utf8'), 'of the fork');
    assert.equal(readFileSync(at('a'), 'utf8'), 'of the directory');
    assert.deepEqual(readdirSync(at('sub/deep')), ['more']);
    const forced = await commit({ onConflict: 'force' });
    assert.deepEqual(
      forced.conflicts.filter(({ isReplaced }) => !isReplaced).map(({ path }) => path),
      ['/sub/deep/more'],
    );
    for (const name of ['b', 'new']) assert.equal(readFileSync(at(name), 'utf8').slice(0, 11), 'of the fork');
    assert.equal(readFileSync(at('sub/deep/more'), 'utf8'), 'of the directory');
  });

  test('changes nothing in a dry run', async (context) => {
    const work = await forkOfDirectory(context);
    writeText(work.fork, '/a', 'changed');
    work.fork.unlink('/b');
    const before = describeHostTree(createSystem(), work.root);
    const { written, removed, isDone } = await work.commit({ dryRun: true });
    assert.deepEqual([written, removed, isDone], [1, 1, false]);
    assert.deepEqual(compareTrees(before, describeHostTree(createSystem(), work.root)), []);
    assert.deepEqual(names(work), ['base', 'try']);
  });

  test('finds no conflict in a file that was only touched, or changed alike on both sides', async (context) => {
    const work = await forkOfDirectory(context);
    writeText(work.fork, '/a', 'same');
    work.fork.unlink('/b');
    writeText(work.fork, '/sub/c', 'fork');
    const same = readFileSync(work.at('a'));
    same.write('same');
    writeFileSync(work.at('a'), same);
    unlinkSync(work.at('b'));
    writeFileSync(work.at('sub/c'), readFileSync(work.at('sub/c')));
    assert.deepEqual((await work.commit()).conflicts, []);
    assert.deepEqual(differences(work), []);
  });

  test('follows no symlink out of the directory', async (context) => {
    const work = await forkOfDirectory(context);
    writeText(work.fork, '/sub/deep/d', 'inside');
    const outside = scratchDirectory(context);
    writeFileSync(join(outside, 'd'), 'outside');
    renameSync(work.at('sub/deep'), work.at('sub/elsewhere'));
    symlinkSync(outside, work.at('sub/deep'));
    for (const onConflict of ['none', 'force'] as const)
      assert.deepEqual(inShort(await work.commit({ onConflict })), ['/sub/deep/d removed']);
    assert.equal(readFileSync(join(outside, 'd'), 'utf8'), 'outside');
    assert.deepEqual(readdirSync(outside), ['d']);
  });

  test('keeps hard links of the directory together', async (context) => {
    const work = await forkOfDirectory(context);
    linkSync(work.at('a'), work.at('sub/a2'));
    await importTree(work.engine, work.root, { name: 'linked' });
    const { fileSystem } = work.engine.fork('linked', 'second');
    writeText(fileSystem, '/a', 'both names');
    await commitTree(work.engine, 'second');
    assert.equal(statSync(work.at('a')).ino, statSync(work.at('sub/a2')).ino);
    assert.deepEqual(differences(work, 'second'), []);
    fileSystem.link('/b', '/sub/b2', false);
    await commitTree(work.engine, 'second');
    assert.equal(statSync(work.at('b')).ino, statSync(work.at('sub/b2')).ino);
  });

  test('writes to another directory, never into the store, and not twice at the same time', async (context) => {
    const work = await forkOfDirectory(context);
    const { engine, fork, commit } = work;
    writeText(fork, '/a', 'changed');
    const other = join(scratchDirectory(context), 'other');
    mkdirSync(other);
    for (const [index, name] of ['a', 'b'].entries()) {
      writeFileSync(join(other, name), seededBytes(index, 10_000));
    }
    await commit({ to: other });
    assert.match(readFileSync(join(other, 'a'), 'latin1'), /^changed/);
    const code = (wanted: 'EINVAL' | 'ENOENT') => (error: unknown) => isFsError(error, wanted);
    await assert.rejects(commit({ to: engine.directory }), code('EINVAL'));
    await assert.rejects(commit({ to: join(engine.directory, 'blobs') }), code('EINVAL'));
    await assert.rejects(commit({ to: join(other, 'nothing') }), code('ENOENT'));
    engine.createEmpty('stranger').close();
    await assert.rejects(commitTree(engine, 'stranger'), code('ENOENT'));
    const results = await Promise.allSettled([commit(), commit()]);
    const failed = results.filter(({ status }) => status === 'rejected');
    assert.ok(failed.every((result) => isFsError((result as PromiseRejectedResult).reason, 'EBUSY')));
    assert.ok(failed.length < 2);
  });

  test('leaves a store in the directory alone', async (context) => {
    const root = join(scratchDirectory(context), 'tree');
    mkdirSync(root);
    writeFileSync(join(root, 'a'), 'a');
    const engine = await scratchStore(context);
    renameSync(engine.directory, join(root, '.keep'));
    renameSync(join(root, '.keep'), engine.directory);
    await importTree(engine, root, { name: 'base' });
    const { fileSystem } = engine.fork('base', 'try');
    writeText(fileSystem, '/a', 'b');
    const inside = engine.directory.slice(engine.directory.lastIndexOf('/'));
    writeText(fileSystem, inside, 'x');
    const to = engine.directory.slice(0, engine.directory.lastIndexOf('/'));
    await assert.rejects(
      commitTree(engine, 'try', { to, onConflict: 'force' }),
      (error) => isFsError(error, 'EINVAL') && /store's own files/.test(error.message),
    );
    assert.ok(lstatSync(engine.directory).isDirectory());
  });
});

test('a commit that meets a full disk at any call leaves whole files, and the next one finishes', async (context) => {
  const system = new FaultySystem(createSystem());
  let outcomes = '';
  for (let at = 0; !outcomes.endsWith('c'); at += swept({ sample: 7, long: 2, all: 1 })) {
    const work = await forkOfDirectory(context, system);
    const { fork, root, engine } = work;
    const before = new Map(['a', 'b', 'sub/c'].map((name) => [name, readFileSync(work.at(name))]));
    for (const path of ['/a', '/b', '/sub/c']) writeText(fork, path, 'changed');
    fork.unlink('/sub/deep/d');
    fork.makeDirectory('/new', 0o755);
    writeText(fork, '/new/file', seededBytes(9, 20_000));
    engine.openTreeOf('try')?.checkpoint();
    const after = new Map(
      [...before].map(([name, bytes]) => [name, Buffer.concat([Buffer.from('changed'), bytes.subarray(7)])]),
    );
    const first = system.callCount;
    const takesSpace = ['allocate', 'pwrite', 'open', 'makeDirectoryAt', 'linkAt'];
    system.plan = (operation, index, path) => {
      const isNew = takesSpace.includes(operation) || (operation === 'openAt' && path.includes('/.ramet-'));
      return index >= first + at && isNew ? { kind: 'error', code: 'ENOSPC' } : undefined;
    };
    let isDone = true;
    try {
      await work.commit();
    } catch (error) {
      assert.ok(isFsError(error, 'ENOSPC'), String(error));
      isDone = false;
    }
    system.plan = undefined;
    for (const [name, bytes] of before) {
      const found = readFileSync(work.at(name));
      assert.ok(found.equals(bytes) || found.equals(after.get(name)!), `${name} is whole, call ${at}`);
    }
    const left = (readdirSync(root, { recursive: true }) as string[]).filter((name) =>
      name.includes('.ramet-'),
    );
    assert.deepEqual(left, [], `call ${at}`);
    assert.deepEqual((await work.commit()).conflicts, [], `call ${at}`);
    assert.deepEqual(differences(work), [], `call ${at}`);
    assert.ok(!existsSync(work.at('sub/deep/d')));
    assert.deepEqual(names(work), ['base', 'try', 'try.committed']);
    await engine.close();
    rmSync(root, { recursive: true });
    outcomes += isDone ? 'c' : '-';
  }
  assert.match(outcomes, /^-{5,}c$/);
});
