/** Reading directories in pieces while they change, by READDIR and READDIRPLUS. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type FuseKernel, Op, pack, ROOT, scratchKernel, u32, u64 } from '../../testing/fuse/fuse-kernel.ts';
import { writeFile } from '../../testing/stores/shared-store.ts';
import type { Ino, Name } from '../base/index.ts';
import { Inode } from '../layer/index.ts';
import type { InodeRecord } from '../meta/index.ts';
import { indexAfter, ListingCache, makeListing } from './directory-listing.ts';

type Change =
  | { readonly kind: 'create' | 'remove' | 'rename'; readonly name: number }
  | { readonly kind: 'drop' | 'checkpoint' | 'forget' };

interface Step {
  readonly size: number;
  readonly isPlus: boolean;
  readonly changes: readonly Change[];
}

const step: fc.Arbitrary<Step> = fc.record({
  size: fc.integer({ min: 430, max: 1500 }),
  isPlus: fc.boolean(),
  changes: fc.array(
    fc.oneof(
      fc.record({ kind: fc.constantFrom('create', 'remove', 'rename'), name: fc.nat(19) }),
      fc.record({ kind: fc.constantFrom('drop', 'checkpoint', 'forget') }),
    ),
    { maxLength: 4 },
  ),
});

/** Changes names that begin with `moving`, and leaves the others alone. */
function apply(kernel: FuseKernel, directory: number, change: Change, nodes: Map<number, number>): void {
  const { fileSystem, stack } = kernel.tree;
  switch (change.kind) {
    case 'create':
      kernel.send(Op.MKNOD, directory, pack(u32(0o100644, 0, 0, 0), `moving-${change.name}`));
      break;
    case 'remove':
      kernel.send(Op.UNLINK, directory, pack(`moving-${change.name}`));
      break;
    case 'rename':
      kernel.send(
        Op.RENAME,
        directory,
        pack(u64(directory), `moving-${change.name}`, `moving-${(change.name + 7) % 20}`),
      );
      break;
    case 'drop':
      kernel.session.listings.clear();
      stack.dropNames(Number.POSITIVE_INFINITY);
      break;
    case 'forget':
      for (const [node, count] of nodes) kernel.forget(node, count);
      nodes.clear();
      fileSystem.stack.dropInodes(Number.POSITIVE_INFINITY);
      break;
    case 'checkpoint':
      kernel.tree.checkpoint();
  }
}

describe('a directory that is read in pieces', () => {
  it('shows names that stay exactly once, and no name twice, whatever else changes', async (context) => {
    const stayed = Array.from({ length: 25 }, (_, index) => `staying-${index}${'x'.repeat(index)}`);
    const { kernel } = await scratchKernel(context, (tree) => {
      tree.fileSystem.makeDirectory('/d', 0o755);
      for (const name of stayed) writeFile(tree, `/d/${name}`, Buffer.from(name));
      for (let index = 0; index < 10; index++) writeFile(tree, `/d/moving-${index}`, Buffer.from('m'));
    });
    const directory = kernel.lookup(ROOT, 'd');
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), (steps) => {
        const seen: string[] = [];
        const nodes = new Map<number, number>();
        let cookie = 0;
        for (let index = 0; ; index++) {
          const { size, isPlus, changes } = steps[index % steps.length]!;
          const entries = kernel.readDirectory(directory, cookie, size, isPlus);
          if (entries.length === 0) break;
          for (const entry of entries) {
            assert.ok(entry.cookie > cookie, 'cookies ascend');
            cookie = entry.cookie;
            seen.push(entry.name);
            if (entry.node !== 0) nodes.set(entry.node, (nodes.get(entry.node) ?? 0) + 1);
          }
          for (const change of changes) apply(kernel, directory, change, nodes);
        }
        for (const [node, count] of nodes) kernel.forget(node, count);
        assert.equal(new Set(seen.filter((name) => name.startsWith('staying'))).size, stayed.length);
        // A file that is renamed meanwhile may be listed under both of its names, but no name is listed twice.
        assert.equal(new Set(seen).size, seen.length, 'no name comes twice');
        assert.deepEqual(seen.slice(0, 2), ['.', '..']);
      }),
      { numRuns: 150 },
    );
    kernel.forget(directory);
  });

  it('has inode numbers and kinds, and in READDIRPLUS nodes and attributes', async (context) => {
    const { kernel } = await scratchKernel(context, (tree) => {
      tree.fileSystem.makeDirectory('/d', 0o755);
      tree.fileSystem.symlink('a', '/s');
      writeFile(tree, '/a', Buffer.from('a'));
    });
    const plain = kernel.readDirectory(ROOT, 0, 4096, false);
    const { rootIno } = kernel.tree.stack;
    const kinds = Object.fromEntries(plain.map(({ name, kind }) => [name, kind]));
    assert.deepEqual(kinds, { '.': 4, '..': 4, a: 8, d: 4, s: 10 });
    assert.equal(kernel.session.knownCount, 0);
    const plus = kernel.readDirectory(ROOT, 0, 4096, true);
    assert.deepEqual(
      plus.map((entry) => ({ ...entry, node: 0 })),
      plain,
    );
    for (const { name, ino, node } of plus) assert.equal(node, name.startsWith('.') ? 0 : ino, name);
    assert.equal(kernel.session.knownCount, 3, '`.` and `..` do not count');
    const [self, parent] = kernel.readDirectory(kernel.lookup(ROOT, 'd'), 0, 4096, false);
    assert.deepEqual([self?.ino, parent?.ino], [kernel.lookup(ROOT, 'd'), rootIno]);
  });

  it('continues after any cookie, returns nothing at the end, and counts only entries that fit', async (context) => {
    const { kernel } = await scratchKernel(context, (tree) => {
      for (const name of ['a', 'b', 'c']) writeFile(tree, `/${name}`, Buffer.from('a'));
    });
    const all = kernel.readDirectory(ROOT, 0, 4096, false);
    for (const [index, { cookie }] of all.entries())
      assert.deepEqual(kernel.readDirectory(ROOT, cookie, 4096, false), all.slice(index + 1));
    assert.deepEqual(kernel.readDirectory(ROOT, Number.MAX_SAFE_INTEGER, 4096, false), []);
    assert.equal(kernel.readDirectory(ROOT, 0, 2 * 160 + 100, true).length, 2);
    assert.equal(kernel.session.knownCount, 0);
    assert.equal(kernel.readDirectory(ROOT, 0, 3 * 160, true).length, 3);
    assert.equal(kernel.session.knownCount, 1);
    assert.deepEqual(kernel.readDirectory(ROOT, 0, 31, false), [], 'no entry fits');
  });

  it('has only `.` and `..` after it was removed; inodes of other types cannot be read', async (context) => {
    const { kernel } = await scratchKernel(context, (tree) => writeFile(tree, '/a', Buffer.from('a')));
    const gone = kernel.mkdir(ROOT, 'gone');
    kernel.ask(Op.RMDIR, ROOT, pack('gone'));
    assert.deepEqual(
      kernel.readDirectory(gone, 0, 4096, false).map(({ name }) => name),
      ['.', '..'],
    );
    const args = pack(u64(0, 0), u32(4096, 0), u64(0), u32(0, 0));
    for (const opcode of [Op.READDIR, Op.READDIRPLUS]) {
      assert.equal(kernel.fails(opcode, kernel.lookup(ROOT, 'a'), args), 'ENOTDIR');
      assert.equal(kernel.fails(opcode, 999, args), 'ESTALE');
      assert.equal(kernel.fails(opcode, ROOT, args.subarray(1)), 'EINVAL');
    }
  });
});

function directoryInode(): Inode {
  // The listing uses only its version.
  return new Inode(7 as Ino, { mode: 0o040755 } as InodeRecord);
}

describe('a listing', () => {
  it('puts names with equal hashes one after another', () => {
    const names = ['b', 'a', 'd', 'c'] as Name[];
    const hashes: Record<string, number> = { a: 10, b: 10, c: 11, d: 5 };
    const listing = makeListing(directoryInode(), names, (name) => hashes[name]!);
    assert.deepEqual(listing.names, ['d', 'a', 'b', 'c']);
    assert.deepEqual([...listing.cookies], [5, 10, 11, 12]);
    assert.deepEqual(
      [0, 5, 9, 10, 11, 12, 13].map((cookie) => indexAfter(listing, cookie)),
      [0, 1, 1, 2, 3, 4, 4],
    );
  });

  it('has ascending cookies, above those of `.` and `..`, that depend on nothing but the names', () => {
    const names = Array.from({ length: 5000 }, (_, index) => `name-${index}` as Name);
    const listing = makeListing(directoryInode(), names);
    let last = 2;
    for (const cookie of listing.cookies) {
      assert.ok(cookie > last && Number.isSafeInteger(cookie));
      last = cookie;
    }
    const half = makeListing(
      directoryInode(),
      names.filter((_, index) => index % 2 === 0),
    );
    const places = new Map(listing.names.map((name, index) => [name, listing.cookies[index]]));
    for (const [index, name] of half.names.entries()) assert.equal(half.cookies[index], places.get(name));
  });

  it('is kept until the directory changes or other listings need the space', () => {
    const cache = new ListingCache(4);
    let reads = 0;
    const read = (count: number) => () => {
      reads++;
      return Array.from({ length: count }, (_, index) => `${index}` as Name);
    };
    const [one, two] = [directoryInode(), directoryInode()];
    const first = cache.get(one, read(3));
    assert.equal(cache.get(one, read(3)), first);
    assert.equal(reads, 1);
    one.namesVersion++;
    assert.notEqual(cache.get(one, read(3)), first);
    assert.equal(reads, 2);
    cache.get(two, read(3));
    cache.get(one, read(3));
    assert.equal(reads, 4, 'the older of two listings was dropped');
    cache.get(two, read(9));
    cache.get(two, read(9));
    assert.equal(reads, 5, 'one listing is kept, however long');
    cache.clear();
    cache.get(two, read(9));
    assert.equal(reads, 6);
  });
});
