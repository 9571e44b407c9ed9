/** The library as its users see it: stores, forks and snapshots, and their errors. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { HostDirectory } from '../../testing/stores/node-fs-fixture.ts';
import { StoreError } from '../base/index.ts';
import type { Snapshot } from './library.ts';
import { Store } from './library.ts';

/** A store in a temporary directory, with a small project imported as `base`. */
class LibraryFixture implements AsyncDisposable {
  readonly host = new HostDirectory();
  store!: Store;
  base!: Snapshot;

  get directory(): string {
    return join(this.host.path, 'store');
  }

  static async open(): Promise<LibraryFixture> {
    const fixture = new LibraryFixture();
    const project = join(fixture.host.path, 'project');
    mkdirSync(join(project, 'src'), { recursive: true });
    writeFileSync(join(project, 'src', 'a.ts'), 'export const a = 1;\n');
    writeFileSync(join(project, 'large.bin'), Buffer.alloc(3 * 1024 * 1024, 'block'));
    symlinkSync('src/a.ts', join(project, 'link'));
    fixture.store = await Store.open(fixture.directory);
    fixture.base = await fixture.store.import(project, { name: 'base' });
    return fixture;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    this.host[Symbol.dispose]();
  }
}

test('open makes a store by default', async () => {
  using host = new HostDirectory();
  const directory = join(host.path, 'store');
  await assert.rejects(Store.open(directory, { create: false }), (error: unknown) => {
    assert.ok(error instanceof StoreError);
    assert.equal(error.code, 'ERR_STORE_NOT_FOUND');
    return true;
  });
  const store = await Store.open(directory);
  assert.equal(store.directory, directory);
  assert.deepEqual(await store.list(), []);
  await store.close();
  await (await Store.open(directory, { create: false })).close();
});

test('open takes limits of the cache, and refuses wrong ones', async () => {
  using host = new HostDirectory();
  const directory = join(host.path, 'store');
  for (const [cache, code] of [
    [{ inodesMax: 0, namesMax: 100 }, 'ERR_OUT_OF_RANGE'],
    [{ inodesMax: 10, namesMax: 1.5 }, 'ERR_OUT_OF_RANGE'],
    [{ inodesMax: 10 }, 'ERR_INVALID_ARG_TYPE'],
  ] as const) {
    // The cast: what a caller without types may pass.
    await assert.rejects(Store.open(directory, { cache: cache as { inodesMax: number; namesMax: number } }), {
      code,
    });
  }
  await using store = await Store.open(directory, { cache: { inodesMax: 8, namesMax: 16 } });
  const { fs } = await store.createFork({ name: 'fork', lowers: [] });
  for (let index = 0; index < 50; index++) fs.writeFileSync(`/${index}`, `content ${index}`);
  for (let index = 0; index < 50; index++)
    assert.equal(fs.readFileSync(`/${index}`, 'utf8'), `content ${index}`);
  assert.equal(fs.readdirSync('/').length, 50);
});

test('a snapshot can be read but not written to', async () => {
  await using fixture = await LibraryFixture.open();
  const { fs } = fixture.base;
  assert.deepEqual(fs.readdirSync('/'), ['large.bin', 'link', 'src']);
  assert.equal(fs.readFileSync('/link', 'utf8'), 'export const a = 1;\n');
  assert.throws(() => fs.writeFileSync('/src/a.ts', ''), {
    code: 'EROFS',
    message: /^EROFS: read-only file system, open '\/src\/a\.ts'/,
  });
  assert.throws(() => fs.mkdirSync('/new'), { code: 'EROFS', syscall: 'mkdir' });
});

test('forks are independent of each other and of their source', async () => {
  await using fixture = await LibraryFixture.open();
  const { base } = fixture;
  const one = await base.fork('one');
  const two = await base.fork('two');
  one.fs.writeFileSync('/src/a.ts', 'one');
  two.fs.unlinkSync('/link');
  assert.equal(two.fs.readFileSync('/src/a.ts', 'utf8'), 'export const a = 1;\n');
  assert.equal(base.fs.readFileSync('/src/a.ts', 'utf8'), 'export const a = 1;\n');
  assert.ok(one.fs.existsSync('/link') && !two.fs.existsSync('/link'));
  assert.notEqual(one.fs.statSync('/').dev, two.fs.statSync('/').dev);
});

test('forks and snapshots of a fork keep the state that it had when they were made', async () => {
  await using fixture = await LibraryFixture.open();
  const one = await fixture.base.fork('one');
  one.fs.writeFileSync('/new', 'first');
  const kept = await one.snapshot('kept');
  const child = await one.fork('child');
  one.fs.writeFileSync('/new', 'second');
  child.fs.appendFileSync('/new', ' and more');
  assert.equal(kept.fs.readFileSync('/new', 'utf8'), 'first');
  assert.equal(child.fs.readFileSync('/new', 'utf8'), 'first and more');
  assert.equal(one.fs.readFileSync('/new', 'utf8'), 'second');
});

test('diff says what was added, removed and modified', async () => {
  await using fixture = await LibraryFixture.open();
  const fork = await fixture.base.fork('one');
  fork.fs.writeFileSync('/src/ü.ts', '');
  fork.fs.writeFileSync('/src/a.ts', 'changed');
  fork.fs.unlinkSync('/link');
  const found = (await fork.diff()).map(({ kind, path }) => `${kind} ${path}`);
  assert.deepEqual(found.sort(), ['added /src/ü.ts', 'modified /src/a.ts', 'removed /link']);
  const back = (await fixture.base.diff('one')).map(({ kind, path }) => `${kind} ${path}`);
  assert.deepEqual(back.sort(), ['added /link', 'modified /src/a.ts', 'removed /src/ü.ts']);
});

test('a fork is committed, merged, rolled back, and its changes exported', async () => {
  await using fixture = await LibraryFixture.open();
  const { store, base, host } = fixture;
  const project = join(host.path, 'project');
  const one = await base.fork('one');
  one.fs.writeFileSync('/new', 'new');
  one.fs.renameSync('/link', '/src/link');
  const [renamed] = (await one.diff()).filter(({ kind }) => kind === 'renamed');
  assert.deepEqual([renamed?.from, renamed?.path], ['/link', '/src/link']);
  const committed = await one.commit();
  assert.deepEqual([committed.isDone, committed.written, committed.removed], [true, 2, 1]);
  assert.equal(readFileSync(join(project, 'new'), 'utf8'), 'new');
  const { whiteouts } = await one.exportChanges(join(host.path, 'layer.tar'));
  assert.equal(whiteouts, 1);

  const two = await base.fork('two');
  two.fs.writeFileSync('/src/a.ts', 'two');
  const file = two.fs.openSync('/src/a.ts', 'r');
  await assert.rejects(two.merge('one'), { code: 'EBUSY', message: /open or mapped in this process/ });
  two.fs.closeSync(file);
  const merged = await two.merge('one');
  assert.deepEqual([merged.isApplied, merged.conflicts], [true, []]);
  assert.equal(two.fs.readFileSync('/new', 'utf8'), 'new');
  assert.equal(two.fs.readFileSync('/src/a.ts', 'utf8'), 'two');
  one.fs.writeFileSync('/src/a.ts', 'one');
  const refused = await two.merge('one');
  assert.deepEqual(refused.conflicts, [{ path: '/src/a.ts', kind: 'both-modified' }]);
  assert.equal(await two.rollback(merged.keptAs ?? ''), 'two.before-rollback');
  assert.equal(two.fs.existsSync('/new'), false);
  await assert.rejects(two.rollback('nothing'), { code: 'ENOENT' });
  assert.equal(two.fs.readFileSync('/src/a.ts', 'utf8'), 'two');
  assert.ok((await store.fsck({ scrub: true })).isClean);
});

test('trees are opened by name, forks as forks and snapshots as snapshots', async () => {
  await using fixture = await LibraryFixture.open();
  const { store } = fixture;
  const one = await store.createFork({ name: 'one', lowers: ['base'] });
  one.fs.writeFileSync('/kept', 'x');
  await one.close();
  await one.close();
  assert.throws(() => one.fs, { code: 'EBADF' });
  const again = await store.fork('one');
  assert.equal(again.fs.readFileSync('/kept', 'utf8'), 'x');
  assert.deepEqual((await store.list()).map(({ name, kind }) => `${kind} ${name}`).sort(), [
    'fork one',
    'snapshot base',
  ]);
  assert.ok((await store.snapshot('base')).fs.existsSync('/src'));
  await assert.rejects(store.fork('none'), { code: 'ENOENT', path: 'none' });
  await assert.rejects(store.snapshot('none'), { code: 'ENOENT', path: 'none' });
  await assert.rejects(store.fork('base'), { code: 'EINVAL' });
  await assert.rejects(store.snapshot('one'), { code: 'EINVAL' });
  await assert.rejects(store.fork('one'), { code: 'EBUSY' });
  await assert.rejects(store.createFork({ name: 'two', lowers: ['base', 'base'] }), { code: 'EINVAL' });
  await assert.rejects(fixture.base.fork('one'), { code: 'EEXIST' });
  await assert.rejects(fixture.base.fork('a/b'), { code: 'EINVAL' });
});

test('a fork over several lowers shows them merged, and diff finds its changes', async () => {
  await using fixture = await LibraryFixture.open();
  const { store } = fixture;
  const one = await store.createFork({ name: 'one', lowers: ['base'] });
  one.fs.rmSync('/src/a.ts');
  one.fs.writeFileSync('/src/new.ts', 'new');
  await one.close();
  const both = await store.createFork({ name: 'both', lowers: ['one', 'base'] });
  assert.equal(both.fs.readFileSync('/src/new.ts', 'utf8'), 'new');
  // A lower is merged as the tree that it shows: what it removed does not hide files of other lowers.
  assert.ok(both.fs.existsSync('/src/a.ts'));
  both.fs.renameSync('/src', '/moved');
  both.fs.writeFileSync('/moved/new.ts', 'newer');
  const changes = (await both.diff()).map(({ kind, path }) => `${kind} ${path}`);
  assert.ok(changes.includes('renamed /moved') && changes.includes('modified /moved/new.ts'));
  await both.close();
  assert.ok((await store.fsck()).isClean);
});

test('exportChanges exports a fork over a directory, or over several lowers', {
  skip: nativeOnly,
}, async () => {
  await using fixture = await LibraryFixture.open();
  const { store, host } = fixture;
  const project = join(host.path, 'project');
  const other = join(host.path, 'other');
  mkdirSync(other);
  writeFileSync(join(other, 'other'), 'other');
  for (const [name, lowers] of [
    ['over-directory', [project]],
    ['over-several', [other, 'base']],
  ] as const) {
    const fork = await store.createFork({ name, lowers });
    fork.fs.writeFileSync('/src/new', 'new');
    fork.fs.unlinkSync('/link');
    assert.deepEqual((await fork.diff()).map(({ kind, path }) => `${kind} ${path}`).sort(), [
      'added /src/new',
      'removed /link',
    ]);
    const upper = join(host.path, `${name}.upper`);
    const report = await fork.exportChanges(upper, { format: 'overlay' });
    assert.deepEqual([report.files, report.whiteouts], [1, 1], name);
    assert.deepEqual(readdirSync(join(upper, 'src')), ['new']);
    const { source } = store.engine.info(name);
    const again = await fork.exportChanges(join(host.path, `${name}.tar`), { against: source });
    assert.deepEqual([again.files, again.whiteouts], [1, 1], name);
    const second = await fork.fork(`${name}-2`);
    assert.equal((await second.exportChanges(join(host.path, `${name}-2.tar`))).files, 0);
    // Like diff, exportChanges does not compare a fork with a base that only another fork stands on.
    const refused = { code: 'ENOENT', path: source };
    await assert.rejects(second.diff(source), refused);
    await assert.rejects(second.exportChanges(join(host.path, 'no.tar'), { against: source }), refused);
  }
  assert.deepEqual(readdirSync(project), ['large.bin', 'link', 'src'], 'the directory is as it was');
  assert.ok((await store.fsck()).isClean);
});

test('an empty fork can be dropped once it is closed', async () => {
  await using fixture = await LibraryFixture.open();
  const { store } = fixture;
  const empty = await store.createFork({ name: 'empty', lowers: [] });
  assert.deepEqual(empty.fs.readdirSync('/'), []);
  await assert.rejects(store.drop('empty'), { code: 'EBUSY' });
  await empty.close();
  await store.drop('empty');
  await assert.rejects(store.fork('empty'), { code: 'ENOENT' });
  await assert.rejects(store.drop('empty'), { code: 'ENOENT', path: 'empty' });
});

test('import reports what it did, and refuses a taken name and a missing directory', async () => {
  await using fixture = await LibraryFixture.open();
  const { store, host } = fixture;
  let files = 0;
  const project = join(host.path, 'project');
  const onReport = (report: { files: number }): void => {
    files = report.files;
  };
  await store.import(project, { name: 'again', onReport });
  assert.equal(files, 2);
  await assert.rejects(store.import(project, { name: 'again' }), { code: 'EEXIST' });
  await assert.rejects(store.import(join(host.path, 'none'), { name: 'new' }), { code: 'ENOENT' });
});

test('statfs counts the space of the host that holds the store', async () => {
  await using fixture = await LibraryFixture.open();
  const counts = fixture.base.fs.statfsSync('/');
  assert.ok(counts.blocks > 0 && counts.bsize > 0);
  assert.throws(() => fixture.base.fs.statfsSync('/none'), { code: 'ENOENT', syscall: 'statfs' });
});

test('closing the store closes its trees, and keeps what was written', async () => {
  using host = new HostDirectory();
  const directory = join(host.path, 'store');
  const store = await Store.open(directory);
  const fork = await store.createFork({ name: 'fork', lowers: [] });
  const fd = fork.fs.openSync('/file', 'w');
  fork.fs.writeSync(fd, 'still here');
  await store.close();
  assert.throws(() => fork.fs.writeSync(fd, 'too late'), { code: 'EBADF' });
  const again = await Store.open(directory);
  const { fs } = await again.fork('fork');
  assert.equal(fs.readFileSync('/file', 'utf8'), 'still here');
  await again.close();
  assert.ok(statSync(directory).isDirectory());
});

test('gc gives back what was dropped, and fsck finds nothing wrong before or after', async () => {
  await using fixture = await LibraryFixture.open();
  const { store } = fixture;
  const fork = await fixture.base.fork('one');
  fork.fs.writeFileSync('/large', Buffer.alloc(1024 * 1024, 'x'));
  await fork.snapshot('two');
  await fork.close();
  assert.ok((await store.fsck({ scrub: true })).isClean);
  await store.drop('one');
  await store.drop('two');
  assert.ok((await store.gc()).layersRemoved >= 1);
  assert.ok((await store.fsck()).isClean);
  assert.equal(fixture.base.fs.readFileSync('/link', 'utf8'), 'export const a = 1;\n');
});

test('a map is live, by path and by descriptor', async (t) => {
  await using fixture = await LibraryFixture.open();
  if (!fixture.store.engine.system.canMap) {
    t.skip('this platform has no memory maps');
    return;
  }
  const fork = await fixture.base.fork('one');
  const fd = fork.fs.openSync('/large.bin', 'r+');
  const byPath = fork.map('/large.bin', { verify: true });
  const byDescriptor = fork.map(fd);
  assert.equal(byPath.lengthBytes, 3 * 1024 * 1024);
  fork.fs.writeSync(fd, 'written later', 1_000_000);
  for (const view of [byPath, byDescriptor]) {
    assert.equal(Buffer.from(view.bytes.subarray(1_000_000, 1_000_013)).toString(), 'written later');
  }
  const lower = fixture.base.map('/large.bin');
  assert.equal(Buffer.from(lower.bytes.subarray(1_000_000, 1_000_005)).toString(), 'block');
  for (const view of [byPath, byDescriptor, lower]) view.close();
  assert.throws(() => fork.map('/none'), { code: 'ENOENT', path: '/none' });
  assert.throws(() => fork.map('/src'), { code: 'EISDIR', syscall: 'mmap', path: '/src' });
  assert.throws(() => fork.map(12_345), { code: 'EBADF', syscall: 'mmap' });
  for (const number of [-1, 1.5, 2 ** 40, Number.NaN])
    assert.throws(() => fork.map(number), { code: 'ERR_OUT_OF_RANGE', message: /"fd"/ });
});

test('dedupe shares equal files of forks, and reports what it did', async () => {
  await using fixture = await LibraryFixture.open();
  const { store, base } = fixture;
  const bytes = Buffer.from(Array.from({ length: 16 * 4096 }, (_, index) => (index * 7919) >> 5));
  const forks = [await base.fork('one'), await base.fork('two')];
  for (const { fs } of forks) fs.writeFileSync('/new.bin', bytes);
  const states: number[] = [];
  const report = await store.dedupe({
    trees: ['one', 'two'],
    progress: (state) => states.push(state.bytesShared),
  });
  assert.equal(report.filesChanged >= 1 && report.isComplete, true);
  assert.ok(report.bytesUnused >= bytes.length, `${report.bytesUnused} bytes`);
  assert.ok(states.length > 0);
  for (const { fs } of forks) assert.deepEqual(fs.readFileSync('/new.bin'), bytes);
  assert.ok((await store.gc()).bytesFreed > 0);
  assert.equal((await store.fsck({ scrub: true })).isClean, true);
  await assert.rejects(store.dedupe({ trees: ['none'] }), {
    code: 'ENOENT',
    syscall: 'dedupe',
    path: 'none',
  });
});

test('extentSame shares equal ranges, by path or descriptor, and returns a result per destination', async () => {
  await using fixture = await LibraryFixture.open();
  const fork = await fixture.base.fork('fork');
  const { fs } = fork;
  for (const path of ['/a', '/b', '/c']) fs.writeFileSync(path, Buffer.alloc(8192, path === '/c' ? 2 : 1));
  const fd = fs.openSync('/b', 'r+');
  const results = fork.extentSame('/a', 0, 8192, [
    { file: fd, offset: 0 },
    { file: '/c', offset: 0 },
    { file: '/b', offset: 100 },
    { file: '/none', offset: 0 },
  ]);
  fs.closeSync(fd);
  assert.deepEqual(
    results.map(({ status, bytesDeduped }) => [status, bytesDeduped]),
    [
      ['same', 8192],
      ['differs', 0],
      ['error', 0],
      ['error', 0],
    ],
  );
  const codes = results.map((result) =>
    result.status === 'error' ? (result.error as { code: string }).code : '',
  );
  assert.deepEqual(codes.slice(2), ['EINVAL', 'ENOENT']);
  assert.deepEqual(fs.readFileSync('/b'), Buffer.alloc(8192, 1));
  assert.throws(() => fork.extentSame('/src', 0, 4096, []), { code: 'EISDIR', syscall: 'fideduperange' });
  assert.throws(() => fork.extentSame('/none', 0, 4096, []), { code: 'ENOENT' });
  const writeOnly = fs.openSync('/a', 'w');
  assert.throws(() => fork.extentSame(writeOnly, 0, 4096, []), { code: 'EBADF' });
  fs.closeSync(writeOnly);
});

test('a store that is open for reading only shows its trees, and changes nothing', async () => {
  await using fixture = await LibraryFixture.open();
  const writer = await fixture.store.createFork({ name: 'work', lowers: ['base'] });
  writer.fs.writeFileSync('/src/a.ts', 'changed');
  await writer.close();
  const store = await Store.open(fixture.directory, { readOnly: true });
  try {
    const fork = await store.fork('work');
    assert.equal(fork.fs.readFileSync('/src/a.ts', 'utf8'), 'changed');
    assert.throws(() => fork.fs.writeFileSync('/src/a.ts', ''), {
      code: 'EROFS',
      syscall: 'open',
      path: '/src/a.ts',
    });
    mkdirSync(join(fixture.host.path, 'empty'));
    await assert.rejects(fork.mount(join(fixture.host.path, 'empty')), { code: 'EROFS' });
    assert.throws(() => fork.fs.mkdirSync('/new'), { code: 'EROFS', syscall: 'mkdir', path: '/new' });
    await fork.close();
    const snapshot = await store.snapshot('base');
    assert.equal(snapshot.fs.readFileSync('/link', 'utf8'), 'export const a = 1;\n');
    await snapshot.close();
    await assert.rejects(store.createFork({ name: 'new', lowers: ['base'] }), { code: 'EROFS' });
    await assert.rejects(store.import(fixture.directory, { name: 'new' }), { code: 'EROFS' });
  } finally {
    await store.close();
  }
  await assert.rejects(Store.open(join(fixture.directory, 'none'), { readOnly: true }), {
    code: 'ERR_STORE_NOT_FOUND',
  });
});
