/** Long chains become short ones, and readers see no difference. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  patternBytes,
  problemsOf,
  readFile,
  SharedStore,
  writeFile,
} from '../../testing/stores/shared-store.ts';
import { compareTrees, describeFileSystem, type TreeDescription } from '../../testing/trees/tree-compare.ts';
import { BLOCK_SIZE, isFsError, type LayerId, SeededRandom } from '../base/index.ts';
import { collectGarbage } from '../upkeep/index.ts';
import { StoreEngine } from './engine.ts';
import { Flattening } from './flattening.ts';
import type { Tree } from './tree.ts';

const O_RDWR = 0o2;
const CHAIN_MAX = 4;

async function openShort(scratch: SharedStore, chainLayersMax = CHAIN_MAX): Promise<StoreEngine> {
  await (await scratch.open()).close();
  return StoreEngine.open(scratch.directory, { chainLayersMax });
}

/** Makes a few changes in any tree. */
function changeAtRandom(tree: Tree, random: SeededRandom, count: number): void {
  for (let step = 0; step < count; step++) {
    try {
      changeOne(tree, random);
    } catch (error) {
      // The change is not possible, such as for a missing name or a directory that is not empty. Try the next one.
      if (!isFsError(error)) throw error;
    }
  }
}

function changeOne({ fileSystem: fs }: Tree, random: SeededRandom): void {
  const directory = ['', '/d0', '/d1', '/d0/e'][random.below(4)]!;
  const path = `${directory}/n${random.below(8)}`;
  const other = `${['', '/d0', '/d1'][random.below(3)]!}/n${random.below(8)}`;
  const kind = random.below(11);
  if (kind === 0) fs.makeDirectory(directory === '' ? '/d0' : directory, 0o755);
  else if (kind === 1) fs.unlink(path);
  else if (kind === 2) fs.rename(path, other);
  else if (kind === 3) fs.link(path, other, false);
  else if (kind === 4) fs.setXattr(path, 'user.x', patternBytes(20, random.below(100)), 0, true);
  else if (kind === 5) fs.chmod(path, 0o600 + random.below(64), true);
  else if (kind === 6) fs.removeDirectory(directory === '' ? '/d1' : directory);
  else if (kind === 7) fs.rename(['/d0', '/d1', '/d0/e'][random.below(3)]!, '/d0/e');
  else if (kind === 8) fs.truncate(path, random.below(5 * BLOCK_SIZE));
  else if (kind === 9) fs.symlink(other, path);
  else writeInto(fs, path, random);
}

function writeInto(fs: Tree['fileSystem'], path: string, random: SeededRandom): void {
  const file = fs.open(path, O_RDWR | 0o100, 0o644);
  const bytes = patternBytes(1 + random.below(3 * BLOCK_SIZE), random.below(1000));
  fs.write(file, bytes, 0, bytes.length, random.below(6 * BLOCK_SIZE));
  fs.close(file);
}

function described(engine: StoreEngine, name: string): TreeDescription {
  const open = engine.openTreeOf(name);
  const tree = open ?? engine.openTree(name);
  try {
    return describeFileSystem(tree.fileSystem);
  } finally {
    if (open === undefined) tree.close();
  }
}

/** The frozen layers of a tree in the tables, uppermost first; those of a fork begin under its upper layer. */
function chainOf(engine: StoreEngine, name: string): LayerId[] {
  engine.tables.renew();
  const chain: LayerId[] = [];
  for (let layer = engine.info(name).layer as LayerId | 0; layer !== 0; ) {
    const record = engine.tables.layers.get(layer)!;
    if (record.state === 'frozen') chain.push(layer);
    layer = record.parent;
  }
  return chain;
}

/** A fork with `depth` layers under it, and a snapshot of each. */
function makeChain(engine: StoreEngine, depth: number, seed: number): Tree {
  const random = new SeededRandom(seed);
  const tree = engine.openTreeOf('work') ?? engine.createEmpty('work');
  for (let layer = 0; layer < depth; layer++) {
    changeAtRandom(tree, random, 25);
    engine.snapshot('work', `s${layer}`);
  }
  changeAtRandom(tree, random, 5);
  return tree;
}

for (const seed of [1, 2, 3, 4, 5, 6]) {
  test(`a chain of random changes reads the same after it was flattened (seed ${seed})`, async () => {
    await using scratch = new SharedStore();
    const long = await openShort(scratch, Number.POSITIVE_INFINITY);
    makeChain(long, 20, seed);
    const names = long.list().map(({ name }) => name);
    const before = new Map(names.map((name) => [name, described(long, name)]));
    assert.equal(chainOf(long, 'work').length, 20);
    await long.close();

    const engine = await openShort(scratch);
    try {
      const held = engine.openTree('s17');
      const work = engine.openTree('work');
      engine.flattener.finish();
      assert.ok(chainOf(engine, 'work').length <= CHAIN_MAX, `${chainOf(engine, 'work')}`);
      assert.ok(work.stack.lowers.length <= CHAIN_MAX && held.stack.lowers.length <= CHAIN_MAX);
      assert.deepEqual(problemsOf(engine, { scrub: true }), []);
      for (const name of names)
        assert.deepEqual(compareTrees(before.get(name)!, described(engine, name)), [], name);
      held.close();
      const doomed = names.filter((name) => /^s\d*[02468]$/.test(name));
      for (const name of doomed) engine.drop(name);
      assert.equal(collectGarbage(engine).layersWaiting, 0);
      for (const name of names.filter((one) => !doomed.includes(one))) {
        assert.ok(chainOf(engine, name).length <= CHAIN_MAX, name);
        assert.deepEqual(compareTrees(before.get(name)!, described(engine, name)), [], name);
      }
      assert.deepEqual(problemsOf(engine, { scrub: true }), []);
      changeAtRandom(work, new SeededRandom(seed + 100), 60);
      engine.snapshot('work', 'last');
      assert.deepEqual(compareTrees(described(engine, 'work'), described(engine, 'last')), []);
      assert.deepEqual(problemsOf(engine), []);
    } finally {
      await engine.close();
    }
  });
}

test('open files, maps and files without a name outlive the layers that they came from', async () => {
  await using scratch = new SharedStore();
  const engine = await openShort(scratch);
  try {
    const tree = engine.createEmpty('work');
    const bytes = patternBytes(3 * BLOCK_SIZE, 7);
    writeFile(tree, '/mapped', bytes);
    engine.snapshot('work', 'base');
    writeFile(tree, '/gone', bytes);
    writeFile(tree, '/chmodded', bytes);
    tree.fileSystem.setXattr('/chmodded', 'user.x', Buffer.from('x'), 0, true);
    engine.freeze(tree);
    tree.fileSystem.chmod('/chmodded', 0o600, true);
    const gone = tree.fileSystem.open('/gone', O_RDWR, 0);
    tree.fileSystem.unlink('/gone');
    const mapped = tree.fileSystem.open('/mapped', O_RDWR, 0);
    const view = engine.system.canMap ? tree.fileSystem.map(mapped) : undefined;
    for (let layer = 0; layer < 6; layer++) {
      writeFile(tree, `/f${layer}`, bytes);
      engine.freeze(tree);
    }
    engine.flattener.finish();
    assert.ok(tree.stack.lowers.length <= CHAIN_MAX);
    assert.ok(collectGarbage(engine).layersRemoved >= 6);
    const got = Buffer.alloc(bytes.length);
    tree.fileSystem.read(gone, got, 0, got.length, 0);
    assert.deepEqual(got, bytes);
    assert.equal(tree.fileSystem.statFile(gone).nlink, 0);
    writeFile(tree, '/mapped', patternBytes(100, 9), BLOCK_SIZE);
    const changed = Buffer.from(bytes);
    patternBytes(100, 9).copy(changed, BLOCK_SIZE);
    if (view !== undefined) assert.deepEqual(Buffer.from(view.buffer).subarray(0, changed.length), changed);
    tree.close();
    const again = engine.openTree('work');
    assert.deepEqual(readFile(again, '/chmodded'), bytes);
    assert.equal(again.fileSystem.getXattr('/chmodded', 'user.x', true).toString(), 'x');
    assert.deepEqual(readFile(again, '/mapped'), changed);
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  } finally {
    await engine.close();
  }
});

test('old layers that a process has open stay until the process follows', async () => {
  await using scratch = new SharedStore();
  const one = await openShort(scratch, Number.POSITIVE_INFINITY);
  const other = await openShort(scratch);
  try {
    makeChain(one, 12, 8);
    one.snapshot('work', 'top');
    const held = one.openTree('top');
    const before = describeFileSystem(held.fileSystem);
    // The snapshots in between are dropped, so that nothing else keeps the old layers.
    for (let layer = 0; layer < 12; layer++) one.drop(`s${layer}`);
    other.openTree('top').close();
    other.flattener.finish();
    assert.ok(chainOf(other, 'top').length <= CHAIN_MAX);
    const report = collectGarbage(other);
    assert.ok(report.layersWaiting > 0 && report.waitingFor.includes(process.pid), JSON.stringify(report));
    assert.deepEqual(compareTrees(before, describeFileSystem(held.fileSystem)), []);
    assert.equal(one.openTrees.settleLease(), true);
    assert.ok(held.stack.lowers.length <= CHAIN_MAX);
    assert.ok(collectGarbage(other).layersRemoved > 0);
    assert.deepEqual(compareTrees(before, describeFileSystem(held.fileSystem)), []);
    assert.deepEqual(compareTrees(before, described(one, 'work')).length > 0, false);
    assert.deepEqual(problemsOf(other), []);
  } finally {
    await one.close();
    await other.close();
  }
});

test('when a chain is flattened twice at once, the second finds it done and leaves nothing behind', async () => {
  await using scratch = new SharedStore();
  const engine = await openShort(scratch, Number.POSITIVE_INFINITY);
  try {
    const tree = makeChain(engine, 10, 3);
    const before = describeFileSystem(tree.fileSystem);
    const top = tree.stack.lowers[0]!.id;
    const first = Flattening.begin(engine, top, CHAIN_MAX)!;
    const second = Flattening.begin(engine, top, CHAIN_MAX)!;
    while (!first.step(10));
    while (!second.step(10));
    assert.equal(first.finish(), true);
    assert.equal(second.finish(), false);
    collectGarbage(engine);
    assert.deepEqual(
      [...engine.tables.layers.entries()].filter(([, { state }]) => state === 'building'),
      [],
    );
    assert.deepEqual(compareTrees(before, describeFileSystem(tree.fileSystem)), []);
    assert.deepEqual(problemsOf(engine), []);
  } finally {
    await engine.close();
  }
});

test('a layer that gc has found unused is not brought back by flattening', async () => {
  await using scratch = new SharedStore();
  const engine = await openShort(scratch, Number.POSITIVE_INFINITY);
  const other = await openShort(scratch, Number.POSITIVE_INFINITY);
  try {
    const tree = makeChain(engine, 8, 4);
    const held = other.openTree('s7');
    const top = held.stack.lowers[0]!.id;
    tree.close();
    engine.drop('work');
    for (let layer = 0; layer < 8; layer++) engine.drop(`s${layer}`);
    assert.ok(collectGarbage(engine).layersWaiting > 0);
    assert.equal(Flattening.begin(other, top, CHAIN_MAX), undefined);
    held.close();
    assert.equal(collectGarbage(engine).layersWaiting, 0);
    assert.deepEqual(problemsOf(engine), []);
  } finally {
    await engine.close();
    await other.close();
  }
});

test('a layer found unused while it was being copied is not brought back either', async () => {
  await using scratch = new SharedStore();
  const engine = await openShort(scratch, Number.POSITIVE_INFINITY);
  try {
    const tree = makeChain(engine, 8, 4);
    const top = tree.stack.lowers[0]!.id;
    const work = Flattening.begin(engine, top, CHAIN_MAX)!;
    while (!work.step(1000));
    const { layers } = engine.tables;
    const setDropped = (droppedEpoch: number | undefined): void => {
      const { droppedEpoch: _dropped, ...record } = layers.get(top)!;
      engine.tables.transaction(() =>
        layers.put(top, droppedEpoch === undefined ? record : { ...record, droppedEpoch }),
      );
    };
    setDropped(1);
    assert.equal(work.finish(), false);
    setDropped(undefined);
    assert.equal(chainOf(engine, 'work').length, 8);
  } finally {
    await engine.close();
  }
});

test('a checkpoint by an owner that has not followed yet leaves the fork on the new layer', async () => {
  await using scratch = new SharedStore();
  const owner = await openShort(scratch, Number.POSITIVE_INFINITY);
  const other = await openShort(scratch);
  try {
    const tree = makeChain(owner, 10, 5);
    other.openTree('s9').close();
    other.flattener.finish();
    assert.ok(chainOf(other, 's9').length <= CHAIN_MAX);
    writeFile(tree, '/late', Buffer.from('late'));
    tree.checkpoint();
    assert.ok(chainOf(owner, 'work').length <= CHAIN_MAX + 1);
    const before = describeFileSystem(tree.fileSystem);
    owner.fork('work', 'child').close();
    tree.close();
    for (const name of ['work', 'child'])
      assert.deepEqual(compareTrees(before, described(other, name)), [], name);
    assert.deepEqual(problemsOf(other), []);
  } finally {
    await owner.close();
    await other.close();
  }
});

test('a base is never copied, and a large layer only when the layers above it have grown', async () => {
  await using scratch = new SharedStore();
  const engine = await openShort(scratch, Number.POSITIVE_INFINITY);
  try {
    const tree = engine.createEmpty('work');
    for (let layer = 0; layer < 8; layer++) {
      const files = layer === 1 ? 60 : 1;
      for (let file = 0; file < files; file++) writeFile(tree, `/l${layer}-${file}`, Buffer.from('x'));
      engine.freeze(tree);
    }
    const [base, large] = tree.stack.lowers.map(({ id }) => id).reverse();
    assert.equal(tree.stack.lowers.length, 8);
    const work = Flattening.begin(engine, tree.stack.lowers[0]!.id, CHAIN_MAX)!;
    while (!work.step(1000));
    assert.equal(work.finish(), true);
    const chain = chainOf(engine, 'work');
    assert.deepEqual(chain.slice(-2), [large, base]);
    assert.ok(chain.length <= CHAIN_MAX);
  } finally {
    await engine.close();
  }
});

test('making forks of forks without a pause does not make endless chains', async () => {
  await using scratch = new SharedStore();
  const engine = await openShort(scratch);
  try {
    let tree = engine.createEmpty('f0');
    for (let depth = 1; depth <= 60; depth++) {
      writeFile(tree, `/from-${depth}`, Buffer.from(String(depth)));
      const next = engine.fork(tree.info.name, `f${depth}`);
      tree.close();
      tree = next;
      assert.ok(tree.stack.lowers.length <= CHAIN_MAX * 4 + 1, `${tree.stack.lowers.length} at ${depth}`);
    }
    for (let depth = 1; depth <= 60; depth++)
      assert.equal(readFile(tree, `/from-${depth}`).toString(), String(depth));
    assert.deepEqual(problemsOf(engine), []);
  } finally {
    await engine.close();
  }
});
