/** An operation is one change: it leaves nothing behind when it fails, and changes do not nest. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { BLOCK_SIZE, type BlobId } from '../base/index.ts';
import type { Inode } from './inode.ts';
import type { LayerStack } from './layer-stack.ts';

const PAGE = Buffer.alloc(BLOCK_SIZE, 7);

/** A fork with a file of one block. */
async function forkWithFile(context: TestContext): Promise<{ stack: LayerStack; inode: Inode }> {
  const engine = await scratchStore(context);
  const { stack, fileSystem } = engine.createEmpty('tree');
  const file = fileSystem.open('/a', 0o102, 0o644);
  fileSystem.write(file, PAGE, 0, BLOCK_SIZE, 0);
  return { stack, inode: file.inode };
}

function recordCount(stack: LayerStack): number {
  return stack.writable().journal.recordCount;
}

test('a change returns what its function returns, and is one record', async (context) => {
  const { stack, inode } = await forkWithFile(context);
  const before = recordCount(stack);
  const mode = stack.change((batch) => {
    batch.change(inode).uid = 5;
    batch.setXattrs(inode, new Map([['user.a', Buffer.from('1')]]));
    return batch.change(inode).mode;
  });
  assert.equal(mode, inode.record.mode);
  assert.equal(inode.record.uid, 5);
  assert.equal(stack.xattrsOf(inode).size, 1);
  assert.equal(recordCount(stack), before + 1);
});

test('a change that changes nothing leaves no record', async (context) => {
  const { stack } = await forkWithFile(context);
  const before = recordCount(stack);
  assert.equal(
    stack.change(() => 'nothing'),
    'nothing',
  );
  assert.equal(recordCount(stack), before);
});

test('a change that throws changes nothing, and gives back the blocks that it took', async (context) => {
  const { stack, inode } = await forkWithFile(context);
  const before = recordCount(stack);
  let taken: { readonly blob: BlobId; readonly physical: number } | undefined;
  const failing = (): void =>
    stack.change((batch) => {
      const runs = stack.mappingOf(inode).write(BLOCK_SIZE, PAGE, 0, BLOCK_SIZE);
      batch.setRuns(inode, runs);
      batch.change(inode).size = 2 * BLOCK_SIZE;
      taken = runs[0];
      assert.ok(stack.activeBlob().isExclusive(runs[0]!.physical));
      throw new Error('changed its mind');
    });
  assert.throws(failing, /changed its mind/);
  assert.equal(taken?.blob, stack.activeId);
  assert.equal(stack.activeBlob().isExclusive(taken.physical), false);
  assert.equal(inode.record.size, BLOCK_SIZE);
  assert.equal(recordCount(stack), before);
  stack.change((batch) => {
    batch.change(inode).uid = 6;
  });
  assert.deepEqual([inode.record.uid, inode.record.size], [6, BLOCK_SIZE]);
});

test('there is no change inside a change', async (context) => {
  const { stack, inode } = await forkWithFile(context);
  const before = recordCount(stack);
  const nested = (): void =>
    stack.change((batch) => {
      batch.change(inode).uid = 7;
      stack.change((inner) => inner.change(inode));
    });
  assert.throws(nested, /one change of a tree at a time/);
  assert.equal(inode.record.uid, process.getuid?.() ?? 0);
  assert.equal(recordCount(stack), before);
});

test('a snapshot refuses a change before it calls its function', async (context) => {
  const engine = await scratchStore(context);
  engine.createEmpty('tree').close();
  engine.snapshot('tree', 'frozen');
  const { stack } = engine.openTree('frozen');
  assert.throws(() => stack.change(() => assert.fail('gathered')), { code: 'EROFS' });
});
