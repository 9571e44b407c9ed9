/** Unions of host directories and snapshots: the directories may change while the fork is open. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { StoreEngine } from '../../src/store/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { nativeOnly } from '../host/native-only.ts';
import { scratchDirectory, scratchStore } from '../stores/scratch-store.ts';
import { problemsOf, readFile, SharedStore, writeFile } from '../stores/shared-store.ts';
import { directory, file, naiveMerge } from '../trees/memory-lower.ts';
import { componentTrees, makeSnapshot, shownBy, sorted, writeHostTree } from './component-trees.ts';

const skip = nativeOnly || (process.getuid?.() === 0 ? false : 'needs root, to make whiteouts');

async function mixed(context: TestContext): Promise<{ engine: StoreEngine; host: string }> {
  const engine = await scratchStore(context);
  const host = join(scratchDirectory(context), 'host');
  writeHostTree(
    engine.system,
    directory({
      both: directory({ h: file('h'), gone: { is: 'whiteout' } }),
      only: directory({ f: file('f') }),
    }),
    host,
  );
  makeSnapshot(
    engine,
    'low',
    directory({ both: directory({ l: file('l'), gone: file('no') }), low: file('low') }),
  );
  return { engine, host };
}

test('host directories and snapshots, in any order, show what a naive merge shows', {
  skip,
}, async (context) => {
  const engine = await scratchStore(context);
  const scratch = scratchDirectory(context);
  const system = createSystem();
  let run = -1;
  const component = fc.record({ model: componentTrees(), isHost: fc.boolean() });
  fc.assert(
    fc.property(fc.array(component, { minLength: 2, maxLength: 4 }), (components) => {
      run++;
      const lowers = components.map(({ model, isHost }, index) => {
        const name = isHost ? join(scratch, `${run}-${index}`) : `m${run}-${index}`;
        if (isHost) writeHostTree(system, model, name);
        else makeSnapshot(engine, name, model);
        return name;
      });
      const tree = engine.forkUnion(lowers, `m${run}`);
      const wanted = sorted(naiveMerge(components.map(({ model }) => model)));
      assert.deepEqual(sorted(shownBy(tree)), wanted);
      tree.close();
      const again = engine.openTree(`m${run}`);
      assert.deepEqual(sorted(shownBy(again)), wanted);
      again.close();
      assert.deepEqual(problemsOf(engine), []);
    }),
    { numRuns: 25 },
  );
});

test('changes on the host show unless another layer hides them', { skip }, async (context) => {
  const { engine, host } = await mixed(context);
  const tree = engine.forkUnion([host, 'low'], 'fork');
  const { fileSystem } = tree;
  assert.deepEqual(fileSystem.readDirectoryNames('/both'), ['h', 'l']);
  writeFileSync(join(host, 'both/new'), 'new');
  assert.deepEqual(fileSystem.readDirectoryNames('/both'), ['h', 'l', 'new']);
  assert.equal(readFile(tree, '/both/new').toString(), 'new');
  writeFileSync(join(host, 'both/h'), 'longer');
  assert.equal(readFile(tree, '/both/h').toString(), 'longer');
  writeFileSync(join(host, 'low'), 'hides');
  assert.equal(readFile(tree, '/low').toString(), 'hides');
  rmSync(join(host, 'low'));
  assert.equal(readFile(tree, '/low').toString(), 'low');
  rmSync(join(host, 'both/gone'));
  assert.equal(readFile(tree, '/both/gone').toString(), 'no');
  rmSync(join(host, 'both'), { recursive: true });
  assert.deepEqual(fileSystem.readDirectoryNames('/both'), ['gone', 'l']);
  mkdirSync(join(host, 'low'));
  assert.deepEqual(fileSystem.readDirectoryNames('/low'), []);
  renameSync(join(host, 'only'), join(host, 'low/moved'));
  assert.equal(readFile(tree, '/low/moved/f').toString(), 'f');
  assert.equal(fileSystem.tryStat('/only', true), undefined);
  tree.close();
  assert.deepEqual(problemsOf(engine), []);
});

for (const end of ['was killed', 'ended'])
  test(`changes of the fork stay after its process ${end}`, { skip }, async (context) => {
    await using store = new SharedStore();
    const { engine, system } = await store.openFaulty();
    const host = join(scratchDirectory(context), 'host');
    const model = directory({
      both: directory({ h: file('host'), w: file('written'), same: file('untouched') }),
      d: directory({ e: file('e') }),
    });
    writeHostTree(createSystem(), model, host);
    makeSnapshot(
      engine,
      'low',
      directory({ both: directory({ l: file('l') }), d: directory({ low: file('2') }) }),
    );
    const tree = engine.forkUnion([host, 'low'], 'fork');
    const { fileSystem } = tree;
    fileSystem.chmod('/both/h', 0o600, true);
    writeFile(tree, '/both/w', Buffer.from('W'), 0);
    writeFile(tree, '/both/l', Buffer.from('L'), 0);
    fileSystem.rename('/d', '/both/moved');
    fileSystem.unlink('/both/moved/low');
    fileSystem.makeDirectory('/both/moved/made', 0o700);
    const wanted = sorted(shownBy(tree));
    const { ino } = fileSystem.stat('/both/h', true);
    if (end === 'was killed') await store.crash(engine, system);
    else {
      tree.close();
      await engine.close();
    }
    chmodSync(join(host, 'both/h'), 0o644);
    const next = await store.open();
    const again = next.openTree('fork');
    // This read comes before any listing of a directory, which would find the file by itself.
    assert.equal(readFile(again, '/both/same').toString(), 'untouched');
    assert.deepEqual(sorted(shownBy(again)), wanted);
    assert.equal(again.fileSystem.stat('/both/h', true).ino, ino);
    assert.equal(again.fileSystem.stat('/both/h', true).mode & 0o777, 0o600);
    assert.equal(readFile(again, '/both/w').toString(), 'Written');
    assert.equal(readFile(again, '/both/moved/e').toString(), 'e');
    const names = again.fileSystem.readDirectoryNames('/both/moved');
    assert.deepEqual([...names].sort(), ['e', 'made']);
    again.close();
    assert.deepEqual(problemsOf(next), []);
  });

test('a snapshot of a fork of a directory can be a lower, too', { skip }, async (context) => {
  const { engine, host } = await mixed(context);
  const inner = engine.forkHost(host, 'inner', false);
  inner.fileSystem.chmod('/both/h', 0o600, true);
  writeFile(inner, '/only/f', Buffer.from('F'));
  inner.close();
  const tree = engine.forkUnion(['inner', 'low'], 'fork');
  writeFileSync(join(host, 'both/h'), 'much longer than before');
  assert.equal(readFile(tree, '/both/h').toString(), 'much longer than before');
  assert.equal(readFile(tree, '/only/f').toString(), 'F');
  tree.fileSystem.rename('/both', '/moved');
  assert.deepEqual([...tree.fileSystem.readDirectoryNames('/moved')].sort(), ['h', 'l']);
  tree.close();
  const again = engine.openTree('fork');
  assert.equal(readFile(again, '/moved/h').toString(), 'much longer than before');
  again.close();
  assert.deepEqual(problemsOf(engine), []);
});
