/** Read-ahead prepares the next file of a listing while no request is pending. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { type FuseKernel, ROOT, scratchKernel } from '../../testing/fuse/fuse-kernel.ts';
import { patternBytes, writeFile } from '../../testing/stores/shared-store.ts';

const BLOCK = 4096;
const sizes = [100, BLOCK, 3 * BLOCK + 5, 70_000, 0];
const contentOf = (index: number) => patternBytes(sizes[index % sizes.length]!, index);
const FILES = 15;

async function filledKernel(context: TestContext): Promise<FuseKernel> {
  const { kernel } = await scratchKernel(context, (tree) => {
    for (let index = 0; index < FILES; index++) writeFile(tree, `/file-${index}`, contentOf(index));
  });
  return kernel;
}

/** The files in the order of their directory's listing. */
function listed(kernel: FuseKernel): { readonly node: number; readonly index: number }[] {
  return kernel.list(ROOT).map(({ node, name }) => ({ node, index: Number(name.slice('file-'.length)) }));
}

describe('reading ahead from file to file', () => {
  it('returns the bytes of each file, whatever is prepared meanwhile', async (context) => {
    const kernel = await filledKernel(context);
    let prepared = 0;
    for (const { node, index } of listed(kernel)) {
      assert.deepEqual(kernel.read(node, 0, 128 * 1024), contentOf(index));
      if (kernel.session.readAhead.files.prepare()) prepared++;
      assert.equal(kernel.session.readAhead.files.prepare(), false, 'once for each read');
    }
    assert.ok(prepared > FILES / 2, `${prepared} were prepared`);
  });

  it('never returns bytes from before a change', async (context) => {
    const kernel = await filledKernel(context);
    const files = listed(kernel);
    for (let at = 0; at + 1 < files.length; at++) {
      const { node, index } = files[at + 1]!;
      kernel.read(files[at]!.node, 0, 128 * 1024);
      kernel.session.readAhead.files.prepare();
      const changed = Buffer.from('changed');
      kernel.write(node, 0, changed);
      const rest = contentOf(index).subarray(changed.length);
      assert.deepEqual(kernel.read(node, 0, 128 * 1024), Buffer.concat([changed, rest]));
    }
  });

  it('serves only reads of the whole file, only once, and leaves access times alone', async (context) => {
    const kernel = await filledKernel(context);
    const [first, second] = listed(kernel).filter(({ index }) => [0, 1, 2].includes(index % sizes.length));
    const { session, tree } = kernel;
    session.readAhead.files.clear();
    for (const { node } of [first!, second!]) session.readAhead.files.noteListed(session.inode(node));
    kernel.read(first!.node, 0, BLOCK);
    assert.ok(session.readAhead.files.prepare());
    const inode = session.inode(second!.node);
    assert.ok(!tree.stack.lazyTimes.has(inode));
    const target = Buffer.alloc(inode.record.size);
    assert.equal(session.readAhead.files.take(inode, target, 0, 0, 10), false, 'too few bytes are asked for');
    assert.equal(
      session.readAhead.files.take(inode, target, 0, 0, BLOCK * 4),
      false,
      'bytes that are refused once are gone',
    );
    assert.deepEqual(kernel.read(second!.node, 50, 20), contentOf(second!.index).subarray(50, 70));
    assert.ok(tree.stack.lazyTimes.has(inode));
  });

  it('does not keep bytes for long', async (context) => {
    const kernel = await filledKernel(context);
    const [first, second] = listed(kernel).filter(({ index }) => [0, 1, 2].includes(index % sizes.length));
    const { session } = kernel;
    session.readAhead.files.clear();
    for (const { node } of [first!, second!]) session.readAhead.files.noteListed(session.inode(node));
    kernel.read(first!.node, 0, BLOCK);
    assert.ok(session.readAhead.files.prepare());
    await pause(40);
    const inode = session.inode(second!.node);
    const target = Buffer.alloc(inode.record.size);
    assert.equal(session.readAhead.files.take(inode, target, 0, 0, BLOCK * 4), false);
  });
});
