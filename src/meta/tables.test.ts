/** The tables: records read back as they were put, transactions, damage, other processes, full disks. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { open } from 'lmdb';
import { fileNames, inodeRecords, inoNumbers, layerNumbers } from '../../testing/stores/arbitrary-rows.ts';
import {
  AssertionError,
  type BlobId,
  type BlockIndex,
  CHUNK_BLOCKS,
  checksum64,
  chunkOf,
  type Ino,
  type LayerId,
  type Name,
  type Run,
  StoreError,
} from '../base/index.ts';
import type { BlobRecord } from './blob-format.ts';
import type { InodeRecord } from './inode-format.ts';
import { KeyWriter, TABLE } from './key-format.ts';
import type { LayerRecord } from './layer-format.ts';
import { MetaTables } from './tables.ts';
import type { TreeRecord } from './tree-format.ts';

const root = mkdtempSync(join(tmpdir(), 'ramet-tables-'));
after(() => rmSync(root, { recursive: true }));
const freshDirectory = () => mkdtempSync(join(root, 'meta-'));

const L1 = 1 as LayerId;
const L2 = 2 as LayerId;
const ino = (number: number) => number as Ino;
const blob = (number: number) => number as BlobId;
const name = (text: string) => text as Name;

async function withTables(use: (tables: MetaTables) => void | Promise<void>): Promise<void> {
  const tables = MetaTables.open(freshDirectory());
  try {
    await use(tables);
  } finally {
    await tables.close();
  }
}

const INODE: InodeRecord = {
  mode: 0o100644,
  uid: 1000,
  gid: 100,
  nlink: 1,
  size: 5,
  rdev: 0,
  extentLayer: 0,
  xattrLayer: 0,
  blocks: 1,
  atimeSeconds: 1,
  atimeNanoseconds: 2,
  mtimeSeconds: 3,
  mtimeNanoseconds: 4,
  ctimeSeconds: 5,
  ctimeNanoseconds: 6,
  birthSeconds: 7,
  birthNanoseconds: 8,
  parent: ino(0),
  target: '',
};

const u64 = fc.maxSafeNat();
const seconds = fc.maxSafeInteger();
const nanoseconds = fc.integer({ min: 0, max: 999_999_999 });
/** Plain objects, like those that the tables return; by default fast-check makes some without a prototype. */
function plainRecord<T>(model: { [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<T> {
  return fc.record<T>(model, { noNullPrototype: true });
}
const timespec = plainRecord({ seconds, nanoseconds });
const blobId = fc.integer({ min: 1, max: 2 ** 48 }) as fc.Arbitrary<number> as fc.Arbitrary<BlobId>;

const layerArbitrary: fc.Arbitrary<LayerRecord> = plainRecord({
  state: fc.constantFrom('building', 'writable', 'frozen'),
  parent: layerNumbers,
  root: inoNumbers,
  activeBlob: u64 as fc.Arbitrary<BlobId>,
  inoNext: fc.nat(),
  inoEnd: fc.nat(),
  generation: u64,
  appliedSequence: u64,
  depth: u64,
  created: timespec,
  frozenAt: fc.option(timespec, { nil: undefined }),
  unsealedBlobs: fc.array(blobId),
  droppedEpoch: fc.constantFrom(undefined, 1, 300),
});

const treeArbitrary: fc.Arbitrary<TreeRecord> = plainRecord({
  kind: fc.constantFrom('fork', 'snapshot'),
  layer: layerNumbers,
  root: inoNumbers,
  created: timespec,
  source: fc.string({ unit: 'grapheme' }),
  id: u64,
});

const blobArbitrary: fc.Arbitrary<BlobRecord> = plainRecord({
  kind: fc.constantFrom('packed', 'own', 'active'),
  state: fc.constantFrom('building', 'active', 'frozen', 'sealed'),
  layer: layerNumbers,
  lengthBlocks: u64,
  lengthBytes: u64,
  created: timespec,
});

/** Runs in order of their logical blocks, with gaps; several runs may name the same blob. */
const runsArbitrary: fc.Arbitrary<Run[]> = fc
  .array(
    fc.record({
      gap: fc.oneof(fc.nat(3), fc.nat(3000)),
      count: fc.oneof(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 5000 })),
      blob: fc.integer({ min: 1, max: 3 }),
      physical: fc.integer({ min: 0, max: 2 ** 40 }),
      isAdjacent: fc.boolean(),
    }),
    { maxLength: 40 },
  )
  .map((parts) => {
    let logical = 0;
    let physical = 0;
    return parts.map((part) => {
      logical += part.gap;
      physical = part.isAdjacent ? physical : part.physical;
      const run = {
        logical: logical as BlockIndex,
        count: part.count,
        blob: blob(part.blob),
        physical: physical as BlockIndex,
      };
      logical += part.count;
      physical += part.count;
      return run;
    });
  });

function putRuns(tables: MetaTables, layer: LayerId, of: Ino, runs: readonly Run[]): void {
  for (const chunk of new Set(runs.map((run) => chunkOf(run.logical)))) {
    tables.extents.putChunk(
      layer,
      of,
      chunk,
      runs.filter((run) => chunkOf(run.logical) === chunk),
    );
  }
}

test('property: every kind of record comes back as it was put', async () => {
  await withTables((tables) => {
    const xattrs = fc.uniqueArray(fc.tuple(fileNames, fc.uint8Array({ maxLength: 9000 })), {
      selector: ([key]) => key,
      maxLength: 4,
    });
    fc.assert(
      fc.property(
        inoNumbers,
        inodeRecords,
        layerArbitrary,
        treeArbitrary,
        blobArbitrary,
        runsArbitrary,
        xattrs,
        (number, inode, layer, tree, blobRecord, runs, attributes) => {
          const values = new Map(attributes.map(([key, value]) => [key, Buffer.from(value)]));
          tables.transaction(() => {
            tables.extents.removeAll(L1, number);
            tables.inodes.put(L1, number, inode);
            tables.layers.put(L1, layer);
            tables.trees.put('tree', tree);
            tables.blobs.put(blob(1), blobRecord);
            putRuns(tables, L1, number, runs);
            tables.xattrs.put(L1, number, values);
          });
          assert.deepEqual(tables.inodes.get(L1, number), inode);
          assert.deepEqual(tables.layers.unchecked(L1), layer);
          assert.deepEqual(tables.trees.get('tree'), tree);
          assert.deepEqual(tables.blobs.get(blob(1)), blobRecord);
          assert.deepEqual(tables.extents.load(L1, number), runs.length === 0 ? undefined : runs);
          assert.deepEqual(tables.xattrs.get(L1, number), values);
        },
      ),
      { numRuns: 60 },
    );
  });
});

test('contents, counters, dropped space and orphans come back as they were put', async () => {
  await withTables((tables) => {
    const hash = Buffer.alloc(32, 0xab);
    const content = { blob: blob(4), physical: 9, sizeBytes: 77 };
    const dropped = {
      epoch: 3,
      ranges: [
        { start: 0, end: 2 },
        { start: 5, end: 6 },
      ],
    };
    tables.transaction(() => {
      tables.contents.put(hash, 77, content);
      tables.dropped.put(blob(4), dropped);
      tables.dropped.put(blob(5), { epoch: 4, ranges: [] });
      tables.orphans.put(L1, ino(8));
      tables.orphans.put(L2, ino(9));
      tables.counters.put('epoch', 12);
    });
    assert.deepEqual(tables.contents.get(hash, 77), content);
    assert.equal(tables.contents.get(hash, 78), undefined);
    assert.deepEqual([...tables.contents.entries()], [{ hash, sizeBytes: 77, content }]);
    assert.deepEqual(
      [...tables.dropped.entries()],
      [
        [4, dropped],
        [5, { epoch: 4, ranges: [] }],
      ],
    );
    assert.deepEqual([...tables.orphans.inos(L1)], [8]);
    assert.deepEqual([...tables.orphans.inos(L1)], [8]);
    assert.equal(tables.counters.get('epoch'), 12);
    tables.transaction(() => {
      assert.equal(tables.contents.remove(hash, 77), true);
      assert.equal(tables.dropped.remove(blob(4)), true);
      assert.equal(tables.orphans.remove(L1, ino(8)), true);
      assert.equal(tables.orphans.remove(L1, ino(8)), false);
    });
    assert.equal(tables.contents.get(hash, 77), undefined);
    assert.equal(tables.dropped.get(blob(4)), undefined);
    assert.deepEqual([...tables.orphans.inos(L1)], []);
  });
});

test('invalid records are refused when they are put', async () => {
  await withTables((tables) => {
    const run = { logical: 0 as BlockIndex, count: 1, blob: blob(1), physical: 0 as BlockIndex };
    const put = (chunk: number, ...runs: Run[]) =>
      assert.throws(
        () => tables.transaction(() => tables.extents.putChunk(L1, ino(1), chunk, runs)),
        AssertionError,
      );
    put(1, run);
    put(0, run, run);
    put(0, { ...run, count: 0 });
    put(0, { ...run, blob: blob(0) });
    put(0, { ...run, logical: CHUNK_BLOCKS as BlockIndex });
    const overlapping = {
      epoch: 1,
      ranges: [
        { start: 0, end: 3 },
        { start: 2, end: 4 },
      ],
    };
    assert.throws(() => tables.transaction(() => tables.dropped.put(blob(1), overlapping)), AssertionError);
    for (const name of ['', 'é'.repeat(128)]) {
      assert.equal(tables.trees.get(name), undefined, 'nobody has such a name');
      assert.throws(() => tables.transaction(() => tables.trees.remove(name)), AssertionError);
    }
    assert.throws(() => tables.contents.get(Buffer.alloc(31), 0), AssertionError);
  });
});

test('property: dentries agree with a map, in byte order, by layer and directory', async () => {
  await withTables((tables) => {
    const model = new Map<string, number>();
    const step = plainRecord({
      layer: fc.constantFrom(L1, L2),
      directory: fc.integer({ min: 1, max: 3 }) as fc.Arbitrary<number> as fc.Arbitrary<Ino>,
      name: fc
        .uint8Array({ minLength: 1, maxLength: 2, min: 0x61, max: 0xff })
        .map((b) => Buffer.from(b).toString('latin1')),
      ino: fc.option(fc.integer({ min: 1, max: 100 })),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
        tables.transaction(() => {
          for (const { layer, directory, name: text, ino: number } of steps) {
            const key = `${layer}/${directory}/${text}`;
            if (number === null) {
              assert.equal(tables.dentries.remove(layer, directory, name(text)), model.delete(key));
            } else {
              tables.dentries.put(layer, directory, name(text), { ino: ino(number), kind: 8 });
              model.set(key, number);
            }
          }
        });
        for (const layer of [L1, L2]) {
          for (const directory of [1, 2, 3]) {
            const prefix = `${layer}/${directory}/`;
            const names = [...model.keys()]
              .filter((key) => key.startsWith(prefix))
              .map((key) => key.slice(prefix.length))
              .sort((a, b) => (a < b ? -1 : 1));
            assert.deepEqual(tables.dentries.names(layer, ino(directory)), names);
            assert.deepEqual(
              tables.dentries.list(layer, ino(directory)),
              names.map((text) => ({ name: text, dentry: { ino: model.get(prefix + text), kind: 8 } })),
            );
            for (const text of names) {
              const dentry = tables.dentries.get(layer, ino(directory), name(text));
              assert.equal(dentry?.ino, model.get(prefix + text));
            }
          }
        }
        const inLayer = [...tables.dentries.entries(L1)].length;
        assert.equal(inLayer, [...model.keys()].filter((key) => key.startsWith('1/')).length);
      }),
      { numRuns: 40 },
    );
  });
});

test('extents of neighbouring files do not mix, and forLayer gives each file once with all its runs', async () => {
  await withTables((tables) => {
    const runs = (...logicals: number[]): Run[] =>
      logicals.map((logical) => ({
        logical: logical as BlockIndex,
        count: 2,
        blob: blob(1),
        physical: logical as BlockIndex,
      }));
    const first = runs(0, 10, CHUNK_BLOCKS, 5 * CHUNK_BLOCKS + 3);
    const second = runs(7 * CHUNK_BLOCKS);
    tables.transaction(() => {
      putRuns(tables, L1, ino(5), first);
      putRuns(tables, L1, ino(6), second);
      putRuns(tables, L2, ino(5), second);
    });
    assert.deepEqual(tables.extents.load(L1, ino(5)), first);
    assert.deepEqual(tables.extents.load(L1, ino(6)), second);
    assert.equal(tables.extents.load(L1, ino(4)), undefined);
    assert.deepEqual(
      [...tables.extents.forLayer(L1)],
      [
        { ino: 5, runs: first },
        { ino: 6, runs: second },
      ],
    );
    assert.deepEqual([...tables.extents.forLayer(3 as LayerId)], []);
    // Reading other rows during a scan must not disturb it.
    const seen = [];
    for (const { ino: number, runs: found } of tables.extents.forLayer(L1)) {
      tables.extents.load(L2, ino(5));
      seen.push([number, found.length]);
    }
    assert.deepEqual(seen, [
      [5, 4],
      [6, 1],
    ]);
    tables.transaction(() => {
      assert.equal(tables.extents.removeChunk(L1, ino(5), 1), true);
      assert.equal(tables.extents.removeChunk(L1, ino(5), 2), false);
      tables.extents.removeAll(L1, ino(6));
    });
    assert.deepEqual(tables.extents.load(L1, ino(5)), runs(0, 10, 5 * CHUNK_BLOCKS + 3));
    assert.equal(tables.extents.load(L1, ino(6)), undefined);
    assert.deepEqual(tables.extents.load(L2, ino(5)), second);
  });
});

test('entries() lists layers, trees, blobs and inodes in the order of their keys', async () => {
  await withTables((tables) => {
    const time = { seconds: 1, nanoseconds: 0 };
    const tree: TreeRecord = { kind: 'fork', layer: L1, root: ino(1), created: time, source: '', id: 1 };
    const record: BlobRecord = {
      kind: 'own',
      state: 'sealed',
      layer: L1,
      lengthBlocks: 1,
      lengthBytes: 5,
      created: time,
    };
    const numbers = [300, 2, 256, 1];
    tables.transaction(() => {
      for (const number of numbers) {
        tables.trees.put(`ü${number}`, { ...tree, id: number });
        tables.blobs.put(blob(number), { ...record, lengthBlocks: number });
        tables.inodes.put(L2, ino(number), { ...INODE, size: number });
        tables.xattrs.put(L2, ino(number), new Map([['user.x', Buffer.of(number % 256)]]));
      }
    });
    const sorted = [1, 2, 256, 300];
    assert.deepEqual(
      [...tables.trees.entries()].map(([text, { id }]) => [text, id]),
      sorted.map((number) => [`ü${number}`, number]).sort(),
    );
    assert.deepEqual(
      [...tables.blobs.entries()].map(([id, { lengthBlocks }]) => [id, lengthBlocks]),
      sorted.map((number) => [number, number]),
    );
    assert.deepEqual(
      [...tables.inodes.entries(L2)],
      sorted.map((number) => [number, { ...INODE, size: number }]),
    );
    assert.deepEqual([...tables.inodes.inos(L2)], sorted);
    assert.deepEqual(
      [...tables.xattrs.entries(L2)].map(([number]) => number),
      sorted,
    );
    tables.transaction(() => {
      assert.deepEqual([tables.trees.remove('ü1'), tables.trees.remove('ü1')], [true, false]);
      assert.equal(tables.blobs.remove(blob(1)), true);
      assert.equal(tables.xattrs.remove(L2, ino(1)), true);
      assert.equal(tables.inodes.remove(L2, ino(1)), true);
      assert.equal(tables.layers.remove(L1), false);
    });
    assert.equal(tables.trees.get('ü1'), undefined);
    assert.equal(tables.blobs.get(blob(1)), undefined);
    assert.equal(tables.xattrs.get(L2, ino(1)), undefined);
    assert.equal(tables.inodes.get(L2, ino(1)), undefined);
  });
});

test('removeLayerRows removes all rows of one layer, and no others', async () => {
  await withTables((tables) => {
    const fill = (layer: LayerId) => {
      for (let number = 1; number <= 10; number++) {
        tables.inodes.put(layer, ino(number), INODE);
        tables.dentries.put(layer, ino(1), name(`n${number}`), { ino: ino(number), kind: 8 });
        tables.extents.putChunk(layer, ino(number), 0, []);
        tables.xattrs.put(layer, ino(number), new Map());
        tables.orphans.put(layer, ino(number));
      }
    };
    tables.transaction(() => {
      fill(L1);
      fill(L2);
    });
    assert.deepEqual([...tables.dentries.directories(L1)], [1]);
    tables.removeLayerRows(L1);
    assert.deepEqual([[...tables.inodes.inos(L1)], [...tables.dentries.directories(L1)]], [[], []]);
    assert.equal([...tables.inodes.inos(L2)].length, 10);
    assert.equal(tables.figures().rowCount, 50);
  });
});

test('a slice tells its work when its time is up', async () => {
  await withTables((tables) => {
    let lookCount = 0;
    tables.slice((isSpent) => {
      while (!isSpent()) lookCount++;
      tables.inodes.put(L1, ino(1), INODE);
    });
    // The clock of these tables advances by a microsecond each time it is read.
    assert.equal(lookCount, 4999);
    assert.deepEqual(tables.inodes.get(L1, ino(1)), INODE);
    assert.throws(
      () =>
        tables.slice(() => {
          tables.inodes.remove(L1, ino(1));
          throw new Error('stop');
        }),
      /stop/,
    );
    assert.deepEqual(tables.inodes.get(L1, ino(1)), INODE, 'a slice that throws changes nothing');
  });
});

test('each number is given out once, in ranges, also across a reopen and an abort', async () => {
  const directory = freshDirectory();
  let tables = MetaTables.open(directory);
  assert.equal(
    tables.transaction(() => tables.allocate('nextBlob')),
    1,
  );
  assert.equal(
    tables.transaction(() => tables.allocate('nextBlob', 10)),
    2,
  );
  assert.equal(
    tables.transaction(() => tables.allocate('nextLayer')),
    1,
  );
  assert.throws(() =>
    tables.transaction(() => {
      tables.allocate('nextBlob', 5);
      throw new Error('no');
    }),
  );
  await tables.close();
  tables = MetaTables.open(directory);
  assert.equal(
    tables.transaction(() => tables.allocate('nextBlob')),
    12,
  );
  assert.equal(tables.counters.get('epoch'), 0);
  assert.throws(() => tables.allocate('nextBlob'), AssertionError);
  assert.throws(() => tables.transaction(() => tables.allocate('nextBlob', 0)), AssertionError);
  await tables.close();
});

test('a transaction that throws changes nothing and passes the error on', async () => {
  await withTables((tables) => {
    tables.transaction(() => tables.inodes.put(L1, ino(1), INODE));
    const failure = new Error('mine');
    assert.throws(
      () =>
        tables.transaction(() => {
          tables.inodes.put(L1, ino(1), { ...INODE, size: 99 });
          tables.inodes.put(L1, ino(2), INODE);
          assert.equal(tables.inodes.get(L1, ino(1))?.size, 99);
          throw failure;
        }),
      (error) => error === failure,
    );
    assert.equal(tables.isInTransaction, false);
    assert.deepEqual(tables.inodes.get(L1, ino(1)), INODE);
    assert.equal(tables.inodes.get(L1, ino(2)), undefined);
    assert.equal(
      tables.transaction(() => tables.isInTransaction),
      true,
    );
  });
});

test('a nested transaction belongs to the outer one, and its error cannot be swallowed', async () => {
  await withTables((tables) => {
    assert.throws(() =>
      tables.transaction(() => {
        tables.transaction(() => tables.inodes.put(L1, ino(1), INODE));
        throw new Error('outer');
      }),
    );
    assert.equal(tables.inodes.get(L1, ino(1)), undefined);
    assert.throws(
      () =>
        tables.transaction(() => {
          tables.inodes.put(L1, ino(1), INODE);
          assert.throws(() =>
            tables.transaction(() => {
              throw new Error('inner');
            }),
          );
        }),
      AssertionError,
    );
    assert.equal(tables.inodes.get(L1, ino(1)), undefined);
    tables.transaction(() => tables.inodes.put(L1, ino(1), INODE));
    assert.deepEqual(tables.inodes.get(L1, ino(1)), INODE);
  });
});

test('changes outside a transaction, and transactions that are not synchronous, are refused', async () => {
  await withTables((tables) => {
    assert.throws(() => tables.inodes.put(L1, ino(1), INODE), AssertionError);
    assert.throws(() => tables.inodes.remove(L1, ino(1)), AssertionError);
    assert.throws(() => tables.transaction(async () => tables.inodes.put(L1, ino(1), INODE)), AssertionError);
    assert.equal(tables.inodes.get(L1, ino(1)), undefined);
  });
});

test('after close everything fails with ERR_STORE_CLOSED', async () => {
  const tables = MetaTables.open(freshDirectory());
  await tables.close();
  await tables.close();
  const closed = { code: 'ERR_STORE_CLOSED' };
  assert.throws(() => tables.inodes.get(L1, ino(1)), closed);
  assert.throws(() => tables.dentries.names(L1, ino(1)), closed);
  assert.throws(() => [...tables.inodes.inos(L1)], closed);
  assert.throws(() => [...tables.inodes.entries(L1)], closed);
  assert.throws(() => tables.extents.load(L1, ino(1)), closed);
  assert.throws(() => tables.transaction(() => undefined), closed);
  assert.throws(() => tables.renew(), closed);
  assert.throws(() => tables.figures(), closed);
});

test('commits of another process are seen after renew', async () => {
  const directory = freshDirectory();
  const tables = MetaTables.open(directory);
  tables.transaction(() => tables.inodes.put(L1, ino(1), INODE));
  assert.equal(tables.inodes.get(L1, ino(2)), undefined);
  const module = new URL('./tables.js', import.meta.url).href;
  const program = `
    const { MetaTables } = await import(${JSON.stringify(module)});
    const tables = MetaTables.open(${JSON.stringify(directory)});
    const inode = tables.inodes.get(1, 1);
    tables.transaction(() => tables.inodes.put(1, 2, { ...inode, size: 1234 }));
    process.kill(process.pid, 'SIGKILL');`;
  assert.throws(
    () => execFileSync(process.execPath, ['--input-type=module', '-e', program], { stdio: 'pipe' }),
    { signal: 'SIGKILL' },
  );
  tables.renew();
  assert.equal(tables.inodes.get(L1, ino(2))?.size, 1234);
  await tables.close();
});

/** Changes one stored value with LMDB itself, without the tables. */
async function changeValue(directory: string, key: Buffer, change: (value: Buffer) => Buffer): Promise<void> {
  const raw = open<Buffer, Buffer>({
    path: directory,
    noSubdir: false,
    keyEncoding: 'binary',
    encoding: 'binary',
  });
  raw.transactionSync(() => {
    const value = raw.getBinary(key);
    assert.ok(value !== undefined);
    raw.putSync(key, change(Buffer.from(value)));
  });
  await raw.close();
}

const inodeKey = (layer: number, number: number) =>
  Buffer.from(new KeyWriter().start(TABLE.inode).u64(layer).u64(number).view());

/** Accepts ERR_STORE_CORRUPT whose message matches `words`. */
function isCorrupt(words: RegExp): (error: unknown) => boolean {
  return (error) =>
    error instanceof StoreError && error.code === 'ERR_STORE_CORRUPT' && words.test(error.message);
}

test('every flipped bit of a row is found; the error names the row, and other rows stay readable', async () => {
  const directory = freshDirectory();
  let tables = MetaTables.open(directory);
  tables.transaction(() => {
    for (let number = 1; number <= 3; number++) tables.inodes.put(L1, ino(number), INODE);
  });
  await tables.close();
  const valueBytes = 112 + 8;
  for (let at = 0; at < valueBytes; at += 7) {
    const flip = (value: Buffer) => {
      assert.equal(value.length, valueBytes);
      value[at]! ^= 1 << (at % 8);
      return value;
    };
    await changeValue(directory, inodeKey(1, 2), flip);
    tables = MetaTables.open(directory);
    const words = /inode row of layer 1, inode 2 is damaged: its checksum is wrong/;
    assert.throws(() => tables.inodes.get(L1, ino(2)), isCorrupt(words), `byte ${at}`);
    assert.throws(() => [...tables.inodes.entries(L1)], isCorrupt(words));
    assert.deepEqual(tables.inodes.get(L1, ino(1)), INODE);
    assert.deepEqual(tables.inodes.get(L1, ino(3)), INODE);
    await tables.close();
    await changeValue(directory, inodeKey(1, 2), flip);
  }
});

test('a row under another key, a cut row and a large damaged row are found', async () => {
  const directory = freshDirectory();
  let tables = MetaTables.open(directory);
  tables.transaction(() => {
    tables.inodes.put(L1, ino(1), INODE);
    tables.inodes.put(L1, ino(2), { ...INODE, size: 2 });
    tables.inodes.put(L1, ino(3), INODE);
    tables.xattrs.put(L1, ino(4), new Map([['user.x', Buffer.alloc(60_000, 7)]]));
  });
  await tables.close();
  let moved: Buffer = Buffer.alloc(0);
  await changeValue(directory, inodeKey(1, 1), (value) => {
    moved = value;
    return value;
  });
  await changeValue(directory, inodeKey(1, 2), () => moved);
  await changeValue(directory, inodeKey(1, 3), (value) => value.subarray(0, 5));
  const xattrKey = Buffer.from(new KeyWriter().start(TABLE.xattr).u64(1).u64(4).view());
  await changeValue(directory, xattrKey, (value) => {
    value[30_000]! ^= 1;
    return value;
  });
  tables = MetaTables.open(directory);
  assert.throws(() => tables.inodes.get(L1, ino(2)), isCorrupt(/inode 2/));
  assert.throws(() => tables.inodes.get(L1, ino(3)), isCorrupt(/inode 3/));
  assert.throws(() => tables.xattrs.get(L1, ino(4)), isCorrupt(/xattr row of layer 1, inode 4/));
  assert.deepEqual(tables.inodes.get(L1, ino(1)), INODE);
  await tables.close();
});

test('a row that makes no sense is damage even if its checksum is right', async () => {
  const directory = freshDirectory();
  let tables = MetaTables.open(directory);
  tables.transaction(() => {
    tables.counters.put('epoch', 1);
    tables.inodes.put(L1, ino(1), INODE);
    tables.dentries.put(L1, ino(1), name('a'), { ino: ino(1), kind: 8 });
  });
  await tables.close();
  const sealed = (key: Buffer, payload: Buffer) => {
    const sum = Buffer.alloc(8);
    sum.writeBigUInt64LE(checksum64(Buffer.concat([key, payload])));
    return Buffer.concat([payload, sum]);
  };
  const counterKey = Buffer.from(new KeyWriter().start(TABLE.counter).name('epoch').view());
  const dentryKey = Buffer.from(new KeyWriter().start(TABLE.dentry).u64(1).u64(1).name('a').view());
  await changeValue(directory, counterKey, () => sealed(counterKey, Buffer.alloc(9)));
  await changeValue(directory, inodeKey(1, 1), () => sealed(inodeKey(1, 1), Buffer.alloc(20)));
  await changeValue(directory, dentryKey, () => sealed(dentryKey, Buffer.alloc(8)));
  tables = MetaTables.open(directory);
  assert.throws(
    () => tables.counters.get('epoch'),
    isCorrupt(/counter row 'epoch' is damaged: 1 bytes too many/),
  );
  assert.throws(() => tables.inodes.get(L1, ino(1)), isCorrupt(/too short/));
  assert.throws(() => tables.dentries.get(L1, ino(1), name('a')), isCorrupt(/dentry record has 8 bytes/));
  await tables.close();
});

/** A filesystem of one MiB, or the reason why none can be mounted. */
function smallDisk(): { readonly path: string; unmount(): void } | string {
  if (process.getuid?.() !== 0) return 'needs root, to mount a small tmpfs';
  const path = freshDirectory();
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'none', path], { stdio: 'pipe' });
  } catch {
    return 'a tmpfs cannot be mounted here';
  }
  return { path, unmount: () => execFileSync('umount', ['-l', path]) };
}

test('a full disk is ENOSPC: the transaction changes nothing, and the tables stay usable', async (context) => {
  const disk = smallDisk();
  if (typeof disk === 'string') {
    context.skip(disk);
    return;
  }
  const tables = MetaTables.open(disk.path);
  const fill = (layer: number) =>
    tables.transaction(() => {
      for (let number = 1; number <= 2000; number++) tables.inodes.put(layer as LayerId, ino(number), INODE);
    });
  try {
    fill(1);
    assert.throws(
      () => {
        for (let layer = 2; layer < 10; layer++) fill(layer);
      },
      { code: 'ENOSPC', path: disk.path },
    );
    const layers = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(
      (layer) => [...tables.inodes.inos(layer as LayerId)].length,
    );
    assert.deepEqual(
      layers.filter((count) => count !== 0 && count !== 2000),
      [],
    );
    assert.ok(layers.includes(0));
    tables.removeLayerRows(L1);
    assert.equal(tables.inodes.get(L1, ino(2000)), undefined);
  } finally {
    await tables.close();
    disk.unmount();
  }
});
