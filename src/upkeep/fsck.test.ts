/** Each fsck pass, on a store with just the damage that it must find. */
import assert from 'node:assert/strict';
import {
  closeSync,
  openSync,
  readFileSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { test } from 'node:test';
import { patternBytes, SharedStore, writeFile } from '../../testing/stores/shared-store.ts';
import { BLOCK_SIZE, type BlobId, type Ino, type LayerId, type Name } from '../base/index.ts';
import type { StoreEngine } from '../store/index.ts';
import { checkStore, type FsckReport } from './fsck.ts';
import { collectGarbage } from './gc.ts';

/** A snapshot with two files, and its fork in which one of them is changed and one is new; all closed. */
async function sample(scratch: SharedStore): Promise<StoreEngine> {
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  one.fileSystem.makeDirectory('/d', 0o755);
  writeFile(one, '/d/a', patternBytes(5000, 1));
  writeFile(one, '/d/b', patternBytes(BLOCK_SIZE * 3, 2));
  one.fileSystem.setXattr('/d/a', 'user.x', Buffer.from('value'), 0, true);
  one.fileSystem.symlink('a-target-to-find', '/d/link');
  engine.snapshot('one', 'base');
  writeFile(one, '/d/b', patternBytes(100, 3));
  writeFile(one, '/new', patternBytes(6000, 4));
  one.close();
  collectGarbage(engine);
  assert.equal(checkStore(engine, { scrub: true }).isClean, true);
  return engine;
}

function complaining(report: FsckReport): string[] {
  assert.equal(report.isClean, !report.passes.some(({ problems }) => problems.length > 0));
  return report.passes.filter(({ problems }) => problems.length > 0).map(({ name }) => name);
}

/** Damages the sample, and expects that only this pass finds a problem, which matches `pattern`. */
async function expectOnly(
  pass: string,
  pattern: RegExp,
  damage: (engine: StoreEngine, at: Places) => void,
  options: { readonly scrub?: boolean } = {},
): Promise<void> {
  await using scratch = new SharedStore();
  const engine = await sample(scratch);
  damage(engine, placesOf(engine));
  const report = checkStore(engine, options);
  assert.deepEqual(complaining(report), [pass]);
  const { problems } = report.passes.find(({ name }) => name === pass)!;
  assert.match(problems.join('\n'), pattern);
  assert.deepEqual(report.skipped, []);
}

interface Places {
  readonly upper: LayerId;
  readonly lower: LayerId;
  readonly directory: Ino;
  /** The inode of /d/a, which is only in the lower layer. */
  readonly a: Ino;
  readonly blob: BlobId;
  readonly blobFile: string;
}

function placesOf(engine: StoreEngine): Places {
  const { tables } = engine;
  const upper = engine.info('one').layer;
  const lower = engine.info('base').layer;
  const directory = tables.dentries.get(lower, engine.info('base').root, 'd' as Name)!.ino;
  const a = tables.dentries.get(lower, directory, 'a' as Name)!.ino;
  const { blob } = tables.extents.load(lower, a)![0]!;
  const name = blob.toString(16).padStart(16, '0');
  return {
    upper,
    lower,
    directory,
    a,
    blob,
    blobFile: `${engine.layout.blobsDirectory}/${name.slice(-2)}/${name}`,
  };
}

function change(engine: StoreEngine, run: () => void): void {
  engine.tables.transaction(run);
}

function changeInode(engine: StoreEngine, layer: LayerId, ino: Ino, fields: object): void {
  change(engine, () =>
    engine.tables.inodes.put(layer, ino, { ...engine.tables.inodes.get(layer, ino)!, ...fields }),
  );
}

test('a sound store is clean in every pass, and every pass checks something', async () => {
  await using scratch = new SharedStore();
  const engine = await sample(scratch);
  const report = checkStore(engine, { scrub: true });
  const names = report.passes.map(({ name }) => name);
  assert.deepEqual(names, [
    'rows',
    'trees',
    'layers',
    'filters',
    'links',
    'orphans',
    'extents',
    'references',
    'tails',
    'blobs',
    'counters',
    'sums',
  ]);
  for (const { name, checked } of report.passes) {
    if (name !== 'orphans') assert.ok(checked > 0, `pass ${name} looked at nothing`);
  }
  assert.equal(
    checkStore(engine).passes.some(({ name }) => name === 'sums'),
    false,
  );
});

test('rows: a flipped bit in the tables', async () => {
  await using scratch = new SharedStore();
  await (await sample(scratch)).close();
  const path = `${scratch.directory}/meta/data.mdb`;
  const bytes = readFileSync(path);
  for (let at = bytes.indexOf('a-target-to-find'); at >= 0; at = bytes.indexOf('a-target-to-find', at + 1))
    bytes[at]! ^= 1;
  writeFileSync(path, bytes);
  const report = checkStore(await scratch.open());
  assert.deepEqual(complaining(report), ['rows']);
  assert.match(report.passes[0]!.problems.join('\n'), /inode row of layer 1, inode \d+ is damaged/);
  assert.ok(report.skipped.length > 0, 'the passes that met the row say that they stopped');
});

test('trees: a tree on a layer that is missing', async () => {
  await expectOnly('trees', /'bad' stands on layer 99, which is missing/, (engine) => {
    const record = engine.info('base');
    change(engine, () =>
      engine.tables.trees.put('bad', {
        ...record,
        layer: 99 as LayerId,
        id: engine.tables.allocate('nextTree'),
      }),
    );
  });
});

test('trees: two trees with one id, and two forks with one layer', async () => {
  await expectOnly('trees', /same id[\s\S]*same upper layer/, (engine) => {
    change(engine, () => engine.tables.trees.put('two', engine.info('one')));
  });
});

test('layers: a wrong depth', async () => {
  await expectOnly('layers', /has depth 0/, (engine, { upper }) => {
    change(engine, () => engine.tables.layers.put(upper, { ...engine.tables.layers.get(upper)!, depth: 0 }));
  });
});

test('layers: a tree stands on a layer that gc dropped', async () => {
  await expectOnly('layers', /is dropped/, (engine, { lower }) => {
    change(engine, () => {
      engine.tables.layers.put(lower, { ...engine.tables.layers.get(lower)!, droppedEpoch: 1 });
      engine.tables.counters.put('epoch', 1);
    });
  });
});

test('filters: a name in a directory that the layer has no record of', async () => {
  await expectOnly('filters', /no record of it/, (engine, { upper, lower }) => {
    const { tables } = engine;
    // Gives an inode of the snapshot, which the fork never touched, the name that it already has.
    const { root } = engine.info('base');
    const fork = engine.fork('base', 'other');
    const { layer } = fork.info;
    fork.close();
    assert.notEqual(layer, upper);
    const name = 'd' as Name;
    change(engine, () => tables.dentries.put(layer, root, name, tables.dentries.get(lower, root, name)!));
  });
});

test('filters: attributes that are not in the layer that the inode names', async () => {
  await expectOnly('filters', /attributes of inode/, (engine, { lower, a }) => {
    change(engine, () => engine.tables.xattrs.remove(lower, a));
  });
});

test('links: a wrong link count, in a base layer and above one', async () => {
  await expectOnly('links', /has 1 names and counts 2/, (engine, { lower, a }) => {
    changeInode(engine, lower, a, { nlink: 2 });
  });
  await expectOnly('links', /has 1 names and counts 3/, (engine, { upper, directory }) => {
    const { ino } = engine.tables.dentries.get(1 as LayerId, directory, 'b' as Name)!;
    changeInode(engine, upper, ino, { nlink: 3 });
  });
});

test('links: a name without an inode, and a name with a wrong type', async () => {
  await expectOnly('links', /does not exist/, (engine, { lower, directory }) => {
    change(engine, () =>
      engine.tables.dentries.put(lower, directory, 'z' as Name, { ino: 999_999 as Ino, kind: 8 }),
    );
  });
  await expectOnly('links', /is of type 10/, (engine, { lower, directory, a }) => {
    change(engine, () => engine.tables.dentries.put(lower, directory, 'a' as Name, { ino: a, kind: 10 }));
  });
});

test('links: a directory that names another parent', async () => {
  await expectOnly('links', /says that it lies in/, (engine, { lower, directory, a }) => {
    changeInode(engine, lower, directory, { parent: a });
  });
});

test('orphans: an inode without a name that is not listed', async () => {
  await expectOnly('orphans', /is not listed as an orphan/, (engine, { upper }) => {
    const { root } = engine.info('one');
    const { ino } = engine.tables.dentries.get(upper, root, 'new' as Name)!;
    change(engine, () => engine.tables.dentries.remove(upper, root, 'new' as Name));
    changeInode(engine, upper, ino, { nlink: 0 });
  });
});

test('orphans: a listed inode that does not exist', async () => {
  await expectOnly('orphans', /does not exist/, (engine, { upper }) => {
    change(engine, () => engine.tables.orphans.put(upper, 999_999 as Ino));
  });
});

test('an inode that was open without a name when its process died is freed', async () => {
  await using scratch = new SharedStore();
  const engine = await sample(scratch);
  const { upper } = placesOf(engine);
  const { root } = engine.info('one');
  const { ino } = engine.tables.dentries.get(upper, root, 'new' as Name)!;
  change(engine, () => {
    engine.tables.dentries.remove(upper, root, 'new' as Name);
    engine.tables.orphans.put(upper, ino);
  });
  changeInode(engine, upper, ino, { nlink: 0 });
  assert.deepEqual(complaining(checkStore(engine)), []);
  assert.deepEqual([...engine.tables.orphans.inos(upper)], []);
  assert.equal(engine.tables.inodes.get(upper, ino), undefined);
});

test('extents: a wrong count of blocks, extents beyond the end, and extents that no record names', async () => {
  await expectOnly('extents', /counts 9 blocks/, (engine, { lower, a }) => {
    changeInode(engine, lower, a, { blocks: 9 });
  });
  await expectOnly('extents', /beyond its end/, (engine, { lower, a }) => {
    changeInode(engine, lower, a, { size: BLOCK_SIZE });
  });
  await expectOnly('extents', /that its record does not name/, (engine, { lower, a }) => {
    changeInode(engine, lower, a, { extentLayer: 0, blocks: 0 });
  });
  await expectOnly('extents', /are not in layer 2/, (engine, { upper, lower, a }) => {
    const record = engine.tables.inodes.get(lower, a)!;
    change(engine, () => engine.tables.inodes.put(upper, a, { ...record, extentLayer: upper, blocks: 2 }));
    change(engine, () => engine.tables.inodes.put(upper, a, { ...record, extentLayer: 2 as LayerId }));
    change(engine, () => engine.tables.inodes.remove(upper, a));
    changeInode(engine, lower, a, { extentLayer: 2, blocks: 2 });
    change(engine, () => engine.tables.extents.removeAll(lower, a));
  });
});

test('references: a blob without a row, a block beyond its end, a blob that another layer overwrites', async () => {
  const put = (blob: number | undefined, physical: number): ((engine: StoreEngine, at: Places) => void) => {
    return (engine, { lower, a, upper }) => {
      const target = blob ?? engine.tables.layers.get(upper)!.activeBlob;
      const [run] = engine.tables.extents.load(lower, a)!;
      const moved = {
        ...run!,
        blob: target as BlobId,
        physical: physical as typeof run extends undefined ? never : NonNullable<typeof run>['physical'],
      };
      change(engine, () => engine.tables.extents.putChunk(lower, a, 0, [moved]));
      changeInode(engine, lower, a, { size: BLOCK_SIZE * 2 });
    };
  };
  await expectOnly('references', /which is not recorded/, put(99, 0));
  await expectOnly('references', /which ends at/, (engine, at) => put(at.blob, 500)(engine, at));
  await expectOnly('references', /still overwrites/, put(undefined, 0));
});

test('tails: bytes beyond the end of a file', async () => {
  await expectOnly('tails', /has bytes beyond its end, at 5000/, (engine, { lower, a, blobFile }) => {
    const [run] = engine.tables.extents.load(lower, a)!;
    const fd = openSync(blobFile, 'r+');
    writeSync(fd, 'x', (run!.physical + 1) * BLOCK_SIZE + 5000 - BLOCK_SIZE);
    closeSync(fd);
  });
});

test('blobs: a file that is missing, too short, or without a row', async () => {
  await expectOnly('blobs', /is missing/, (_engine, { blobFile }) => unlinkSync(blobFile));
  await expectOnly('blobs', /bytes, not/, (_engine, { blobFile }) => truncateSync(blobFile, 100_000));
  await expectOnly('blobs', /belongs to nothing/, (engine) => {
    const stray = engine.tables.transaction(() => engine.tables.allocate('nextBlob')) as BlobId;
    engine.blobs.files.create(stray);
  });
});

test('counters: numbers that would be given out twice', async () => {
  for (const name of ['nextLayer', 'nextBlob', 'nextTree', 'nextIno'] as const) {
    await expectOnly('counters', new RegExp(`counter ${name} is 1`), (engine) => {
      change(engine, () => engine.tables.counters.put(name, 1));
    });
  }
  await expectOnly('counters', /a second time/, (engine, { upper }) => {
    const record = engine.tables.layers.get(upper)!;
    change(engine, () => engine.tables.layers.put(upper, { ...record, inoNext: 2 }));
  });
  await expectOnly(
    'counters',
    /counter epoch is 0, but something was dropped in epoch 5/,
    (engine, { blob }) => {
      change(engine, () => {
        engine.tables.dropped.put(blob, { epoch: 5, ranges: [{ start: 90, end: 91 }] });
        engine.tables.counters.put('epoch', 0);
      });
    },
  );
});

test('sums: a flipped bit in a blob, reported with the files of every tree that contain it', async () => {
  const damage = (_engine: StoreEngine, { blobFile }: Places): void => {
    const bytes = readFileSync(blobFile);
    bytes[100]! ^= 1;
    writeFileSync(blobFile, bytes);
  };
  await expectOnly(
    'sums',
    /block 0 of blob \d+: checksum does not match; in base:\/d\/a, one:\/d\/a/,
    damage,
    { scrub: true },
  );
});

test('sums: a sealed blob without its checksums', async () => {
  await expectOnly(
    'sums',
    /has lost its checksums/,
    (engine, { blob, blobFile }) => {
      unlinkSync(`${blobFile}.sum`);
      engine.blobs.setSealed(blob);
    },
    { scrub: true },
  );
});

test('fsck first stores the journal of a dead owner', async () => {
  await using scratch = new SharedStore();
  const { engine, system } = await scratch.openFaulty();
  writeFile(engine.createEmpty('one'), '/a', patternBytes(5000, 1));
  await scratch.crash(engine, system);
  const report = checkStore(await scratch.open(), { scrub: true });
  assert.equal(report.isClean, true);
  assert.deepEqual(report.skipped, []);
});

test('a fork that another process owns is left out, and the report says so', async () => {
  await using scratch = new SharedStore();
  const [a, b] = [await scratch.open(), await scratch.open()];
  const one = a.createEmpty('one');
  writeFile(one, '/a', patternBytes(5000, 1));
  // Damage in the other process's layer is not looked at.
  changeInode(a, one.info.layer, one.info.root, { nlink: 9 });
  const report = checkStore(b);
  assert.equal(report.isClean, true);
  assert.equal(report.skipped.length, 1);
  assert.match(report.skipped[0]!, /^fork one: another process has it open/);
});

test('fsck sees the journal of a tree that is open here', async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const one = engine.createEmpty('one');
  const file = one.fileSystem.open('/a', 0o102, 0o644);
  one.fileSystem.write(file, patternBytes(100, 1), 0, 100, 0);
  one.fileSystem.unlink('/a');
  assert.equal(checkStore(engine).isClean, true);
  one.fileSystem.close(file);
  assert.equal(checkStore(engine).isClean, true);
});
