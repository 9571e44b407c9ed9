/** UnionLayer compared with a naive merge of the trees that follows the rules literally. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  directory,
  file,
  MemoryLower,
  type ModelDirectory,
  type ModelNode,
  naiveMerge,
  whiteout,
} from '../../testing/trees/memory-lower.ts';
import { FsError, type Ino, type LayerId, type Name } from '../base/index.ts';
import { FrozenTree } from './frozen-tree.ts';
import { UnionLayer } from './union-layer.ts';

const DT_DIR = 4;

/** A union of trees with inode numbers from `first` on: it packs those below 2^38, and hashes higher ones. */
function unionOf(trees: readonly ModelDirectory[], first = 1): { union: UnionLayer; contents: string[] } {
  const contents: string[] = [];
  const chains = trees.map((tree, index) => {
    const layer = new MemoryLower(index + 1, tree, contents, first + 1000 * (index % 3));
    return new FrozenTree([layer], layer.root);
  });
  return { union: new UnionLayer(99 as LayerId, chains, () => undefined), contents };
}

/** Walks the union: each path with the content of its file. Looks up each listed name as well. */
function listed({ union, contents }: { union: UnionLayer; contents: string[] }): Map<string, string> {
  const shown = new Map<string, string>();
  const visit = (directory: Ino, path: string): void => {
    const names = union.list(directory);
    assert.deepEqual(
      names.map(({ name }) => name),
      union.names(directory),
    );
    for (const { name, dentry } of names) {
      assert.deepEqual(union.dentry(directory, name), dentry);
      const record = union.inode(dentry.ino);
      assert.ok(record !== undefined);
      if (dentry.kind === DT_DIR) {
        assert.equal(record.parent, directory);
        shown.set(`${path}/${name}/`, '');
        visit(dentry.ino, `${path}/${name}`);
      } else shown.set(`${path}/${name}`, contents[union.runs(dentry.ino)[0]!.blob - 1]!);
    }
  };
  visit(union.rootIno, '');
  return shown;
}

const { tree } = fc.letrec<{ node: ModelNode; tree: ModelDirectory }>((tie) => ({
  node: fc.oneof(
    { depthSize: 'medium', maxDepth: 4 },
    fc.record({ is: fc.constant('file' as const), content: fc.string({ minLength: 1, maxLength: 3 }) }),
    fc.constant(whiteout),
    tie('tree'),
    tie('tree'),
  ),
  tree: fc.record({
    is: fc.constant('directory' as const),
    isOpaque: fc.oneof(
      { weight: 5, arbitrary: fc.constant(false) },
      { weight: 1, arbitrary: fc.constant(true) },
    ),
    names: fc.dictionary(fc.constantFrom('a', 'A', 'b', 'c', 'é', 'e\u0301'), tie('node'), { maxKeys: 5 }),
  }),
}));

describe('a union', () => {
  for (const [what, first] of [
    ['of stored layers', 1],
    ['of derived layers', 2 ** 48 + 5],
  ] as const) {
    test(`${what} shows what a naive merge shows`, () => {
      fc.assert(
        fc.property(fc.array(tree, { minLength: 1, maxLength: 4 }), (trees) => {
          const shown = listed(unionOf(trees, first));
          assert.deepEqual([...shown].sort(), [...naiveMerge(trees)].sort());
        }),
        { numRuns: 300 },
      );
    });

    test(`${what} finds every directory again by its number`, () => {
      fc.assert(
        fc.property(fc.array(tree, { minLength: 2, maxLength: 4 }), (trees) => {
          const { union } = unionOf(trees, first);
          const numbers = [...union.shownInodes()].reverse();
          const fresh = unionOf(trees, first).union;
          for (const ino of numbers) {
            const origin = union.origin(ino);
            assert.equal(origin === undefined, first === 1);
            if (origin !== undefined) fresh.learn(ino, origin);
          }
          for (const ino of numbers) {
            assert.deepEqual(fresh.inode(ino), union.inode(ino));
            assert.deepEqual(fresh.list(ino), union.list(ino));
          }
        }),
        { numRuns: 200 },
      );
    });
  }

  test('counts the subdirectories of every layer in the nlink of a directory', () => {
    const { union } = unionOf([
      directory({ d: directory({ x: directory({}) }) }),
      directory({ d: directory({ y: directory({}), z: directory({}) }) }),
    ]);
    const { ino } = union.dentry(union.rootIno, 'd' as Name)!;
    assert.equal(union.inode(ino)?.nlink, 5);
  });

  test('follows redirects by name and by path, and finds redirected directories by number', () => {
    const moved = (redirect: string, names: Record<string, ModelNode> = {}): ModelDirectory => ({
      ...directory(names),
      xattrs: { 'trusted.overlay.redirect': redirect },
    });
    const trees = [
      directory({
        new: moved('old', { own: file('1') }),
        far: moved('/deep/er'),
        old: whiteout,
        deep: whiteout,
      }),
      directory({
        old: directory({ lower: file('2'), sub: directory({ f: file('3') }) }),
        deep: directory({ er: moved('est', { m: file('4') }), est: directory({ no: file('5') }) }),
      }),
      directory({
        deep: directory({ est: directory({ n: file('6') }) }),
        far: directory({ not: file('7') }),
      }),
    ];
    const made = unionOf(trees);
    assert.deepEqual(
      [...listed(made)].filter(([, content]) => content !== ''),
      [
        ['/far/m', '4'],
        ['/far/n', '6'],
        ['/new/lower', '2'],
        ['/new/own', '1'],
        ['/new/sub/f', '3'],
      ],
    );
    const sub = made.union.dentry(made.union.dentry(made.union.rootIno, 'new' as Name)!.ino, 'sub' as Name)!;
    const fresh = unionOf(trees).union;
    assert.deepEqual(fresh.names(sub.ino), ['f']);
  });

  test('hides the marks of overlayfs, obeys those in `user.` too, and refuses metacopy files', () => {
    const { union } = unionOf([
      directory({
        d: { ...directory({}), xattrs: { 'user.overlay.opaque': 'y', 'user.mine': '1' } },
        x: {
          ...directory({ gone: { is: 'file', content: '', xattrs: { 'trusted.overlay.whiteout': '' } } }),
          xattrs: { 'trusted.overlay.opaque': 'x', 'trusted.overlay.overlay.opaque': 'y' },
        },
        meta: { is: 'file', content: 'm', xattrs: { 'trusted.overlay.metacopy': '' } },
      }),
      directory({ d: directory({ hidden: file('1') }), x: directory({ gone: file('2'), there: file('3') }) }),
    ]);
    const ino = (name: string): Ino => union.dentry(union.rootIno, name as Name)!.ino;
    assert.deepEqual(union.names(ino('d')), []);
    assert.deepEqual([...union.xattrs(ino('d'))!.keys()], ['user.mine']);
    assert.deepEqual(union.names(ino('x')), ['there']);
    assert.deepEqual([...union.xattrs(ino('x'))!.keys()], ['trusted.overlay.opaque']);
    const isRefused = (error: unknown): boolean => error instanceof FsError && error.code === 'ENOTSUP';
    assert.throws(() => union.inode(ino('meta')), isRefused);
  });

  test('looks a name up in one step for each of 500 layers', () => {
    const trees = Array.from({ length: 500 }, (_, index) =>
      directory({ all: directory({ [`${index}`]: file(`${index}`) }), [`d${index}`]: directory({}) }),
    );
    const { union } = unionOf(trees);
    const all = union.dentry(union.rootIno, 'all' as Name)!.ino;
    const started = process.cpuUsage().user;
    for (let round = 0; round < 100; round++) {
      assert.ok(union.dentry(all, '499' as Name));
      assert.equal(union.dentry(all, 'missing' as Name), undefined);
    }
    assert.equal(union.names(all).length, 500);
    // 100,000 steps of less than a microsecond each, with room for a busy machine.
    assert.ok(process.cpuUsage().user - started < 2_000_000);
  });
});
