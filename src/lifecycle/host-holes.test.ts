/** Large sparse files in forks of a host directory: their holes are neither read nor written. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { type TestContext, test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { problemsOf, writeFile } from '../../testing/stores/shared-store.ts';
import { exportTree } from '../../testing/trees/export-tree.ts';
import { HostTree, rangeOf } from '../../testing/trees/host-tree.ts';
import { bytesRead, hostWalk, makeLargeSparse } from '../../testing/trees/sparse-files.ts';
import { hostState, settleTree } from '../store/index.ts';
import { changedPaths, diffTrees } from '../survey/index.ts';
import { commitTree } from './commit.ts';
import { fileChanges } from './file-changes.ts';
import { mergeTrees } from './merge.ts';
import { fileDifference } from './patch.ts';

const BLOCK = 4096;
const LARGE_DATA = [[2 ** 30, 2 ** 30 + BLOCK]];
const FORK_DATA = [[BLOCK, 2 * BLOCK], ...LARGE_DATA];

/** Runs `work` on a directory with the sparse file `large`, and checks that its holes are not read. */
async function withLarge(context: TestContext, work: (host: HostTree) => Promise<void>): Promise<void> {
  const host = await HostTree.create(context);
  makeLargeSparse(host.engine.system, host.at('large'));
  const before = bytesRead();
  await work(host);
  assert.ok(bytesRead() - before < 2 ** 26, `${bytesRead() - before} bytes were read`);
  assert.deepEqual(problemsOf(host.engine), []);
}

test('an export keeps the holes', { skip: nativeOnly }, (context) =>
  withLarge(context, async (host) => {
    const { system } = host.engine;
    // These blocks are allocated and count in st_blocks, but were never written.
    fs.writeFileSync(host.at('allocated'), 'x');
    execFileSync('fallocate', ['--offset', '0', '--length', '1M', host.at('allocated')]);
    fs.writeFileSync(host.at('only-allocated'), '');
    execFileSync('fallocate', ['--length', '1M', host.at('only-allocated')]);
    host.fork().close();
    const target = `${host.scratch}/exported`;
    await exportTree(host.engine, 'fork', target);
    for (const name of ['large', 'allocated', 'only-allocated']) {
      assert.equal(fs.statSync(`${target}/${name}`).size, fs.statSync(host.at(name)).size, name);
      assert.deepEqual(hostWalk(system, `${target}/${name}`), hostWalk(system, host.at(name)), name);
    }
    assert.equal(fs.readFileSync(`${target}/allocated`)[0], 'x'.charCodeAt(0));
  }),
);

test('a commit keeps the holes, and compares without reading them', { skip: nativeOnly }, (context) =>
  withLarge(context, async (host) => {
    const { system } = host.engine;
    const tree = host.fork();
    writeFile(tree, '/large', Buffer.from('y'), BLOCK);
    tree.fileSystem.rename('/large', '/moved');
    tree.close();
    assert.equal((await commitTree(host.engine, 'fork')).isDone, true);
    assert.deepEqual(hostWalk(system, host.at('moved')), FORK_DATA);
    assert.deepEqual(fs.readdirSync(host.root), ['moved']);
    // The times differ now, so the commit compares content.
    const again = host.engine.openTree('fork');
    writeFile(again, '/moved', Buffer.from('y'), BLOCK);
    again.close();
    const report = await commitTree(host.engine, 'fork');
    assert.deepEqual([report.isDone, report.conflicts], [true, []]);
    assert.deepEqual(hostWalk(system, host.at('moved')), FORK_DATA);
  }),
);

test('diff and merge do not read holes, and the merged file stays sparse', { skip: nativeOnly }, (context) =>
  withLarge(context, async (host) => {
    const { engine } = host;
    host.fork().close();
    const before = hostState(engine, 'fork')!;
    const ours = engine.fork('fork', 'ours');
    const theirs = engine.fork('fork', 'theirs');
    // Overwrites a byte with the same value.
    writeFile(ours, '/large', Buffer.from('x'), 2 ** 30);
    ours.fileSystem.chmod('/large', 0o755, true);
    const [sides, changes] = [[before, 'ours'] as const, diffTrees(engine, before, 'ours')];
    assert.deepEqual(
      changes.map(({ path, parts }) => [path, parts]),
      [['/large', ['mode', 'times']]],
    );
    const [left, right] = sides.map((side) => settleTree(engine, side, new Set()));
    const old = engine.openTree('fork');
    const paths = changedPaths(engine, left!, right!);
    const differences = [...fileChanges(paths, old.fileSystem, ours.fileSystem)].map((change) =>
      fileDifference(change, old.fileSystem, ours.fileSystem),
    );
    assert.deepEqual(
      differences.map(({ patch }) => patch),
      ['diff --git a/large b/large\nold mode 100644\nnew mode 100755\n'],
    );
    old.close();
    writeFile(theirs, '/large', Buffer.from('y'), BLOCK);
    for (const tree of [ours, theirs]) tree.close();
    const report = await mergeTrees(engine, 'theirs', 'ours', { onConflict: 'theirs' });
    assert.equal(report.isApplied, true);
    const merged = engine.openTree('ours');
    assert.equal(merged.fileSystem.stat('/large', true).blocks, 16);
    assert.deepEqual(rangeOf(merged, '/large', BLOCK, 1), Buffer.from('y'));
    merged.close();
  }),
);
