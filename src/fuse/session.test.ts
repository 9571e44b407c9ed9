/** Lookup counts and FORGET; orphans, which the kernel knows though they have no name; the end of a mount. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type FuseKernel, Op, pack, ROOT, scratchKernel, u32, u64 } from '../../testing/fuse/fuse-kernel.ts';
import { problemsOf, writeFile } from '../../testing/stores/shared-store.ts';
import type { StoreEngine, Tree } from '../store/index.ts';

interface Fork {
  readonly kernel: FuseKernel;
  readonly engine: StoreEngine;
}

function forkOf(context: TestContext): Promise<Fork> {
  return scratchKernel(context, (tree: Tree) => {
    writeFile(tree, '/file', Buffer.from('content'));
    tree.fileSystem.makeDirectory('/directory', 0o755);
  });
}

const GETATTR_ARGS = u32(0, 0, 0, 0);

describe('FORGET', () => {
  it('lowers the count, but never below zero', async (context) => {
    const { kernel } = await forkOf(context);
    const file = kernel.lookup(ROOT, 'file');
    kernel.lookup(ROOT, 'file');
    kernel.lookup(ROOT, 'file');
    kernel.forget(file, 2);
    assert.equal(kernel.session.knownCount, 1);
    kernel.forget(file, 1);
    assert.equal(kernel.session.knownCount, 0);
    // These forget more than was counted: nothing changes.
    kernel.forget(file, 10);
    kernel.forget(ROOT, 10);
    kernel.forget(999, 1);
    assert.equal(kernel.session.knownCount, 0);
    assert.equal(kernel.lookup(ROOT, 'file'), file);
  });

  it('works for many nodes at once', async (context) => {
    const { kernel } = await forkOf(context);
    const [file, directory] = [kernel.lookup(ROOT, 'file'), kernel.lookup(ROOT, 'directory')];
    kernel.lookup(ROOT, 'file');
    // count, dummy · nodeid, nlookup (64 each)
    const answer = kernel.send(Op.BATCH_FORGET, 0, pack(u32(2, 0), u64(file, 2, directory, 1)));
    assert.equal(answer.length, 0);
    assert.equal(kernel.session.knownCount, 0);
  });

  it('with fewer nodes than it announces does nothing, and gets no answer', async (context) => {
    const { kernel } = await forkOf(context);
    const file = kernel.lookup(ROOT, 'file');
    assert.equal(kernel.send(Op.BATCH_FORGET, 0, pack(u32(2, 0), u64(file, 1))).length, 0);
    assert.equal(kernel.send(Op.BATCH_FORGET, 0, pack(u32(0x1000_0000, 0), u64(file, 1))).length, 0);
    assert.equal(kernel.send(Op.FORGET, file, u32(1)).length, 0);
    assert.equal(kernel.session.knownCount, 1);
  });

  it('reports a node as forgotten once its count is zero', async (context) => {
    const forgotten: number[] = [];
    const { kernel } = await scratchKernel(context, (tree) => writeFile(tree, '/file', Buffer.from('x')), {
      events: { onForgotten: (ino) => forgotten.push(ino) },
    });
    const file = kernel.lookup(ROOT, 'file');
    kernel.lookup(ROOT, 'file');
    kernel.forget(file);
    assert.deepEqual(forgotten, []);
    kernel.forget(file);
    assert.deepEqual(forgotten, [file]);
  });

  it('of a million looked-up names leaves no memory in use', { timeout: 600_000 }, () => {
    const program = fileURLToPath(new URL('../../testing/fuse/million-lookups.js', import.meta.url));
    const output = execFileSync(process.execPath, ['--expose-gc', program], { encoding: 'utf8' });
    const { grownBytes, knownMost, knownAtEnd, seconds } = JSON.parse(output) as Record<string, number>;
    assert.equal(knownMost, 1000);
    assert.equal(knownAtEnd, 0);
    // A leaked count takes some 40 bytes, so a million of them 40 MB.
    assert.ok(grownBytes! < 2_000_000, `the heap has grown by ${grownBytes} bytes`);
    assert.ok(seconds! < 10, `it took ${seconds} s of a processor`);
  });
});

describe('an orphan that the kernel still knows', () => {
  it('is read and written until it is forgotten, across a checkpoint, and then is gone', async (context) => {
    const { kernel, engine } = await forkOf(context);
    const file = kernel.lookup(ROOT, 'file');
    kernel.ask(Op.UNLINK, ROOT, pack('file'));
    assert.deepEqual([kernel.attr(file).nlink, kernel.read(file, 0, 100).toString()], [0, 'content']);
    kernel.write(file, 0, Buffer.from('CON'));
    kernel.tree.checkpoint();
    kernel.tree.stack.dropInodes(Number.POSITIVE_INFINITY);
    assert.equal(kernel.read(file, 0, 100).toString(), 'CONtent');
    kernel.write(file, 3, Buffer.from('TENT'));
    assert.equal(kernel.read(file, 0, 100).toString(), 'CONTENT');
    assert.deepEqual(problemsOf(engine), []);
    kernel.forget(file);
    assert.equal(kernel.fails(Op.GETATTR, file, GETATTR_ARGS), 'ESTALE');
    kernel.tree.checkpoint();
    assert.equal(kernel.fails(Op.GETATTR, file, GETATTR_ARGS), 'ESTALE');
    assert.equal(orphanCount(engine), 0);
  });

  it('created and unlinked between two checkpoints is gone once it is forgotten', async (context) => {
    const { kernel, engine } = await forkOf(context);
    const made = kernel.create(ROOT, 'made');
    kernel.write(made, 0, Buffer.alloc(100_000, 1));
    kernel.ask(Op.UNLINK, ROOT, pack('made'));
    assert.equal(kernel.read(made, 0, 100_000).length, 100_000);
    kernel.forget(made);
    assert.equal(kernel.fails(Op.GETATTR, made, GETATTR_ARGS), 'ESTALE');
    kernel.tree.checkpoint();
    assert.equal(orphanCount(engine), 0);
  });

  it('is released after a RENAME over it, and after RMDIR', async (context) => {
    const { kernel } = await forkOf(context);
    const [file, directory] = [kernel.lookup(ROOT, 'file'), kernel.lookup(ROOT, 'directory')];
    kernel.create(ROOT, 'other');
    kernel.ask(Op.RENAME, ROOT, pack(u64(ROOT), 'other', 'file'));
    kernel.ask(Op.RMDIR, ROOT, pack('directory'));
    assert.deepEqual([kernel.attr(file).nlink, kernel.attr(directory).nlink], [0, 0]);
    kernel.forget(file);
    kernel.forget(directory);
    for (const node of [file, directory])
      assert.equal(kernel.fails(Op.GETATTR, node, GETATTR_ARGS), 'ESTALE');
  });

  it('is also released if the library removed its name', async (context) => {
    const { kernel, engine } = await forkOf(context);
    const file = kernel.lookup(ROOT, 'file');
    kernel.tree.fileSystem.unlink('/file');
    assert.equal(kernel.read(file, 0, 100).toString(), 'content');
    kernel.tree.checkpoint();
    kernel.tree.stack.dropInodes(Number.POSITIVE_INFINITY);
    kernel.forget(file);
    assert.equal(kernel.fails(Op.GETATTR, file, GETATTR_ARGS), 'ESTALE');
    kernel.tree.checkpoint();
    assert.equal(orphanCount(engine), 0);
  });

  it('stays while the library has it open, and is released after that', async (context) => {
    const { kernel, engine } = await forkOf(context);
    const { fileSystem } = kernel.tree;
    const node = kernel.lookup(ROOT, 'file');
    const file = fileSystem.open('/file', 0, 0);
    kernel.ask(Op.UNLINK, ROOT, pack('file'));
    kernel.forget(node);
    assert.equal(fileSystem.statFile(file).size, 7);
    fileSystem.close(file);
    assert.equal(kernel.fails(Op.GETATTR, node, GETATTR_ARGS), 'ESTALE');
    kernel.tree.checkpoint();
    assert.equal(orphanCount(engine), 0);
  });

  it('is freed when the mount ends', async (context) => {
    const { kernel, engine } = await forkOf(context);
    const made = kernel.create(ROOT, 'made');
    kernel.write(made, 0, Buffer.alloc(100_000, 1));
    const file = kernel.lookup(ROOT, 'file');
    kernel.ask(Op.UNLINK, ROOT, pack('file'));
    kernel.tree.checkpoint();
    kernel.ask(Op.UNLINK, ROOT, pack('made'));
    kernel.tree.stack.dropInodes(Number.POSITIVE_INFINITY);
    kernel.session.end();
    assert.equal(kernel.session.knownCount, 0);
    for (const node of [file, made]) assert.equal(kernel.fails(Op.GETATTR, node, GETATTR_ARGS), 'ESTALE');
    kernel.tree.checkpoint();
    assert.equal(orphanCount(engine), 0);
    assert.deepEqual(problemsOf(engine), []);
  });
});

/** Counts the orphans in the tables, which the next process to open the store would have to free. */
function orphanCount(engine: StoreEngine): number {
  let count = 0;
  for (const [id] of engine.tables.layers.entries()) count += [...engine.tables.orphans.inos(id)].length;
  return count;
}
