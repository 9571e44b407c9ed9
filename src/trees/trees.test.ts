/** Trees by name: open here, open in another process, or mounted by an owner with a fake mount server. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { ScratchOwner } from '../../testing/owner/scratch-owner.ts';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { StoreEngine } from '../store/index.ts';
import { Trees, withTrees } from './trees.ts';

function treesOf(context: TestContext, engine: StoreEngine): Trees {
  const trees = new Trees(engine);
  context.after(() => trees.closeAll());
  return trees;
}

/** A second engine on the same store, as another process would have. */
async function otherEngine(context: TestContext, { directory }: StoreEngine): Promise<StoreEngine> {
  const engine = await StoreEngine.open(directory);
  context.after(() => engine.close());
  return engine;
}

test('a tree is opened once, to read or to write, until it is closed', async (t) => {
  const engine = await scratchStore(t);
  engine.createEmpty('one').close();
  engine.snapshot('one', 'frozen');
  const trees = treesOf(t, engine);
  const handle = await trees.write('one');
  assert.equal(await trees.read('one'), handle);
  assert.equal(engine.openTreeOf('one'), handle);
  trees.close('one');
  assert.equal(engine.openTreeOf('one'), undefined);
  await trees.untilFree('one');
  assert.equal(engine.openTreeOf('one'), undefined);
  assert.equal((await trees.read('frozen')).isReadOnly, true);
  await assert.rejects(trees.write('frozen'), { code: 'EROFS' });
  await assert.rejects(trees.read('none'), { code: 'ENOENT', path: 'none' });
});

test('a frozen state of a tree can be read by the name that it was opened with', async (t) => {
  const engine = await scratchStore(t);
  engine.createEmpty('one').close();
  const trees = treesOf(t, engine);
  const frozen = engine.snapshot('one', 'frozen');
  trees.openState({ ...frozen, name: 'what it was' });
  assert.equal((await trees.read('what it was')).isReadOnly, true);
});

test('opening a fork waits while another process has it open for a moment', async (t) => {
  const engine = await scratchStore(t);
  const tree = engine.createEmpty('one');
  const trees = treesOf(t, await otherEngine(t, engine));
  setTimeout(() => tree.close(), 20);
  await trees.write('one');
  await assert.rejects(treesOf(t, engine).read('one'), { code: 'EBUSY', path: 'one' });
});

test('the owner forks, freezes and settles what it has mounted', async (t) => {
  const scratch = await ScratchOwner.start(t);
  for (const name of ['one', 'two']) scratch.makeFork(name);
  const client = await scratch.client();
  await client.request('mount', { fork: 'one', directory: '/some/where' });
  scratch.server.mounts[0]!.tree.fileSystem.makeDirectory('/made', 0o755);
  const engine = await otherEngine(t, scratch.engine);
  await withTrees(engine, async (trees) => {
    assert.equal((await trees.mountOf('one'))?.directory, '/some/where');
    assert.equal(await trees.mountOf('two'), undefined);
    assert.equal((await trees.fork('one', 'forked')).source, 'one');
    assert.equal((await trees.snapshot('one', 'then')).kind, 'snapshot');
    assert.equal(await trees.mountOf('then'), undefined);
    assert.equal((await trees.fork('then', 'again')).kind, 'fork');
    assert.equal((await trees.snapshot('two', 'plain')).kind, 'snapshot');
    for (const name of ['forked', 'again'])
      assert.deepEqual((await trees.read(name)).fileSystem.readDirectoryNames('/'), ['made']);
    scratch.server.mounts[0]!.tree.fileSystem.makeDirectory('/later', 0o755);
    const [before, after] = await trees.settle('then', 'one');
    assert.deepEqual([...before.list(before.info.root).keys()], ['made']);
    assert.deepEqual([...after.list(after.info.root).keys()], ['later', 'made']);
    assert.deepEqual(await trees.settleElsewhere(['one', 'two', 'then']), new Set(['one']));
    assert.deepEqual(await trees.freezeElsewhere(['one', 'two']), new Set(['one']));
    await assert.rejects(trees.fork('none', 'x'), { code: 'ENOENT', syscall: 'fork', path: 'none' });
    await assert.rejects(trees.snapshot('none', 'x'), { code: 'ENOENT', syscall: 'snapshot' });
    // The server mounts nothing, so this process sees no mount.
    await assert.rejects(trees.read('one'), { code: 'ENOTCONN', path: 'one', dest: '/some/where' });
  });
});

test('the error for a fork that was unmounted and is still in use names its mount point', async (t) => {
  const scratch = await ScratchOwner.start(t);
  scratch.makeFork('one');
  const client = await scratch.client();
  await client.request('mount', { fork: 'one', directory: '/some/where' });
  scratch.server.mounts[0]!.isBusy = true;
  await client.request('unmount', { target: 'one', isLazy: true });
  const trees = treesOf(t, await otherEngine(t, scratch.engine));
  await assert.rejects(trees.read('one'), {
    code: 'EBUSY',
    path: 'one',
    dest: '/some/where',
    note: 'programs still use it',
  });
});
