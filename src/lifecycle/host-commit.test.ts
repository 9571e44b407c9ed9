/** Commits of forks of a directory of the host to that directory. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { swept } from '../../testing/pace/sweep.ts';
import { inShort } from '../../testing/stores/commit-conflicts.ts';
import { changeSomething, rewrite, writeText } from '../../testing/stores/random-changes.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { seededBytes } from '../../testing/trees/odd-tree.ts';
import { compareTrees, describeFileSystem, describeHostTree } from '../../testing/trees/tree-compare.ts';
import { isFsError, SeededRandom } from '../base/index.ts';
import { hostState, type StoreEngine } from '../store/index.ts';
import { diffTrees } from '../survey/index.ts';
import { createSystem, FaultySystem, type System } from '../sys/index.ts';
import { checkStore } from '../upkeep/index.ts';
import type { FileSystem } from '../vfs/index.ts';
import { type CommitOptions, type CommitReport, commitTree } from './commit.ts';
import { HostTarget } from './host-target.ts';

const O_RDWR = 2;

interface Work {
  readonly engine: StoreEngine;
  at(name: string): string;
  /** Opens the fork, passes it to `work`, and closes it. */
  inFork(work: (fork: FileSystem) => void): void;
  commit(options?: CommitOptions): Promise<CommitReport>;
  read(name: string): string;
  differences(): string[];
}

async function forkOfDirectory(context: TestContext, system: System = createSystem()): Promise<Work> {
  const root = join(scratchDirectory(context), 'tree');
  const at = (name: string): string => join(root, name);
  mkdirSync(at('sub/deep'), { recursive: true });
  for (const [index, name] of ['a', 'b', 'sub/c', 'sub/deep/d'].entries())
    writeFileSync(at(name), seededBytes(index, 10_000));
  linkSync(at('b'), at('b-too'));
  const engine = await scratchStore(context, { system });
  engine.forkHost(root, 'try', false).close();
  const inFork = (work: (fork: FileSystem) => void): void => {
    const tree = engine.openTree('try');
    work(tree.fileSystem);
    tree.close();
  };
  return {
    engine,
    at,
    inFork,
    commit: (options) => commitTree(engine, 'try', options),
    read: (name) => readFileSync(at(name), 'latin1'),
    differences() {
      let found: string[] = [];
      inFork((fork) => {
        found = compareTrees(describeFileSystem(fork), describeHostTree(createSystem(), root));
      });
      return found;
    },
  };
}

function writePart(fork: FileSystem, path: string, text: string, position: number): void {
  const file = fork.open(path, O_RDWR, 0);
  fork.write(file, Buffer.from(text), 0, text.length, position);
  fork.close(file);
}

test('a commit writes everything to the directory, and leaves a fork without changes', async (context) => {
  const work = await forkOfDirectory(context);
  work.inFork((fork) => {
    writePart(fork, '/a', 'in part', 5000);
    rewrite(fork, '/b', 'both names');
    writeText(fork, '/new', 'new');
    fork.unlink('/sub/c');
    fork.rename('/sub', '/moved', 0);
  });
  const report = await work.commit();
  assert.equal(report.isDone, true);
  assert.deepEqual(report.conflicts, []);
  assert.equal(
    work.read('a').slice(4990, 5007),
    `${seededBytes(0, 10_000).toString('latin1', 4990, 5000)}in part`,
  );
  assert.equal(work.read('b'), 'both names');
  assert.equal(statSync(work.at('b')).ino, statSync(work.at('b-too')).ino);
  assert.equal(existsSync(work.at('sub')), false);
  assert.equal(existsSync(work.at('moved/c')), false);
  assert.deepEqual(work.differences(), []);
  const { engine } = work;
  assert.deepEqual(diffTrees(engine, hostState(engine, 'try') ?? '', 'try'), []);
  assert.deepEqual(
    engine.list().map(({ name }) => name),
    ['try'],
  );
  assert.deepEqual(
    checkStore(engine, { scrub: true }).passes.flatMap(({ problems }) => problems),
    [],
  );
});

test('a change in the directory is a conflict, and nothing is written', async (context) => {
  const work = await forkOfDirectory(context);
  work.inFork((fork) => {
    rewrite(fork, '/a', 'of the fork');
    fork.chmod('/sub/c', 0o600, true);
    writeText(fork, '/new', 'of the fork');
    rewrite(fork, '/sub/deep/d', 'of the fork');
  });
  writeFileSync(work.at('a'), 'of the host');
  chmodSync(work.at('sub/c'), 0o640);
  writeFileSync(work.at('new'), 'of the host');
  writeFileSync(work.at('other'), 'nobody else has it');
  const report = await work.commit();
  assert.equal(report.isDone, false);
  assert.deepEqual(inShort(report).sort(), ['/a changed', '/new added', '/sub/c changed']);
  assert.equal(work.read('a'), 'of the host');
  assert.equal(work.read('sub/deep/d'), seededBytes(3, 10_000).toString('latin1'));

  const skipping = await work.commit({ onConflict: 'skip' });
  assert.equal(skipping.isDone, true);
  assert.equal(work.read('a'), 'of the host');
  assert.equal(work.read('sub/deep/d'), 'of the fork');
  work.inFork((fork) =>
    assert.equal(fork.stat('/a', true).size, 'of the fork'.length, 'it is still the fork’s'),
  );

  const forcing = await work.commit({ onConflict: 'force' });
  assert.equal(forcing.isDone, true);
  assert.equal(work.read('a'), 'of the fork');
  assert.equal(work.read('other'), 'nobody else has it');
  assert.deepEqual(work.differences(), []);
});

test('a file replaced in the directory is a conflict, even when the fork has lost old bytes', async (context) => {
  const work = await forkOfDirectory(context);
  work.inFork((fork) => writeText(fork, '/a', 'of the fork'));
  const { mtime } = statSync(work.at('a'));
  writeFileSync(work.at('a~'), seededBytes(0, 10_000));
  renameSync(work.at('a~'), work.at('a'));
  assert.ok(statSync(work.at('a')).mtime >= mtime);
  assert.deepEqual(inShort(await work.commit()), ['/a changed']);
});

test('a directory without read permission gives EACCES, with its path', (context) => {
  const root = scratchDirectory(context);
  mkdirSync(join(root, 'sub'));
  const system = new FaultySystem(createSystem());
  const target = new HostTarget(system, root);
  context.after(() => target.close());
  system.plan = (operation, _index, path) =>
    operation === 'openAt' && path.endsWith('/sub') ? { kind: 'error', code: 'EACCES' } : undefined;
  assert.throws(
    () => target.names('/sub'),
    (error) => isFsError(error, 'EACCES') && error.syscall === 'open' && error.path === join(root, 'sub'),
  );
});

test('a fork that is open elsewhere is not committed: EBUSY', async (context) => {
  const work = await forkOfDirectory(context);
  const tree = work.engine.openTree('try');
  writeText(tree.fileSystem, '/a', 'of the fork');
  await assert.rejects(work.commit(), (error) => isFsError(error, 'EBUSY'));
  tree.close();
  assert.equal((await work.commit()).isDone, true);
});

test('after random changes each commit makes the directory equal to the fork', async (context) => {
  const work = await forkOfDirectory(context);
  const random = new SeededRandom(7);
  for (let round = 0; round < 12; round++) {
    let before = new Map() as ReturnType<typeof describeFileSystem>;
    work.inFork((fork) => {
      for (let step = 0; step < 15; step++) changeSomething(fork, random);
      before = describeFileSystem(fork);
    });
    const report = await work.commit();
    assert.deepEqual(inShort(report), [], `round ${round}`);
    work.inFork((fork) => {
      const timeless = (tree: typeof before) =>
        new Map(
          [...tree].map(([path, entry]) => [
            path,
            entry.mode.startsWith('4') ? { ...entry, mtime: '', xattrs: [] } : entry,
          ]),
        );
      assert.deepEqual(
        compareTrees(timeless(before), timeless(describeFileSystem(fork))),
        [],
        `round ${round}`,
      );
    });
    assert.deepEqual(work.differences(), []);
  }
});

test('with a full disk at any call, files are whole and another commit finishes', async (context) => {
  for (let call = 0; ; call += swept({ sample: 21, long: 7, all: 1 })) {
    const system = new FaultySystem(createSystem());
    const work = await forkOfDirectory(context, system);
    work.inFork((fork) => {
      writePart(fork, '/a', 'in part', 5000);
      writeText(fork, '/new', 'new');
      fork.rename('/sub', '/moved', 0);
    });
    const first = system.callCount;
    let wasHit = false;
    system.plan = (operation, index) => {
      const isWrite = operation === 'pwrite' || operation === 'allocate' || operation === 'makeDirectoryAt';
      if (wasHit || index < first + call || !isWrite) return undefined;
      wasHit = true;
      return { kind: 'error', code: 'ENOSPC' };
    };
    try {
      await work.commit();
    } catch (error) {
      assert.ok(isFsError(error, 'ENOSPC'), `call ${call}: ${String(error)}`);
    }
    system.plan = undefined;
    assert.equal((await work.commit()).isDone, true);
    assert.deepEqual(work.differences(), [], `call ${call}`);
    if (!wasHit) return;
  }
});
