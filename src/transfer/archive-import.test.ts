/** Importing archives: what container engines would unpack, and every way in which an archive may be wrong. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { problemsOf } from '../../testing/stores/shared-store.ts';
import { makeOddTree, seededBytes } from '../../testing/trees/odd-tree.ts';
import { type TarPart, tarBytes, ustarBytes } from '../../testing/trees/tar-bytes.ts';
import { compareTrees, describeFileSystem, describeHostTree } from '../../testing/trees/tree-compare.ts';
import { FsError } from '../base/index.ts';
import type { StoreEngine } from '../store/index.ts';
import { collectGarbage } from '../upkeep/index.ts';
import { importTree } from './import.ts';
import type { ImportReport } from './import-report.ts';
import type { ImportOptions } from './tree-import.ts';

type Archive = readonly TarPart[] | Buffer;

function write(context: TestContext, archive: Archive): string {
  const path = join(scratchDirectory(context), 'layer.tar');
  writeFileSync(path, Buffer.isBuffer(archive) ? archive : tarBytes(archive));
  return path;
}

async function take(
  context: TestContext,
  engine: StoreEngine,
  archive: Archive,
  options: Partial<ImportOptions> = {},
): Promise<ImportReport> {
  return await importTree(engine, write(context, archive), { name: 'tree', ...options });
}

/** The mode of each path of a tree, with ' opaque' for opaque directories and ' = PATH' for further names of a file. */
function shown(engine: StoreEngine, name = 'tree'): Record<string, string> {
  const tree = engine.openTree(name);
  const all: Record<string, string> = {};
  for (const [path, entry] of describeFileSystem(tree.fileSystem)) {
    if (path === '') continue;
    const opaque = entry.xattrs.some((xattr) => xattr.startsWith('trusted.overlay.opaque=79'));
    all[path] = `${entry.mode}${opaque ? ' opaque' : ''}${entry.inode === path ? '' : ` = ${entry.inode}`}`;
  }
  tree.close();
  return all;
}

async function refused(
  context: TestContext,
  archive: Archive,
  code: string,
  note: RegExp,
  options: Partial<ImportOptions> = {},
): Promise<void> {
  const engine = await scratchStore(context);
  const codes = new Set([code, ...(note.source.includes('no tar archive') ? ['ENOTDIR'] : [])]);
  const before = engine.list().length;
  await assert.rejects(take(context, engine, archive, options), (error) => {
    assert.ok(error instanceof FsError, String(error));
    assert.ok(codes.has(error.code), error.message);
    assert.match(error.message, note);
    return true;
  });
  assert.equal(engine.list().length, before);
  assert.deepEqual([...engine.tables.layers.entries()], []);
  assert.deepEqual([...engine.tables.blobs.entries()], []);
  assert.deepEqual([...engine.tables.contents.entries()], []);
  assert.deepEqual(engine.blobs.list(), []);
  assert.deepEqual(readdirSync(join(engine.directory, 'journals')), []);
}

describe('an archive by itself', () => {
  test('what GNU tar packs of an odd tree is what the host has', { skip: nativeOnly }, async (context) => {
    const engine = await scratchStore(context);
    const source = join(scratchDirectory(context), 'source');
    mkdirSync(source);
    makeOddTree(engine.system, source);
    writeFileSync(join(source, 'large'), seededBytes(1, 3 * 1024 * 1024 + 17));
    const archive = join(scratchDirectory(context), 'a.tar');
    const flags = ['--format=pax', '--xattrs', '--xattrs-include=*', '--sort=name'];
    execFileSync('tar', [...flags, '-C', source, '-cf', archive, '.']);
    const report = await importTree(engine, archive, { name: 'tree' });
    assert.equal(report.source, archive);
    const tree = engine.openTree('tree');
    // tar leaves sockets out.
    const host = describeHostTree(engine.system, source);
    for (const [path, { mode }] of host) if (mode.startsWith('14')) host.delete(path);
    assert.deepEqual(compareTrees(describeFileSystem(tree.fileSystem), host), []);
    tree.close();
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  });

  test('gzip, old and new header forms, and names that are not UTF-8', async (context) => {
    const engine = await scratchStore(context);
    const long = `${'d'.repeat(120)}/${'e'.repeat(120)}`;
    const old = Buffer.concat([
      // The forms of GNU tar: a long name in a separate member, a size in base 256, and bytes that are not UTF-8.
      ustarBytes({ 0: '././@LongLink', 100: '0000644\0', 124: '00000000401\0', 156: 'L', 257: 'ustar  \0' }),
      Buffer.from(`${long}\0`.padEnd(512, '\0')),
      ustarBytes({
        0: 'cut',
        100: '0000600\0',
        124: Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3]),
        156: '0',
        257: 'ustar  \0',
      }),
      Buffer.from('abc'.padEnd(512, '\0')),
      ustarBytes({ 0: Buffer.from([0xff, 0xfe]), 100: '0000644\0', 156: '\0' }),
      ustarBytes({ 0: 'v7/', 100: '0000711\0', 156: '\0' }),
      ustarBytes({ 0: 'name', 100: '0000644\0', 156: '0', 257: 'ustar\x0000', 345: 'prefix/of' }),
      tarBytes([{ path: '\xfe\xff', target: '\xff', type: 'symlink' }]),
    ]);
    await take(context, engine, gzipSync(old));
    assert.deepEqual(shown(engine), {
      [long.slice(0, 120)]: '40755',
      [long]: '100600',
      prefix: '40755',
      'prefix/of': '40755',
      'prefix/of/name': '100644',
      v7: '40711',
      '\xfe\xff': '120777',
      '\xff\xfe': '100644',
    });
    const tree = engine.openTree('tree');
    assert.equal(tree.fileSystem.readLink('/\xfe\xff'), '\xff');
    tree.close();
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  });

  test('later members replace earlier ones, and symlinks on the way are followed inside', async (context) => {
    const engine = await scratchStore(context);
    await take(context, engine, [
      { path: './' },
      { path: 'a', content: 'one' },
      { path: 'b', type: 'link', target: './a' },
      { path: 'a', content: 'two' },
      { path: 'd/x' },
      { path: 'd', content: 'a file now' },
      { path: 'real/' },
      { path: 'up', type: 'symlink', target: '/../real' },
      { path: 'up/inside', content: 'x' },
      { path: '/abs/./../abs/y' },
      { path: 'dev', type: 'character', deviceMajor: 4097, deviceMinor: 300 },
    ]);
    assert.deepEqual(shown(engine), {
      a: '100644',
      abs: '40755',
      'abs/y': '100644',
      b: '100644',
      d: '100644',
      dev: '20644',
      real: '40755',
      'real/inside': '100644',
      up: '120777',
    });
    const tree = engine.openTree('tree');
    const { rdev } = tree.fileSystem.stat('/dev', true);
    assert.equal(rdev, 0x1000_0010_012c);
    assert.equal(tree.fileSystem.stat('/b', true).nlink, 1);
    tree.close();
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  });

  test('OCI whiteouts become those of an overlay, wherever they come in the archive', async (context) => {
    const engine = await scratchStore(context);
    const report = await take(
      context,
      engine,
      [
        { path: '.wh.gone' },
        { path: '.wh.both' },
        { path: 'both/', mode: 0o700 },
        { path: 'both/new' },
        { path: 'late/new' },
        { path: '.wh.late' },
        { path: 'file' },
        { path: '.wh.file' },
        { path: 'opaque/.wh..wh..opq' },
        { path: 'opaque/new' },
        { path: '.wh..wh.plnk/1.2' },
        { path: '.wh..wh.aufs' },
      ],
      { whiteouts: 'oci' },
    );
    assert.equal(report.whiteouts, 4);
    assert.deepEqual(shown(engine), {
      both: '40700 opaque',
      'both/new': '100644',
      file: '100644',
      gone: '20000',
      late: '40755 opaque',
      'late/new': '100644',
      opaque: '40755 opaque',
      'opaque/new': '100644',
    });
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  });

  test('without the option `whiteouts`, whiteout names and overlay attributes mean nothing', async (context) => {
    const engine = await scratchStore(context);
    await take(context, engine, [{ path: '.wh.a' }, { path: 'd/', xattrs: { 'user.overlay.opaque': 'y' } }]);
    assert.deepEqual(shown(engine), { '.wh.a': '100644', d: '40755' });
  });

  test('attributes that a tree cannot store are left out, each noted once', async (context) => {
    const engine = await scratchStore(context);
    const foreign = { 'com.apple.quarantine': 'q', 'system.nfs4_acl': 'n', 'user.': 'x', 'user.kept': 'k' };
    const report = await take(context, engine, [
      { path: 'd/', xattrs: { 'system.nfs4_acl': 'n' } },
      { path: 'd/first', xattrs: foreign },
      { path: 'd/second', xattrs: { ...foreign, 'user.long': 'x'.repeat(65_537), 'trusted.t': 't' } },
      { path: 'd/link', type: 'symlink', target: 'first', xattrs: { 'user.kept': 'k', 'trusted.t': 't' } },
      { path: 'd/same', type: 'link', target: 'd/first' },
    ]);
    const others = 'it belongs to the filesystem or system that it comes from';
    const noted = [
      ['d/', 'system.nfs4_acl', others],
      ['d/first', 'com.apple.quarantine', others],
      ['d/first', 'user.', others],
      ['d/second', 'user.long', 'its value is longer than 64 KiB'],
      ['d/link', 'user.kept', 'only files and directories can have user.* attributes'],
    ] as const;
    assert.deepEqual(
      report.notes,
      noted.map(([path, name, why]) => {
        return { kind: 'xattr', path, message: `attribute '${name}' left out, here and elsewhere: ${why}` };
      }),
    );
    const tree = engine.openTree('tree');
    const stored = (path: string): string[] => {
      const { stack } = tree.fileSystem;
      // The cast: stat returned this inode number.
      const ino = tree.fileSystem.stat(path, false).ino as Parameters<typeof stack.inode>[0];
      return [...stack.xattrsOf(stack.inode(ino)).keys()];
    };
    assert.deepEqual(['/d', '/d/first', '/d/second', '/d/link'].map(stored), [
      [],
      ['user.kept'],
      ['user.kept', 'trusted.t'],
      ['trusted.t'],
    ]);
    tree.close();
  });

  test('capabilities and ACLs that no host takes are left out with a note', async (context) => {
    const engine = await scratchStore(context);
    const bad = { 'security.capability': 'zz', 'system.posix_acl_access': 'bad' };
    const archive = [
      { path: 'first', xattrs: bad },
      { path: 'second', xattrs: { 'security.capability': `\0\0\0\x02${'\0'.repeat(16)}` } },
    ];
    const { notes } = await take(context, engine, archive);
    const start = 'left out, here and elsewhere: its value is not';
    assert.deepEqual(
      notes.map(({ kind, path, message }) => [kind, path, message]),
      [
        ['xattr', 'first', `attribute 'security.capability' ${start} a valid set of file capabilities`],
        ['xattr', 'first', `attribute 'system.posix_acl_access' ${start} a valid POSIX ACL`],
      ],
    );
    const tree = engine.openTree('tree');
    const names = (path: string) => tree.fileSystem.listXattrs(path, false);
    assert.deepEqual([names('/first'), names('/second')], [[], ['security.capability']]);
    tree.close();
  });

  test('whiteouts and opaque marks of an overlay are stored in one form', async (context) => {
    const engine = await scratchStore(context);
    await take(
      context,
      engine,
      [
        { path: 'd/', xattrs: { 'user.overlay.opaque': 'y', 'user.overlay.origin': 'z', 'user.mine': '1' } },
        { path: 'x/', xattrs: { 'trusted.overlay.opaque': 'x' } },
        { path: 'x/gone', xattrs: { 'trusted.overlay.whiteout': '' } },
        { path: 'x/empty' },
        { path: 'gone', type: 'character' },
      ],
      { whiteouts: 'overlay' },
    );
    const there = shown(engine);
    assert.deepEqual(there, {
      d: '40755 opaque',
      gone: '20000',
      x: '40755',
      'x/empty': '100644',
      'x/gone': '20000',
    });
    const tree = engine.openTree('tree');
    const names = [...describeFileSystem(tree.fileSystem).get('d')!.xattrs].map((one) => one.split('=')[0]);
    assert.deepEqual(names, ['trusted.overlay.opaque', 'user.mine']);
    tree.close();
  });
});

describe('an archive over a tree', () => {
  test('is that tree with the changes, sharing all the rest', async (context) => {
    const engine = await scratchStore(context);
    const base = [
      { path: 'keep', content: 'k' },
      { path: 'a/', mode: 0o711 },
      { path: 'a/one', content: '1' },
      { path: 'a/two', type: 'link', target: 'a/one' },
      { path: 'a/sub/deep/file', content: 'deep' },
      { path: 'o/old' },
      { path: 'o/both', content: 'old' },
      { path: 'turn/inside' },
      { path: 'link', type: 'symlink', target: 'a' },
    ] as const;
    await take(context, engine, base, { name: 'base' });
    const before = shown(engine, 'base');
    const report = await take(
      context,
      engine,
      [
        { path: 'a/.wh.one' },
        { path: 'a/.wh.sub' },
        { path: 'o/.wh..wh..opq' },
        { path: 'o/both', content: 'new' },
        { path: '.wh.absent' },
        { path: 'turn', content: 'a file' },
        { path: 'link/through', content: 't' },
        { path: 'second', type: 'link', target: 'keep' },
      ],
      { over: 'base' },
    );
    assert.equal(report.whiteouts, 3);
    assert.deepEqual(shown(engine), {
      a: '40711',
      'a/through': '100644',
      'a/two': '100644',
      keep: '100644',
      link: '120777',
      o: '40755',
      'o/both': '100644',
      second: '100644 = keep',
      turn: '100644',
    });
    assert.deepEqual(shown(engine, 'base'), before);
    const [one, two] = [engine.openTree('base'), engine.openTree('tree')];
    assert.equal(one.fileSystem.stat('/keep', true).ino, two.fileSystem.stat('/keep', true).ino);
    assert.equal(two.fileSystem.stat('/a/two', true).nlink, 1);
    assert.equal(two.fileSystem.stat('/a', true).nlink, 2);
    assert.equal(two.fileSystem.stat('/', true).nlink, 4);
    one.close();
    two.close();
    assert.equal(engine.info('tree').source, 'base');
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
    engine.drop('base');
    collectGarbage(engine);
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
    assert.equal(Object.keys(shown(engine)).length, 9);
  });

  test('a fork is frozen first; whiteouts mean the same before and after other members', async (context) => {
    const engine = await scratchStore(context);
    await take(context, engine, [{ path: 'd/old' }, { path: 'e/old' }, { path: 'f/g/old' }], {
      name: 'base',
    });
    const fork = engine.fork('base', 'fork');
    fork.fileSystem.makeDirectory('/made', 0o755);
    fork.close();
    await take(
      context,
      engine,
      [
        { path: '.wh.d' },
        { path: 'd/new' },
        { path: 'e/new' },
        { path: '.wh.e' },
        { path: 'f/g/new' },
        { path: 'f/.wh..wh..opq' },
        { path: '.wh.made' },
        { path: 'made/', mode: 0o700 },
      ],
      { over: 'fork' },
    );
    const names = Object.keys(shown(engine));
    assert.deepEqual(names, ['d', 'd/new', 'e', 'e/new', 'f', 'f/g', 'f/g/new', 'made']);
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  });

  test('an archive can be unpacked over a union, whatever inode numbers the union uses', async (context) => {
    const engine = await scratchStore(context);
    await take(context, engine, [{ path: 'd/one' }, { path: 'd/sub/file' }], { name: 'one' });
    await take(context, engine, [{ path: 'd/two' }], { name: 'two' });
    const inner = engine.forkUnion(['one', 'two'], 'inner');
    inner.fileSystem.chmod('/d', 0o700, true);
    inner.close();
    await take(context, engine, [{ path: 'd/three' }], { name: 'three' });
    engine.forkUnion(['three', 'inner'], 'outer').close();
    const parts = [
      { path: 'd/.wh.one' },
      { path: 'd/sub/new' },
      { path: 'd/hard', type: 'link', target: 'd/two' },
    ] as const;
    for (const base of ['inner', 'outer']) {
      await take(context, engine, parts, { name: `over-${base}`, over: base });
      assert.deepEqual(problemsOf(engine, { scrub: true }), []);
    }
    const names = Object.keys(shown(engine, 'over-outer'));
    assert.deepEqual(names, ['d', 'd/hard', 'd/sub', 'd/sub/file', 'd/sub/new', 'd/three', 'd/two']);
  });

  test('a chain of twenty layers is one tree, and stays one when it is flattened', async (context) => {
    const engine = await scratchStore(context);
    await take(context, engine, [{ path: 'all/0' }], { name: 'l0' });
    for (let layer = 1; layer <= 20; layer++) {
      const parts = [
        { path: `all/${layer}` },
        ...(layer % 3 === 0 ? [{ path: `all/.wh.${layer - 1}` }] : []),
      ];
      await take(context, engine, parts, { name: `l${layer}`, over: `l${layer - 1}` });
    }
    const names = Object.keys(shown(engine, 'l20')).length;
    collectGarbage(engine);
    assert.equal(Object.keys(shown(engine, 'l20')).length, names);
    assert.equal(names, 1 + 21 - 6);
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  });

  test('a missing or unsuitable base is refused, and so is a source that is no archive', async (context) => {
    await refused(context, [{ path: 'a' }], 'ENOENT', /no fork or snapshot/, { over: 'nothing' });
    const engine = await scratchStore(context);
    await take(context, engine, [{ path: 'a' }], { name: 'base' });
    engine.forkHost(scratchDirectory(context), 'live', false).close();
    await assert.rejects(take(context, engine, [{ path: 'a' }], { over: 'live' }), { code: 'EINVAL' });
    const over = { name: 'tree', over: 'base' };
    await assert.rejects(importTree(engine, scratchDirectory(context), over), { code: 'EINVAL' });
  });
});

describe('archives that are refused', () => {
  const damaged = (change: (bytes: Buffer) => Buffer) =>
    change(tarBytes([{ path: 'a', content: 'x'.repeat(3000) }, { path: 'b' }]));

  test('paths that lead out of the tree, and names that cannot be', async (context) => {
    await refused(context, [{ path: '../a' }], 'EINVAL', /leads out/);
    await refused(context, [{ path: 'a/../../b' }], 'EINVAL', /leads out/);
    await refused(context, [{ path: 'a', type: 'link', target: '../../b' }], 'EINVAL', /leads out/);
    await refused(context, [{ path: 'n'.repeat(256) }], 'ENAMETOOLONG', /too long/);
    await refused(context, [{ path: 'a' }, { path: 'a/b' }], 'ENOTDIR', /a\/b/);
    await refused(context, [{ path: '.', type: 'file' }], 'EINVAL', /is the root/);
    for (const name of ['.wh.', '.wh..', '.wh...']) {
      await refused(context, [{ path: name }], 'EINVAL', /without a name/, { whiteouts: 'oci' });
    }
    const loop = [{ path: 'l', type: 'symlink', target: 'l' }, { path: 'l/x' }] as const;
    await refused(context, loop, 'ELOOP', /symlinks/);
  });

  test('hard links to files that are not there', async (context) => {
    await refused(context, [{ path: 'a', type: 'link', target: 'b' }], 'EINVAL', /--over/);
    await refused(
      context,
      [{ path: 'd/' }, { path: 'a', type: 'link', target: 'd' }],
      'EINVAL',
      /a directory/,
    );
  });

  test('an archive that ends early, anywhere', async (context) => {
    const whole = damaged((bytes) => bytes);
    for (const length of [1, 511, 512, 1024, 1536, 2000, 4600, 5632, whole.length - 1024]) {
      await refused(context, whole.subarray(0, length), 'EINVAL', /damaged|no tar archive/);
    }
    const zipped = gzipSync(whole);
    for (const length of [5, 20, zipped.length - 9, zipped.length - 1]) {
      await refused(context, zipped.subarray(0, length), 'EINVAL', /damaged|no tar archive/);
    }
    await refused(context, Buffer.alloc(0), 'EINVAL', /no tar archive/);
  });

  test('an archive with a changed byte in a header or in compressed bytes', async (context) => {
    const whole = damaged((bytes) => bytes);
    const flipped = Buffer.from(whole);
    flipped[flipped.length - 1536 + 3]! ^= 1;
    await refused(context, flipped, 'EINVAL', /damaged/);
    const zipped = gzipSync(seededBytes(3, 4000));
    zipped[zipped.length - 6]! ^= 1;
    await refused(context, zipped, 'EINVAL', /damaged|no tar archive/);
    const summed = gzipSync(whole);
    summed[summed.length - 6]! ^= 1;
    await refused(context, summed, 'EINVAL', /damaged/);
  });

  test('unsupported forms: other compressions, sparse files, unknown types, other files', async (context) => {
    await refused(context, Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1, 2]), 'EINVAL', /zstd -d/);
    await refused(context, Buffer.from('BZh91AY'), 'EINVAL', /bzip2/);
    await refused(context, Buffer.from('hello\n'.repeat(200)), 'EINVAL', /no tar archive/);
    const sparse = ustarBytes({ 0: 's', 156: 'S', 257: 'ustar  \0' });
    await refused(context, Buffer.concat([sparse, tarBytes([])]), 'EINVAL', /sparse/);
    const unknown = ustarBytes({ 0: 'u', 156: 'Q' });
    await refused(context, Buffer.concat([unknown, tarBytes([])]), 'EINVAL', /unknown type/);
    const metacopy = [{ path: 'm', xattrs: { 'trusted.overlay.metacopy': '' } }];
    await refused(context, metacopy, 'ENOTSUP', /metacopy/, { whiteouts: 'overlay' });
    const huge = ustarBytes({ 0: 'h', 124: '77777777777\0', 156: 'x' });
    await refused(context, Buffer.concat([huge, tarBytes([])]), 'EINVAL', /extended header/);
  });

  test('paths and targets that no system call takes, and numbers that no file has', async (context) => {
    const nul = { path: 'l', type: 'symlink', target: '\xff\0b' } as const;
    await refused(context, [nul], 'EINVAL', /symlink/);
    await refused(context, [{ path: 'l', type: 'symlink' }], 'EINVAL', /symlink/);
    await refused(context, [{ path: `\xff${'n'.repeat(9)}\0` }], 'EINVAL', /zero byte/);
    await refused(context, [{ path: `${'d/'.repeat(50_000)}` }], 'ENAMETOOLONG', /shorter paths/);
    await refused(
      context,
      [{ path: 'l', type: 'symlink', target: 'x'.repeat(4096) }],
      'ENAMETOOLONG',
      /target/,
    );
    // Each path is short, but the tree would be deep.
    const half = 'd/'.repeat(1500);
    const deep = [
      { path: half },
      { path: 'l', type: 'symlink', target: half.slice(0, -1) },
      { path: `l/${half}` },
    ] as const;
    await refused(context, deep, 'ENAMETOOLONG', /shorter paths/);
    await refused(context, [{ path: 'u', uid: 2 ** 32 }], 'EINVAL', /user 4294967296/);
    await refused(context, [{ path: 'g', gid: 2 ** 32 - 1 }], 'EINVAL', /group 4294967295/);
    const field = (bytes: readonly number[]): Buffer => Buffer.from(bytes);
    const numbers: readonly [at: number, field: Buffer | string, note: RegExp][] = [
      [124, field([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), /size is -1/],
      [124, field([0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), /size is/],
      [108, field([0xff, 0, 0, 0, 0, 0, 0, 0]), /uid is/],
      [329, field([0x80, 0, 0, 0, 0, 0x40, 0, 0]), /is device/],
      [124, '12345678z\0', /size is "12345678z"/],
    ];
    for (const [at, bytes, note] of numbers) {
      const header = ustarBytes({ 0: 'n', 156: at === 329 ? '3' : '0', 257: 'ustar\x0000', [at]: bytes });
      await refused(context, Buffer.concat([header, tarBytes([])]), 'EINVAL', note);
    }
  });

  test('archives that exceed the given bounds; the message names the option', async (context) => {
    const three = [{ path: 'a' }, { path: 'b/c', content: 'x'.repeat(5000), xattrs: { 'user.a': 'y' } }];
    await refused(context, three, 'EFBIG', /--max-entries/, { maxEntries: 2 });
    await refused(context, three, 'EFBIG', /--max-bytes/, { maxBytes: 5006 });
    const engine = await scratchStore(context);
    await take(context, engine, three, { maxEntries: 3, maxBytes: 5007 });
    // A member that replaces an earlier one does not count twice.
    const again = Array.from({ length: 50 }, (_, index) => ({
      path: index % 2 === 0 ? 'a/' : 'a',
      mode: 0o755,
    }));
    await take(context, engine, again, { name: 'again', maxEntries: 1 });
    assert.deepEqual(shown(engine, 'again'), { a: '100755' });
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
    const header = (flag: string, body: string): Buffer =>
      Buffer.concat([
        ustarBytes({ 0: 'h', 124: `${body.length.toString(8).padStart(11, '0')}\0`, 156: flag }),
        Buffer.from(body.padEnd(Math.ceil(body.length / 512) * 512, '\0')),
      ]);
    const record = (key: string, length: number): string => {
      const rest = ` ${key}=${'v'.repeat(length)}\n`;
      const own = rest.length + String(rest.length + 6).length;
      return `${own}${rest}`;
    };
    const comments = header('g', record('comment', 30_000));
    const globals = Buffer.concat([comments, comments, comments, tarBytes([{ path: 'a' }])]);
    await refused(context, globals, 'EINVAL', /global extended headers/);
    const large = header('x', record('comment', 9_000_000));
    await refused(context, Buffer.concat([large, large, tarBytes([])]), 'EINVAL', /extended headers of one/);
  });

  test('an import that is cancelled', async (context) => {
    const parts = Array.from({ length: 3000 }, (_, index) => ({ path: `f${index}`, content: `${index}` }));
    await refused(context, parts, 'ECANCELED', /import/, { signal: AbortSignal.abort() });
  });
});

describe('zeros of an archive', () => {
  const MEBIBYTE = 1024 * 1024;

  test('are holes, wherever they are in a file', async (context) => {
    const engine = await scratchStore(context);
    const data = seededBytes(5, 40_000);
    const contents = new Map([
      ['zeros', Buffer.alloc(3 * MEBIBYTE + 5)],
      ['small-zeros', Buffer.alloc(100_000)],
      ['small', Buffer.concat([data, Buffer.alloc(200_000), data, Buffer.alloc(70_000), data])],
      ['small-again', Buffer.concat([data, Buffer.alloc(200_000), data, Buffer.alloc(70_000), data])],
      ['large', Buffer.concat([Buffer.alloc(MEBIBYTE), data, Buffer.alloc(2 * MEBIBYTE), data])],
      ['end', Buffer.concat([data, Buffer.alloc(2 * MEBIBYTE)])],
      ['short', Buffer.alloc(5000)],
    ]);
    const report = await take(
      context,
      engine,
      [...contents].map(([path, content]) => ({ path, content })),
    );
    const tree = engine.openTree('tree');
    const blocks: Record<string, number> = {};
    for (const [path, content] of contents) {
      const file = tree.fileSystem.open(`/${path}`, 0, 0);
      const bytes = Buffer.alloc(content.length + 1);
      assert.equal(tree.fileSystem.read(file, bytes, 0, bytes.length, 0), content.length, path);
      assert.ok(bytes.subarray(0, -1).equals(content), path);
      tree.fileSystem.close(file);
      blocks[path] = tree.fileSystem.stat(`/${path}`, false).blocks / 8;
    }
    assert.deepEqual(blocks, {
      zeros: 0,
      'small-zeros': 0,
      small: 32,
      'small-again': 32,
      large: 21,
      end: 10,
      short: 0,
    });
    assert.ok(report.storedBytes < 300_000, String(report.storedBytes));
    tree.close();
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  });

  test('do not make checksums of their own where there are very many of them', async (context) => {
    const engine = await scratchStore(context);
    const [zeros, data] = [Buffer.alloc(80 * MEBIBYTE), seededBytes(6, 4096)];
    await take(context, engine, [
      { path: 'f', content: Buffer.concat([zeros, data, zeros.subarray(0, 9), data]) },
    ]);
    const tree = engine.openTree('tree');
    const bytes = Buffer.alloc(data.length);
    const file = tree.fileSystem.open('/f', 0, 0);
    tree.fileSystem.read(file, bytes, 0, bytes.length, zeros.length + data.length + 9);
    assert.ok(bytes.equals(data));
    tree.close();
    for (const [, { lengthBlocks }] of engine.tables.blobs.entries()) assert.ok(lengthBlocks <= 3);
    assert.deepEqual(problemsOf(engine, { scrub: true }), []);
  });
});

test('memory does not grow with what an archive unpacks to', { skip: nativeOnly }, async (context) => {
  const scratch = scratchDirectory(context);
  const archive = join(scratch, 'a.tgz');
  const value = 'x'.repeat(60_000);
  const parts = Array.from({ length: 2000 }, (_, index) => ({
    path: `f${index}`,
    xattrs: { 'user.a': value },
  }));
  writeFileSync(archive, gzipSync(tarBytes(parts)));
  const child = fileURLToPath(new URL('../../testing/trees/import-memory-child.js', import.meta.url));
  const grownBytes = Number(execFileSync(process.execPath, [child, join(scratch, 'store'), archive]));
  // The archive holds 120 MB of attributes.
  assert.ok(grownBytes < 80e6, `${grownBytes} bytes`);
});

test('a directory can be imported as a layer with OCI whiteouts', async (context) => {
  const engine = await scratchStore(context);
  const source = join(scratchDirectory(context), 'source');
  execFileSync('mkdir', ['-p', `${source}/both`, `${source}/opaque`]);
  for (const name of ['.wh.gone', '.wh.both', 'both/new', 'opaque/.wh..wh..opq', '.wh..wh.aufs']) {
    writeFileSync(join(source, name), '');
  }
  const report = await importTree(engine, source, { name: 'tree', whiteouts: 'oci' });
  assert.equal(report.whiteouts, 1);
  const modes = shown(engine);
  assert.deepEqual(Object.keys(modes), ['both', 'both/new', 'gone', 'opaque']);
  assert.equal(modes.gone, '20000');
  assert.match(modes.both ?? '', /opaque/);
  assert.match(modes.opaque ?? '', /opaque/);
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
});
