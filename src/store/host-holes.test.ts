/**
 * Holes of host files in forks of their directory. Before the fork changes a file, lseek(2) and st_blocks answer the
 * same as for the host's file; afterwards the same as for a copy of that file with the same changes.
 */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { problemsOf, readFile, writeFile } from '../../testing/stores/shared-store.ts';
import { codeOf, HostTree } from '../../testing/trees/host-tree.ts';
import {
  assertSameSeeks,
  blocksAfter,
  blocksOf,
  bytesRead,
  changeHostFile,
  dataWalk,
  hostSeeks,
  hostWalk,
  makeLargeSparse,
  randomChanges,
  type Seeks,
  type SparseChange,
} from '../../testing/trees/sparse-files.ts';
import { isFsError, SeededRandom } from '../base/index.ts';
import { filePages } from '../survey/index.ts';
import type { Tree } from './tree.ts';

const BLOCK = 4096;
const GIB = 2 ** 30;
const O_RDWR = 2;
const SEEDS = 12;

/** lseek(2) of a file of an open tree. */
function treeSeeks(tree: Tree, path: string): Seeks & { close(): void } {
  const { fileSystem } = tree;
  const file = fileSystem.open(path, 0, 0);
  const orNone = (seek: () => number): number | undefined => {
    try {
      return seek();
    } catch (error) {
      if (isFsError(error, 'ENXIO')) return undefined;
      throw error;
    }
  };
  return {
    sizeBytes: fileSystem.statFile(file).size,
    data: (position) => orNone(() => fileSystem.seekData(file, position)),
    hole: (position) => orNone(() => fileSystem.seekHole(file, position)),
    close: () => fileSystem.close(file),
  };
}

function treeWalk(tree: Tree, path: string): [start: number, end: number][] {
  const seeks = treeSeeks(tree, path);
  try {
    return dataWalk(seeks);
  } finally {
    seeks.close();
  }
}

function changeTreeFile({ fileSystem }: Tree, path: string, changes: readonly SparseChange[]): void {
  const file = fileSystem.open(path, O_RDWR, 0);
  for (const change of changes) {
    if (change.is === 'write') fileSystem.write(file, change.bytes, 0, change.bytes.length, change.position);
    else if (change.is === 'cut') fileSystem.truncateFile(file, change.size);
    else fileSystem.punch(file, change.position, change.length);
  }
  fileSystem.close(file);
}

const blocks = (tree: Tree, path: string): number => tree.fileSystem.stat(path, true).blocks;

/** Asserts that data, holes and st_blocks of `path` are those of `hostPath`. */
function isAsOnHost(host: HostTree, tree: Tree, path: string, hostPath: string, label: string): void {
  const [actual, expected] = [treeSeeks(tree, path), hostSeeks(host.engine.system, hostPath)];
  try {
    assertSameSeeks(actual, expected, new SeededRandom(1), label);
  } finally {
    actual.close();
    expected.close();
  }
  // The host may count in units of 512 bytes; a tree counts whole blocks of 4,096 bytes.
  assert.equal(blocks(tree, path), Math.ceil(fs.statSync(hostPath).blocks / 8) * 8, label);
}

/** Asserts that `path` has data in exactly these blocks, and the bytes of the host file. */
function has(tree: Tree, path: string, expected: readonly number[], hostPath: string, label: string): void {
  assert.deepEqual(blocksOf(treeWalk(tree, path)), expected, label);
  assert.equal(blocks(tree, path), expected.length * 8, label);
  assert.ok(readFile(tree, path).equals(fs.readFileSync(hostPath)), label);
}

async function withFiles(context: TestContext): Promise<{ host: HostTree; names: readonly string[] }> {
  const host = await HostTree.create(context);
  const names: string[] = [];
  for (let seed = 0; seed < SEEDS; seed++) {
    const random = new SeededRandom(seed);
    changeHostFile(host.engine.system, host.at(`${seed}`), randomChanges(random, 2 + random.below(12)));
    names.push(`${seed}`);
  }
  return { host, names };
}

describe('holes of host files', { skip: nativeOnly }, () => {
  test('are there before the fork has touched the file, and after a change of attributes', async (context) => {
    const { host, names } = await withFiles(context);
    const tree = host.fork();
    for (const name of names) isAsOnHost(host, tree, `/${name}`, host.at(name), `untouched, seed ${name}`);
    for (const name of names) tree.fileSystem.chmod(`/${name}`, 0o600, true);
    for (const name of names) isAsOnHost(host, tree, `/${name}`, host.at(name), `chmod, seed ${name}`);
    tree.close();
    await host.reopenStore();
    const again = host.engine.openTree('fork');
    for (const name of names) isAsOnHost(host, again, `/${name}`, host.at(name), `reopened, seed ${name}`);
    // Changes on the host show at once.
    for (const name of names) {
      changeHostFile(
        host.engine.system,
        host.at(name),
        randomChanges(new SeededRandom(Number(name) + 99), 3),
      );
      isAsOnHost(host, again, `/${name}`, host.at(name), `changed on the host, seed ${name}`);
    }
    again.close();
    assert.deepEqual(problemsOf(host.engine), []);
  });

  for (const isPinned of [false, true]) {
    const kind = isPinned ? 'pinned' : 'by name';
    test(`stay holes when the file is written, copied and mapped, ${kind}`, async (context) => {
      const { host, names } = await withFiles(context);
      changeHostFile(host.engine.system, host.at('other'), randomChanges(new SeededRandom(SEEDS), 10));
      const tree = host.fork('fork', isPinned);
      const { fileSystem } = tree;
      const { system } = host.engine;
      for (const name of names) {
        const label = `${kind}, seed ${name}`;
        const [aside, onHost] = [`${host.scratch}/aside`, host.at(name)];
        fs.copyFileSync(onHost, aside);
        const data = blocksOf(hostWalk(system, onHost));
        const [from, to] = [fileSystem.open(`/${name}`, 0, 0), fileSystem.open('/copy', 0o1102, 0o644)];
        fileSystem.reflink(from, to);
        has(tree, '/copy', data, aside, `reflink, ${label}`);
        const changes = randomChanges(new SeededRandom(Number(name) + 1000), 1 + (Number(name) % 5));
        const expected = blocksAfter(data, fs.statSync(onHost).size, changes);
        changeTreeFile(tree, `/${name}`, changes);
        changeHostFile(system, aside, changes);
        has(tree, `/${name}`, expected, aside, `written, ${label}`);
        fileSystem.map(from).close();
        has(tree, `/${name}`, expected, aside, `mapped, ${label}`);
        // A file that is mapped may not get blocks of a host file.
        const [view, other] = [fileSystem.map(to), fileSystem.open('/other', 0, 0)];
        fileSystem.reflink(other, to);
        has(
          tree,
          '/copy',
          blocksOf(hostWalk(system, host.at('other'))),
          host.at('other'),
          `shared, ${label}`,
        );
        view.close();
        for (const file of [from, to, other]) fileSystem.close(file);
      }
      tree.close();
      await host.reopenStore();
      assert.deepEqual(problemsOf(host.engine, { scrub: true }), []);
    });
  }

  test('are not read when a file of 2 GiB is shared, searched for data and copied up', async (context) => {
    const host = await HostTree.create(context);
    makeLargeSparse(host.engine.system, host.at('large'));
    const before = bytesRead();
    for (const isPinned of [false, true]) {
      const tree = host.fork(`fork-${isPinned}`, isPinned);
      assert.deepEqual(treeWalk(tree, '/large'), [[GIB, GIB + BLOCK]]);
      const { fileSystem } = tree;
      const [from, to] = [fileSystem.open('/large', 0, 0), fileSystem.open('/copy', 0o102, 0o644)];
      fileSystem.reflink(from, to);
      assert.deepEqual(treeWalk(tree, '/copy'), [[GIB, GIB + BLOCK]]);
      const { pageCount, holeCount } = filePages(host.engine, tree.info.name, '/large');
      assert.deepEqual([pageCount, holeCount], [(2 * GIB) / BLOCK, (2 * GIB) / BLOCK - 1]);
      fileSystem.map(from).close();
      assert.deepEqual(treeWalk(tree, '/large'), [[GIB, GIB + BLOCK]]);
      assert.equal(blocks(tree, '/large'), 8);
      for (const file of [from, to]) fileSystem.close(file);
      tree.close();
    }
    assert.ok(bytesRead() - before < 2 ** 24, `${bytesRead() - before} bytes were read`);
  });

  test('are read from the host where there are more of them than a copy-up records', async (context) => {
    const PIECES = 33_000;
    const host = await HostTree.create(context);
    const directory = join(dirname(host.storeDirectory), 'repo');
    fs.mkdirSync(directory);
    const fd = fs.openSync(join(directory, 'file'), 'w');
    for (let piece = 0; piece < PIECES; piece++) fs.writeSync(fd, 'x', piece * 2 * BLOCK);
    fs.ftruncateSync(fd, PIECES * 2 * BLOCK);
    fs.closeSync(fd);
    const tree = host.engine.forkHost(directory, 'fork', false);
    writeFile(tree, '/file', Buffer.from('y'), 3 * BLOCK);
    assert.ok(blocks(tree, '/file') > (PIECES + 1) * 8, 'not all of them were recorded');
    const walk = treeWalk(tree, '/file');
    assert.equal(walk.length, PIECES - 1);
    assert.deepEqual(walk.slice(0, 3), [
      [0, BLOCK],
      [2 * BLOCK, 5 * BLOCK],
      [6 * BLOCK, 7 * BLOCK],
    ]);
    const last = (PIECES - 1) * 2 * BLOCK;
    assert.deepEqual(walk.at(-1), [last, last + BLOCK]);
    tree.close();
    assert.deepEqual(problemsOf(host.engine), []);
  });

  test('of a file that changed on the host since its copy-up are ESTALE, like its bytes', async (context) => {
    const host = await HostTree.create(context);
    makeLargeSparse(host.engine.system, host.at('large'));
    const tree = host.fork();
    writeFile(tree, '/large', Buffer.from('y'));
    await new Promise((resolve) => setTimeout(resolve, 12));
    changeHostFile(host.engine.system, host.at('large'), [{ is: 'punch', position: GIB, length: BLOCK }]);
    const file = tree.fileSystem.open('/large', 0, 0);
    assert.equal(tree.fileSystem.seekData(file, 0), 0, 'what the fork has written itself');
    assert.equal(tree.fileSystem.seekHole(file, 0), BLOCK);
    assert.equal(
      codeOf(() => tree.fileSystem.seekData(file, BLOCK)),
      'ESTALE',
    );
    assert.equal(
      codeOf(() => tree.fileSystem.seekHole(file, GIB)),
      'ESTALE',
    );
    tree.fileSystem.close(file);
    tree.close();
  });

  test('show through unions, forks of forks and snapshots', async (context) => {
    const { host, names } = await withFiles(context);
    fs.mkdirSync(`${host.scratch}/other`);
    const union = host.engine.forkUnion([`${host.scratch}/other`, host.root], 'union');
    const tree = host.fork();
    const inner = host.engine.fork('fork', 'inner');
    host.engine.snapshot('fork', 'kept');
    const kept = host.engine.openTree('kept');
    for (const name of names) {
      for (const shown of [union, inner, kept]) isAsOnHost(host, shown, `/${name}`, host.at(name), name);
    }
    for (const open of [kept, inner, tree, union]) open.close();
  });
});
