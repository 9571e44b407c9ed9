/** Forks of a directory and gc: host layers and the rows of host files stay while anything names them, and then go. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { describe, test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { problemsOf, writeFile } from '../../testing/stores/shared-store.ts';
import { BLOCK, contentOf, HostTree, hostBytes } from '../../testing/trees/host-tree.ts';
import { CrashedError, createSystem, FaultySystem } from '../sys/index.ts';
import { collectGarbage } from '../upkeep/index.ts';
import { StoreEngine } from './engine.ts';
import type { Tree } from './tree.ts';

const OWN = Buffer.from('written by the fork');
const mixedBytes = Buffer.from(hostBytes);
mixedBytes.set(OWN, BLOCK);
const FOREVER = { commitMarkMs: Number.POSITIVE_INFINITY };

interface Counts {
  readonly hostLayers: number;
  readonly externals: number;
}

function countsOf({ tables }: StoreEngine): Counts {
  tables.renew();
  const layers = [...tables.layers.entries()];
  return {
    hostLayers: layers.filter(([, { host }]) => host !== undefined).length,
    externals: [...tables.externals.entries()].length,
  };
}

/** Collects garbage often enough to free all of it, and asserts that fsck finds no problem. */
function collect(engine: StoreEngine): void {
  for (let count = 0; count < 3; count++) collectGarbage(engine);
  assert.deepEqual(problemsOf(engine), []);
}

/** Makes `target` a reflink of a whole file of another tree, as `cp` does. */
function clone(from: Tree, path: string, to: Tree, target: string): void {
  const source = from.fileSystem.open(path, 0, 0);
  const file = to.fileSystem.open(target, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o644);
  to.fileSystem.reflink(source, file, from.fileSystem);
  from.fileSystem.close(source);
  to.fileSystem.close(file);
}

describe('space of forks over a host tree', { skip: nativeOnly }, () => {
  test('forks of one directory stand on one layer, pinned ones on another', async (context) => {
    const host = await HostTree.create(context);
    for (const name of ['one', 'two']) host.fork(name).close();
    assert.equal(countsOf(host.engine).hostLayers, 1);
    for (const name of ['three', 'four']) host.fork(name, true).close();
    assert.equal(countsOf(host.engine).hostLayers, 2);
    collect(host.engine);
    assert.equal(countsOf(host.engine).hostLayers, 2);
    for (const name of ['one', 'three', 'four']) host.engine.drop(name);
    collect(host.engine);
    assert.equal(countsOf(host.engine).hostLayers, 1);
    host.engine.drop('two');
    collect(host.engine);
    assert.deepEqual(countsOf(host.engine), { hostLayers: 0, externals: 0 });
  });

  test('no new fork stands on a dropped host layer, whether gc has removed it or not', async (context) => {
    const host = await HostTree.create(context);
    host.write('file');
    // The lease of this engine keeps dropped rows and blobs from being removed at once.
    const other = await StoreEngine.open(host.storeDirectory, FOREVER);
    context.after(() => other.close());
    const empty = other.createEmpty('empty');
    host.fork('one').close();
    host.engine.drop('one');
    collectGarbage(host.engine);
    const dropped = [...host.engine.tables.layers.entries()].find(([, { host: of }]) => of !== undefined);
    assert.notEqual(dropped?.[1].droppedEpoch, undefined);
    const second = host.fork('two');
    writeFile(second, '/file', OWN, BLOCK);
    empty.close();
    second.close();
    collect(host.engine);
    assert.equal(countsOf(host.engine).hostLayers, 1);
    assert.deepEqual(contentOf(host.engine.openTree('two'), '/file'), mixedBytes);
    host.fork('three').close();
    assert.equal(countsOf(host.engine).hostLayers, 1, 'the new layer is shared');
  });

  test('rows of host files go when the last extent that names them does', async (context) => {
    const host = await HostTree.create(context);
    for (const name of ['a', 'b', 'c']) host.write(name);
    const tree = host.fork();
    for (const name of ['/a', '/b', '/c']) writeFile(tree, name, OWN, BLOCK);
    tree.checkpoint();
    collect(host.engine);
    assert.equal(countsOf(host.engine).externals, 3);
    tree.fileSystem.unlink('/a');
    tree.fileSystem.truncate('/b', 0);
    // This write replaces all blocks: none of them refers to the host any more.
    writeFile(tree, '/c', hostBytes);
    tree.checkpoint();
    collect(host.engine);
    assert.equal(countsOf(host.engine).externals, 0);
    assert.equal(countsOf(host.engine).hostLayers, 1);
  });

  test('two forks that change one file share its row, until the host changes it', async (context) => {
    const host = await HostTree.create(context);
    host.write('file');
    const [one, two] = [host.fork('one'), host.fork('two')];
    for (const tree of [one, two]) writeFile(tree, '/file', OWN, BLOCK);
    for (const tree of [one, two]) tree.checkpoint();
    assert.equal(countsOf(host.engine).externals, 1);
    host.replace('file');
    const three = host.fork('three');
    writeFile(three, '/file', OWN, BLOCK);
    three.checkpoint();
    assert.equal(countsOf(host.engine).externals, 2);
  });

  test('copies in a fork elsewhere keep the host layer, even once its own fork is gone', async (context) => {
    const host = await HostTree.create(context);
    host.write('file');
    host.write('untouched');
    const source = host.fork('source');
    writeFile(source, '/file', OWN, BLOCK);
    source.checkpoint();
    host.engine.freeze(source);
    const target = host.engine.createEmpty('target');
    for (const name of ['/file', '/untouched']) clone(source, name, target, name);
    source.close();
    host.engine.drop('source');
    collect(host.engine);
    assert.deepEqual(countsOf(host.engine), { hostLayers: 1, externals: 2 });
    target.close();
    await host.reopenStore();
    collect(host.engine);
    const again = host.engine.openTree('target');
    assert.deepEqual(contentOf(again, '/file'), mixedBytes);
    assert.deepEqual(contentOf(again, '/untouched'), hostBytes);
    // A new fork of the directory finds the layer that the copies have kept.
    host.fork('later').close();
    assert.equal(countsOf(host.engine).hostLayers, 1);
    host.engine.drop('later');
    for (const name of ['/file', '/untouched']) again.fileSystem.unlink(name);
    again.checkpoint();
    collect(host.engine);
    assert.deepEqual(countsOf(host.engine), { hostLayers: 0, externals: 0 });
  });

  test('files that a living owner copied up but did not checkpoint survive any collection', async (context) => {
    const host = await HostTree.create(context);
    host.write('file');
    const owner = await StoreEngine.open(host.storeDirectory, FOREVER);
    context.after(() => owner.close());
    const tree = owner.forkHost(host.root, 'fork', false);
    writeFile(tree, '/file', OWN, BLOCK);
    for (let count = 0; count < 3; count++) collectGarbage(host.engine);
    assert.deepEqual(contentOf(tree, '/file'), mixedBytes);
    tree.checkpoint();
    for (const engine of [owner, host.engine, owner, host.engine]) collectGarbage(engine);
    tree.close();
    collect(host.engine);
    assert.deepEqual(contentOf(host.engine.openTree('fork'), '/file'), mixedBytes);
  });

  test('gc works although a directory vanished and its fork’s dead owner left a journal', async (context) => {
    const system = new FaultySystem(createSystem());
    const host = await HostTree.create(context, { system });
    for (const name of ['file', 'directory/removed', 'directory/renamed', 'other']) host.write(name);
    const tree = host.fork();
    writeFile(tree, '/file', OWN, BLOCK);
    tree.fileSystem.chmod('/other', 0o600, true);
    tree.fileSystem.unlink('/directory/removed');
    tree.fileSystem.rename('/directory/renamed', '/moved');
    writeFile(tree, '/directory/own', OWN);
    const garbage = host.engine.createEmpty('garbage');
    writeFile(garbage, '/large', Buffer.alloc(1 << 20, 1));
    garbage.close();
    host.engine.drop('garbage');
    system.crash();
    await host.engine.close().catch((error: unknown) => assert.ok(error instanceof CrashedError));
    await host.engine.tables.close();
    fs.renameSync(host.root, `${host.scratch}/away`);
    host.engine = await StoreEngine.open(host.storeDirectory);
    const report = collectGarbage(host.engine);
    assert.deepEqual(report.unreadableForks, []);
    assert.ok(report.bytesFreed >= 1 << 20, `${report.bytesFreed} bytes`);
    const problems = problemsOf(host.engine);
    assert.equal(problems.length, 1, problems.join('\n'));
    assert.match(problems[0]!, /host directory .* is gone.*fork:\/file/);
    const without = host.engine.openTree('fork');
    assert.deepEqual(contentOf(without, '/directory/own'), OWN);
    assert.equal(contentOf(without, '/file'), 'ESTALE');
    without.close();
    await host.engine.close();
    host.engine = await StoreEngine.open(host.storeDirectory);
    fs.renameSync(`${host.scratch}/away`, host.root);
    const again = host.engine.openTree('fork');
    assert.deepEqual(contentOf(again, '/file'), mixedBytes);
    assert.deepEqual(contentOf(again, '/moved'), hostBytes);
    assert.equal(contentOf(again, '/directory/renamed'), 'ENOENT');
    assert.equal(contentOf(again, '/directory/removed'), 'ENOENT');
    assert.equal(again.fileSystem.stat('/other', true).mode, 0o100600);
    again.close();
    collect(host.engine);
    host.engine.drop('fork');
    collect(host.engine);
    assert.deepEqual(countsOf(host.engine), { hostLayers: 0, externals: 0 });
  });

  test('a fork whose directory is gone can be dropped, forked and frozen', async (context) => {
    const host = await HostTree.create(context);
    host.write('file');
    const tree = host.fork();
    writeFile(tree, '/own', OWN);
    tree.close();
    await host.reopenStore();
    fs.rmSync(host.root, { recursive: true });
    host.engine.snapshot('fork', 'snapshot');
    assert.deepEqual(contentOf(host.engine.fork('fork', 'second'), '/own'), OWN);
    assert.deepEqual(contentOf(host.engine.openTree('snapshot'), '/own'), OWN);
    for (const name of ['second', 'snapshot']) host.engine.openTreeOf(name)?.close();
    await host.reopenStore();
    for (const name of ['second', 'snapshot', 'fork']) host.engine.drop(name);
    collect(host.engine);
    assert.deepEqual(countsOf(host.engine), { hostLayers: 0, externals: 0 });
  });
});
