/**
 * exportTree, to a directory and to a tar: the exported tree equals the stored one, and every failure has its
 * error.
 */

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { describe, type TestContext, test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { writeFile } from '../../testing/stores/shared-store.ts';
import { exportTree } from '../../testing/trees/export-tree.ts';
import { makeOddTree, seededBytes } from '../../testing/trees/odd-tree.ts';
import { compareTrees, describeHostTree, type TreeDescription } from '../../testing/trees/tree-compare.ts';
import { FsError } from '../base/index.ts';
import { StoreEngine } from '../store/index.ts';
import { createSystem, FaultySystem, type System } from '../sys/index.ts';
import { importTree } from './import.ts';

function oddTree(context: TestContext): string {
  const root = join(scratchDirectory(context), 'tree');
  mkdirSync(root);
  makeOddTree(createSystem(), root);
  return root;
}

async function storeWith(
  context: TestContext,
  root: string,
  system: System = createSystem(),
): Promise<StoreEngine> {
  const engine = await scratchStore(context, { system });
  await importTree(engine, root, { name: 'base' });
  return engine;
}

async function storeWithFiles(context: TestContext, system?: System): Promise<StoreEngine> {
  const root = scratchDirectory(context);
  writeFileSync(join(root, 'a'), 'one');
  writeFileSync(join(root, 'large'), seededBytes(1, 2_000_000));
  mkdirSync(join(root, 'sub'));
  writeFileSync(join(root, 'sub/b'), 'two');
  return await storeWith(context, root, system);
}

function isFsError(code: string, path?: string): (error: unknown) => boolean {
  return (error) =>
    error instanceof FsError && error.code === code && (path === undefined || error.path === path);
}

describe('to a directory', () => {
  test('what comes out equals what went in', { skip: nativeOnly }, async (context) => {
    const root = oddTree(context);
    const engine = await storeWith(context, root);
    const target = join(scratchDirectory(context), 'out');
    const report = await exportTree(engine, 'base', target);
    const expected = describeHostTree(engine.system, root, { holes: true });
    assert.deepEqual(compareTrees(expected, describeHostTree(engine.system, target, { holes: true })), []);
    assert.deepEqual(report.notes, []);
    assert.equal(report.destination, target);
    assert.equal(report.format, 'directory');
    const names = [...expected].filter(([path, entry]) => entry.inode === path);
    assert.equal(report.hardLinks, expected.size - names.length);
    assert.equal(
      report.files + report.directories + report.symlinks + report.specials + report.hardLinks,
      expected.size,
    );
  });

  test('an attribute whose value the host refuses is a note', { skip: nativeOnly }, async (context) => {
    const engine = await scratchStore(context);
    const tree = engine.createEmpty('fork');
    writeFile(tree, '/a', Buffer.from('one'));
    writeFile(tree, '/b', Buffer.from('two'));
    tree.fileSystem.setXattr('/a', 'security.capability', Buffer.from('zz'), 0, false);
    tree.close();
    const target = join(scratchDirectory(context), 'out');
    const { notes } = await exportTree(engine, 'fork', target);
    const message = 'the host did not take the extended attribute security.capability (EINVAL)';
    assert.deepEqual(notes, [{ kind: 'xattr', path: 'fork:/a', message }]);
    assert.deepEqual(readdirSync(target).sort(), ['a', 'b']);
  });

  test('may be there if it is empty; anything else there is refused and left alone', async (context) => {
    const engine = await storeWithFiles(context);
    const scratch = scratchDirectory(context);
    mkdirSync(join(scratch, 'empty'));
    mkdirSync(join(scratch, 'full'));
    writeFileSync(join(scratch, 'full/x'), '');
    writeFileSync(join(scratch, 'file'), 'x');
    await exportTree(engine, 'base', join(scratch, 'empty'));
    assert.deepEqual(readdirSync(join(scratch, 'empty')).sort(), ['a', 'large', 'sub']);
    await assert.rejects(
      exportTree(engine, 'base', join(scratch, 'full')),
      isFsError('ENOTEMPTY', join(scratch, 'full')),
    );
    assert.deepEqual(readdirSync(join(scratch, 'full')), ['x']);
    await assert.rejects(
      exportTree(engine, 'base', join(scratch, 'file')),
      isFsError('ENOTDIR', join(scratch, 'file')),
    );
    const orphan = join(scratch, 'no/parent');
    await assert.rejects(exportTree(engine, 'base', orphan), isFsError('ENOENT', orphan));
  });

  test('that cannot be opened or read fails by name, and no descriptor stays open', async (context) => {
    const system = new FaultySystem(createSystem());
    const engine = await storeWithFiles(context, system);
    const target = join(scratchDirectory(context), 'out');
    const dangling = `${target}-too`;
    mkdirSync(target);
    symlinkSync('nowhere', dangling);
    const before = readdirSync('/proc/self/fd').length;
    const failsTo = async (path: string, code: string, syscall: RegExp): Promise<void> => {
      await assert.rejects(exportTree(engine, 'base', path), (error) => {
        assert.ok(isFsError(code, path)(error) && error instanceof FsError, String(error));
        assert.match(error.syscall ?? '', syscall);
        return true;
      });
      assert.equal(readdirSync('/proc/self/fd').length, before);
    };
    await failsTo(dangling, 'ENOENT', /^statx?$/);
    for (const [failing, code] of [
      ['open', 'EACCES'],
      ['readDirectory', 'EIO'],
    ] as const) {
      system.plan = (operation, _index, path) =>
        operation === failing && path === target ? { kind: 'error', code } : undefined;
      await failsTo(target, code, new RegExp(`^${failing}$`));
    }
  });

  test('of a fork has its changes, even while the fork is open', async (context) => {
    const engine = await storeWithFiles(context);
    const fork = engine.fork('base', 'try');
    fork.fileSystem.unlink('/a');
    fork.fileSystem.makeDirectory('/new', 0o755);
    const scratch = scratchDirectory(context);
    await exportTree(engine, 'try', join(scratch, 'open'));
    assert.equal(fork.isClosed, false);
    fork.close();
    await exportTree(engine, 'try', join(scratch, 'closed'));
    for (const name of ['open', 'closed']) {
      assert.deepEqual(readdirSync(join(scratch, name)).sort(), ['large', 'new', 'sub']);
    }
  });

  test('of a tree that is not there fails before anything is made', async (context) => {
    const engine = await storeWithFiles(context);
    const scratch = scratchDirectory(context);
    await assert.rejects(exportTree(engine, 'nope', join(scratch, 'out')), isFsError('ENOENT', 'nope'));
    assert.deepEqual(readdirSync(scratch), []);
  });

  test('where owners may not be set goes on with one note, and drops set-user-ID', async (context) => {
    const root = scratchDirectory(context);
    writeFileSync(join(root, 'a'), 'x');
    writeFileSync(join(root, 'b'), 'x');
    execFileSync('chmod', ['4755', join(root, 'a')]);
    const system = new FaultySystem(createSystem());
    const engine = await storeWith(context, root, system);
    const fork = engine.fork('base', 'try');
    fork.fileSystem.chown('/a', 4321, 4321, false);
    fork.fileSystem.chmod('/a', 0o4755, false);
    fork.fileSystem.chown('/b', 4321, 4321, false);
    fork.close();
    system.plan = (operation) => (operation === 'chownFile' ? { kind: 'error', code: 'EPERM' } : undefined);
    const target = join(scratchDirectory(context), 'out');
    const report = await exportTree(engine, 'try', target);
    assert.deepEqual(
      report.notes.map(({ kind }) => kind),
      ['owner'],
    );
    assert.equal(statSync(join(target, 'a')).mode & 0o7777, 0o755);
  });

  test('where attributes or nodes are refused goes on, with a note', {
    skip: nativeOnly,
  }, async (context) => {
    const root = oddTree(context);
    const system = new FaultySystem(createSystem());
    const engine = await storeWith(context, root, system);
    system.plan = (operation) => {
      if (operation === 'writeFileXattr') return { kind: 'error', code: 'ENOTSUP' };
      return operation === 'makeNodeAt' ? { kind: 'error', code: 'EPERM' } : undefined;
    };
    const target = join(scratchDirectory(context), 'out');
    const report = await exportTree(engine, 'base', target);
    const kinds = report.notes.map(({ kind }) => kind);
    assert.ok(kinds.includes('xattr') && kinds.includes('special'), String(kinds));
    assert.equal(report.specials, 0);
    const isPlain = ([, entry]: [string, { mode: string }]): boolean =>
      [0o040000, 0o100000, 0o120000].includes(Number.parseInt(entry.mode, 8) & 0o170000);
    const without = (tree: TreeDescription): TreeDescription =>
      new Map([...tree].filter(isPlain).map(([path, entry]) => [path, { ...entry, xattrs: [] }]));
    const expected = without(describeHostTree(engine.system, root));
    assert.deepEqual(compareTrees(expected, without(describeHostTree(engine.system, target))), []);
  });

  test('fails by name when the disk is full or the store is damaged', async (context) => {
    const system = new FaultySystem(createSystem());
    const engine = await storeWithFiles(context, system);
    const scratch = scratchDirectory(context);
    system.plan = (operation, _index, path) =>
      operation === 'pwrite' && path.endsWith('out/large') ? { kind: 'error', code: 'ENOSPC' } : undefined;
    await assert.rejects(
      exportTree(engine, 'base', join(scratch, 'out')),
      isFsError('ENOSPC', join(scratch, 'out/large')),
    );
    await engine.close();
    const again = await StoreEngine.open(engine.directory, { system });
    try {
      system.plan = (operation, _index, path) =>
        operation === 'pread' && path.includes('/blobs/') && !path.endsWith('.sum')
          ? { kind: 'flip', byte: 0, bit: 0 }
          : undefined;
      await assert.rejects(exportTree(again, 'base', join(scratch, 'out2')), isFsError('EIO', 'base:/a'));
    } finally {
      await again.close();
    }
  });
});

test('a file that becomes shorter meanwhile fails by name, to a directory and to a tar', async (context) => {
  const engine = await scratchStore(context);
  const tree = engine.createEmpty('fork');
  writeFile(tree, '/file', Buffer.from('content'));
  context.mock.method(tree.fileSystem, 'read', () => 3);
  for (const target of [join(scratchDirectory(context), 'out'), new PassThrough().resume()])
    await assert.rejects(exportTree(engine, 'fork', target), isFsError('EIO', 'fork:/file'));
  tree.close();
});

describe('to a tar', () => {
  /** Unpacks an archive with GNU tar, which restores owners if it runs as root. */
  function extract(archive: string, target: string): void {
    mkdirSync(target);
    execFileSync('tar', ['--xattrs', '--xattrs-include=*', '-C', target, '-xpf', archive]);
  }

  test('what comes out of it equals what went in', { skip: nativeOnly }, async (context) => {
    const root = oddTree(context);
    const engine = await storeWith(context, root);
    const scratch = scratchDirectory(context);
    const archive = join(scratch, 'tree.tar');
    const report = await exportTree(engine, 'base', archive, { format: 'tar' });
    assert.deepEqual(report.notes, []);
    extract(archive, join(scratch, 'out'));
    const expected = describeHostTree(engine.system, root);
    const actual = describeHostTree(engine.system, join(scratch, 'out'));
    // Only root can set the trusted attributes of the archive.
    assert.deepEqual(compareTrees(expected, actual), []);
  });

  test('a stream gets the same bytes as a file, however slowly it takes them', async (context) => {
    const engine = await storeWithFiles(context);
    const archive = join(scratchDirectory(context), 'tree.tar');
    await exportTree(engine, 'base', archive, { format: 'tar' });
    const pieces: Buffer[] = [];
    const slow = new Writable({
      highWaterMark: 1,
      write(piece: Buffer, _encoding, done) {
        setImmediate(() => {
          pieces.push(Buffer.from(piece));
          done();
        });
      },
    });
    const report = await exportTree(engine, 'base', slow);
    assert.equal(report.destination, '-');
    assert.ok(Buffer.concat(pieces).equals(readFileSync(archive)));
  });

  test('never writes over a file, and no directory to a stream', async (context) => {
    const engine = await storeWithFiles(context);
    const archive = join(scratchDirectory(context), 'tree.tar');
    writeFileSync(archive, 'mine');
    await assert.rejects(
      exportTree(engine, 'base', archive, { format: 'tar' }),
      isFsError('EEXIST', archive),
    );
    assert.equal(statSync(archive).size, 4);
    const stream = new PassThrough();
    await assert.rejects(exportTree(engine, 'base', stream, { format: 'directory' }), isFsError('EINVAL'));
  });

  test('a stream that fails ends the export with its error', async (context) => {
    const engine = await storeWithFiles(context);
    const broken = new Writable({
      write(_piece, _encoding, done) {
        done(new Error('the pipe is broken'));
      },
    });
    await assert.rejects(exportTree(engine, 'base', broken), /the pipe is broken/);
  });

  test('leaves sockets out with a note', async (context) => {
    const engine = await storeWithFiles(context);
    const fork = engine.fork('base', 'try');
    fork.fileSystem.makeNode('/socket', 0o140755, 0);
    const archive = join(scratchDirectory(context), 'tree.tar');
    const report = await exportTree(engine, 'try', archive, { format: 'tar' });
    assert.deepEqual(
      report.notes.map(({ kind, path }) => [kind, path]),
      [['special', 'try:/socket']],
    );
  });
});
