/** The limits of what the open trees of a process keep in memory, with fake trees that only count. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CachedTree, TreeCache } from './tree-cache.ts';

/** A tree with a number of inodes and names, some of which cannot be dropped. */
class FakeTree implements CachedTree {
  inodeCount = 0;
  nameCount = 0;
  inodesInUse = 0;

  dropInodes(count: number): void {
    const inUse = Math.min(this.inodesInUse, this.inodeCount);
    this.inodeCount = Math.max(inUse, this.inodeCount - count);
  }

  dropNames(count: number): void {
    this.nameCount = Math.max(0, this.nameCount - count);
  }
}

function read(cache: TreeCache, tree: FakeTree, inodes: number, names = 0): void {
  tree.inodeCount += inodes;
  tree.nameCount += names;
  cache.noteUse(tree);
}

test('trees that were used least recently give way first', () => {
  const cache = new TreeCache({ inodesMax: 100, namesMax: 1000 });
  const [first, second, third] = [new FakeTree(), new FakeTree(), new FakeTree()];
  read(cache, first, 40);
  read(cache, second, 40);
  read(cache, first, 0);
  assert.deepEqual(cache.counts, { inodes: 80, names: 0 });
  read(cache, third, 21);
  // When the limit is exceeded, the cache goes down to half of it.
  assert.deepEqual([second.inodeCount, first.inodeCount, third.inodeCount], [0, 29, 21]);
  assert.deepEqual(cache.counts, { inodes: 50, names: 0 });
});

test('names give way like inodes, and each of the two has its own limit', () => {
  const cache = new TreeCache({ inodesMax: 100, namesMax: 1000 });
  const [first, second] = [new FakeTree(), new FakeTree()];
  read(cache, first, 10, 900);
  read(cache, second, 10, 200);
  assert.deepEqual([first.nameCount, second.nameCount], [300, 200]);
  assert.deepEqual([first.inodeCount, second.inodeCount], [10, 10]);
});

test('what is in use stays, and is not checked again with every operation', () => {
  const cache = new TreeCache({ inodesMax: 160, namesMax: 1000 });
  const tree = new FakeTree();
  tree.inodesInUse = 500;
  let looks = 0;
  const dropInodes = tree.dropInodes.bind(tree);
  tree.dropInodes = (count) => {
    looks++;
    dropInodes(count);
  };
  for (let inode = 0; inode < 500; inode++) read(cache, tree, 1);
  assert.equal(tree.inodeCount, 500);
  assert.ok(looks > 1 && looks <= 35, `${looks} looks`);
});

test('a closed tree no longer counts', () => {
  const cache = new TreeCache({ inodesMax: 100, namesMax: 1000 });
  const tree = new FakeTree();
  read(cache, tree, 60, 10);
  cache.forget(tree);
  cache.forget(tree);
  assert.deepEqual(cache.counts, { inodes: 0, names: 0 });
});

test('property: what is not in use never exceeds the limits, in whatever order trees are read', () => {
  const reads = fc.array(fc.tuple(fc.nat(4), fc.nat(50), fc.nat(500)), { maxLength: 60 });
  fc.assert(
    fc.property(reads, (steps) => {
      const cache = new TreeCache({ inodesMax: 100, namesMax: 1000 });
      const trees = Array.from({ length: 5 }, () => new FakeTree());
      for (const [which, inodes, names] of steps) {
        read(cache, trees[which]!, inodes, names);
        const inodeCount = trees.reduce((sum, tree) => sum + tree.inodeCount, 0);
        const nameCount = trees.reduce((sum, tree) => sum + tree.nameCount, 0);
        assert.deepEqual(cache.counts, { inodes: inodeCount, names: nameCount });
        assert.ok(inodeCount <= 100 && nameCount <= 1000);
      }
    }),
  );
});
