/**
 * Cases that overlay filesystems get wrong. Each starts with files that exist only in a lower layer: in a fork, in a
 * fork of a fork, and after freezes in between.
 */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import test, { type TestContext } from 'node:test';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import type { StoreEngine, Tree } from '../store/index.ts';
import { O_TMPFILE } from '../sys/index.ts';
import type { FileSystem } from './file-system.ts';
import { RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT } from './namespace.ts';
import type { OpenFile } from './open-file.ts';

const { O_APPEND, O_CREAT, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = constants;

interface Subject {
  readonly engine: StoreEngine;
  readonly fork: Tree;
  readonly fileSystem: FileSystem;
}

function writeText(
  fileSystem: FileSystem,
  path: string,
  text: string,
  flags = O_CREAT | O_WRONLY | O_TRUNC,
): void {
  const file = fileSystem.open(path, flags, 0o644);
  fileSystem.write(file, Buffer.from(text), 0, Buffer.byteLength(text), null);
  fileSystem.close(file);
}

function readText(fileSystem: FileSystem, path: string): string {
  const file = fileSystem.open(path, O_RDONLY, 0);
  try {
    return textOf(fileSystem, file);
  } finally {
    fileSystem.close(file);
  }
}

function textOf(fileSystem: FileSystem, file: OpenFile): string {
  const bytes = Buffer.alloc(1 << 16);
  return bytes.toString('utf8', 0, fileSystem.read(file, bytes, 0, bytes.length, 0));
}

function namesOf(fileSystem: FileSystem, path: string): string[] {
  const names: string[] = fileSystem.readDirectoryNames(path);
  return names.sort();
}

const DEPTHS = [1, 2, 4] as const;

/** A fork of `depth` layers whose lowest layer holds /foo, /dir/bar (one inode with /dir/twin), /dir/sub/deep. */
async function forkOf(context: TestContext, depth: number): Promise<Subject> {
  const engine = await scratchStore(context);
  const base = engine.createEmpty('base-0');
  const { fileSystem } = base;
  writeText(fileSystem, '/foo', 'lower');
  fileSystem.makeDirectory('/dir', 0o755);
  fileSystem.makeDirectory('/dir/sub', 0o755);
  writeText(fileSystem, '/dir/bar', 'bar');
  fileSystem.link('/dir/bar', '/dir/twin', true);
  writeText(fileSystem, '/dir/sub/deep', 'deep');
  fileSystem.setXattr('/foo', 'user.kept', Buffer.from('yes'), 0, true);
  engine.snapshot('base-0', 'lower-1');
  for (let layer = 1; layer < depth; layer++) {
    const fork = engine.fork(`lower-${layer}`, `base-${layer}`);
    writeText(fork.fileSystem, `/layer-${layer}`, String(layer));
    engine.snapshot(`base-${layer}`, `lower-${layer + 1}`);
  }
  const fork = engine.fork(`lower-${depth}`, 'fork');
  return { engine, fork, fileSystem: fork.fileSystem };
}

function overlayTest(name: string, run: (subject: Subject) => void): void {
  for (const depth of DEPTHS) {
    test(`${name} (depth ${depth})`, async (context) => run(await forkOf(context, depth)));
  }
}

const CHANGES: readonly [string, (fileSystem: FileSystem) => void, string][] = [
  ['write', (fs) => writeText(fs, '/foo', 'LOW', O_RDWR), 'LOWer'],
  ['ftruncate', (fs) => fs.truncate('/foo', 2), 'lo'],
  ['O_TRUNC', (fs) => writeText(fs, '/foo', '', O_WRONLY | O_TRUNC), ''],
  ['append', (fs) => writeText(fs, '/foo', '+', O_WRONLY | O_APPEND), 'lower+'],
  [
    'punch',
    (fs) => {
      const file = fs.open('/foo', O_RDWR, 0);
      fs.punch(file, 1, 3);
      fs.close(file);
    },
    'l\0\0\0r',
  ],
];

for (const [what, change, expected] of CHANGES) {
  overlayTest(`a descriptor opened before copy-up sees ${what}`, ({ engine, fileSystem }) => {
    const before = fileSystem.open('/foo', O_RDONLY, 0);
    const ino = fileSystem.statFile(before).ino;
    change(fileSystem);
    assert.equal(textOf(fileSystem, before), expected);
    engine.snapshot('fork', 'between');
    assert.equal(textOf(fileSystem, before), expected);
    writeText(fileSystem, '/foo', 'Z', O_RDWR);
    assert.equal(textOf(fileSystem, before), `Z${expected.slice(1)}`);
    assert.equal(fileSystem.statFile(before).ino, ino);
    assert.equal(fileSystem.stat('/foo', true).ino, ino);
  });
}

overlayTest('identity stays across copy-up, rename and link', ({ engine, fileSystem }) => {
  const { ino, dev } = fileSystem.stat('/dir/bar', true);
  writeText(fileSystem, '/dir/bar', 'changed', O_RDWR);
  fileSystem.rename('/dir/bar', '/moved');
  fileSystem.link('/moved', '/dir/third', true);
  for (const path of ['/moved', '/dir/third', '/dir/twin']) {
    assert.deepEqual([fileSystem.stat(path, true).ino, fileSystem.stat(path, true).dev], [ino, dev]);
    assert.equal(readText(fileSystem, path), 'changed');
    assert.equal(fileSystem.stat(path, true).nlink, 3);
  }
  const entry = fileSystem.readDirectory('/dir').find(({ name }) => name === 'third');
  assert.equal(entry?.ino, ino);
  const other = engine.fork('lower-1', 'other');
  assert.notEqual(other.fileSystem.stat('/foo', true).dev, dev, 'st_dev differs per fork');
  assert.equal(readText(other.fileSystem, '/dir/twin'), 'bar', 'another fork keeps its data');
  assert.equal(other.fileSystem.stat('/dir/twin', true).nlink, 2);
});

overlayTest('an unlinked file stays readable and writable, with no links', ({ engine, fileSystem }) => {
  const file = fileSystem.open('/foo', O_RDWR, 0);
  fileSystem.unlink('/foo');
  assert.equal(fileSystem.statFile(file).nlink, 0);
  fileSystem.write(file, Buffer.from('gone'), 0, 4, 0);
  engine.snapshot('fork', 'while-open');
  assert.equal(textOf(fileSystem, file), 'goner');
  fileSystem.write(file, Buffer.from('G'), 0, 1, 0);
  assert.equal(textOf(fileSystem, file), 'Goner');
  assert.throws(() => fileSystem.stat('/foo', true), { code: 'ENOENT' });
  fileSystem.close(file);
  writeText(fileSystem, '/foo', 'new');
  assert.equal(readText(fileSystem, '/foo'), 'new');
});

overlayTest('whiteouts and new names survive freezes and reopening', ({ engine, fork, fileSystem }) => {
  fileSystem.unlink('/dir/twin');
  fileSystem.rename('/dir/sub', '/sub');
  writeText(fileSystem, '/dir/new', 'new');
  engine.snapshot('fork', 'frozen');
  fileSystem.unlink('/dir/new');
  fork.close();
  const again = engine.openTree('fork').fileSystem;
  assert.deepEqual(namesOf(again, '/dir'), ['bar']);
  assert.equal(again.stat('/dir/bar', true).nlink, 1);
  assert.equal(readText(again, '/sub/deep'), 'deep');
  assert.equal(again.realPath('/sub/../sub/deep'), '/sub/deep');
  assert.deepEqual(namesOf(engine.openTree('frozen').fileSystem, '/dir'), ['bar', 'new']);
});

overlayTest('a lower directory can be renamed and removed, and its name used again', ({ fileSystem }) => {
  const { ino } = fileSystem.stat('/dir', true);
  fileSystem.rename('/dir', '/renamed');
  assert.equal(fileSystem.stat('/renamed', true).ino, ino);
  assert.equal(readText(fileSystem, '/renamed/sub/deep'), 'deep');
  assert.throws(() => fileSystem.removeDirectory('/renamed'), { code: 'ENOTEMPTY' });
  for (const name of ['bar', 'twin', 'sub/deep']) fileSystem.unlink(`/renamed/${name}`);
  fileSystem.removeDirectory('/renamed/sub');
  fileSystem.removeDirectory('/renamed');
  fileSystem.makeDirectory('/renamed', 0o755);
  assert.deepEqual(namesOf(fileSystem, '/renamed'), []);
  assert.throws(() => fileSystem.rename('/renamed', '/renamed/inside'), { code: 'EINVAL' });
});

overlayTest(
  'attributes agree by path and by descriptor; copy-up keeps extended attributes',
  ({ fileSystem }) => {
    const file = fileSystem.open('/foo', O_RDONLY, 0);
    fileSystem.chmod('/foo', 0o600, true);
    assert.equal(fileSystem.statFile(file).mode & 0o7777, 0o600);
    fileSystem.chmodFile(file, 0o640);
    assert.equal(fileSystem.stat('/foo', true).mode & 0o7777, 0o640);
    fileSystem.setTimes('/foo', 'omit', { seconds: 12, nanoseconds: 345_678_901 }, true);
    assert.equal(fileSystem.statFile(file).mtimeNanoseconds, 345_678_901);
    writeText(fileSystem, '/foo', 'up', O_RDWR);
    assert.equal(fileSystem.getXattr('/foo', 'user.kept', true).toString(), 'yes');
    fileSystem.removeXattr('/foo', 'user.kept', true);
    assert.deepEqual(fileSystem.listXattrs('/foo', true), []);
    assert.throws(() => fileSystem.getXattr('/foo', 'user.kept', true), { code: 'ENODATA' });
  },
);

overlayTest('opening for writing without a write changes nothing', ({ fork, fileSystem }) => {
  const before = fileSystem.stat('/foo', true);
  fileSystem.close(fileSystem.open('/foo', O_RDWR, 0));
  assert.deepEqual(fileSystem.stat('/foo', true), before);
  assert.equal(fork.stack.dirty.size, 0);
  assert.equal(fork.stack.upper?.journal.recordCount, 0);
});

overlayTest(
  'atime of a lower file moves under relatime, and stays after reopening',
  ({ engine, fork, fileSystem }) => {
    fileSystem.setTimes('/foo', { seconds: 5, nanoseconds: 0 }, { seconds: 6, nanoseconds: 0 }, true);
    readText(fileSystem, '/foo');
    const { atimeSeconds } = fileSystem.stat('/foo', true);
    assert.ok(atimeSeconds > 6);
    fork.close();
    assert.equal(engine.openTree('fork').fileSystem.stat('/foo', true).atimeSeconds, atimeSeconds);
  },
);

overlayTest('without `keepsAccessTimes` atime stays, and nothing is stored', ({ fork, fileSystem }) => {
  fileSystem.keepsAccessTimes = false;
  const before = fileSystem.stat('/foo', true);
  readText(fileSystem, '/foo');
  fileSystem.readDirectory('/');
  assert.deepEqual(fileSystem.stat('/foo', true), before);
  assert.equal(fork.stack.lazyTimes.size, 0);
  fileSystem.keepsAccessTimes = true;
  readText(fileSystem, '/foo');
  assert.notDeepEqual(fileSystem.stat('/foo', true), before);
});

test('renaming with RENAME_NOREPLACE and RENAME_EXCHANGE', async (context) => {
  const { fileSystem } = await forkOf(context, 2);
  assert.throws(() => fileSystem.rename('/foo', '/dir/bar', RENAME_NOREPLACE), { code: 'EEXIST' });
  assert.throws(() => fileSystem.rename('/foo', '/none', RENAME_EXCHANGE), { code: 'ENOENT' });
  assert.throws(() => fileSystem.rename('/foo', '/dir', RENAME_EXCHANGE | RENAME_NOREPLACE), {
    code: 'EINVAL',
  });
  assert.throws(() => fileSystem.rename('/dir/bar', '/dir', RENAME_EXCHANGE), { code: 'EINVAL' });
  const before = { root: fileSystem.stat('/', true).nlink, dir: fileSystem.stat('/dir', true).nlink };
  fileSystem.rename('/foo', '/dir/sub', RENAME_EXCHANGE);
  assert.equal(readText(fileSystem, '/dir/sub'), 'lower');
  assert.equal(readText(fileSystem, '/foo/deep'), 'deep');
  assert.equal(fileSystem.realPath('/foo/..'), '/');
  assert.equal(fileSystem.stat('/', true).nlink, before.root + 1);
  assert.equal(fileSystem.stat('/dir', true).nlink, before.dir - 1);
});

overlayTest('renaming with RENAME_WHITEOUT leaves a device 0/0', ({ engine, fork, fileSystem }) => {
  const { ino } = fileSystem.stat('/foo', true);
  fileSystem.rename('/foo', '/dir/twin', RENAME_WHITEOUT);
  fileSystem.rename('/dir/sub', '/sub', RENAME_WHITEOUT | RENAME_NOREPLACE);
  assert.throws(() => fileSystem.rename('/foo', '/sub', RENAME_WHITEOUT | RENAME_EXCHANGE), {
    code: 'EINVAL',
  });
  fork.close();
  const again = engine.openTree('fork').fileSystem;
  for (const path of ['/foo', '/dir/sub']) {
    const { mode, rdev, nlink, size } = again.stat(path, false);
    assert.deepEqual([mode, rdev, nlink, size], [0o020000, 0, 1, 0], path);
    assert.throws(() => again.setXattr(path, 'user.a', Buffer.from('b'), 0, false), { code: 'EPERM' });
    assert.throws(() => again.getXattr(path, 'user.a', false), { code: 'ENODATA' });
  }
  assert.equal(again.stat('/dir/twin', true).ino, ino);
  assert.equal(again.stat('/dir/bar', true).nlink, 1);
  assert.equal(readText(again, '/sub/deep'), 'deep');
  assert.equal(again.realPath('/sub/..'), '/');
});

test('a file without a name: O_TMPFILE', async (context) => {
  const { engine, fork, fileSystem } = await forkOf(context, 1);
  const file = fileSystem.open('/dir', O_TMPFILE | O_RDWR, 0o600);
  fileSystem.write(file, Buffer.alloc(8192, 1), 0, 8192, 0);
  assert.equal(fileSystem.statFile(file).nlink, 0);
  fileSystem.close(file);
  assert.throws(() => fileSystem.open('/dir', O_TMPFILE | O_RDONLY, 0o600), { code: 'EINVAL' });
  assert.throws(() => fileSystem.open('/foo', O_TMPFILE | O_RDWR, 0o600), { code: 'ENOTDIR' });
  fork.close();
  assert.deepEqual(namesOf(engine.openTree('fork').fileSystem, '/dir'), ['bar', 'sub', 'twin']);
});

test('a snapshot refuses every change with EROFS and reads as before', async (context) => {
  const { engine } = await forkOf(context, 1);
  const { fileSystem } = engine.openTree('lower-1');
  const file = fileSystem.open('/foo', O_RDONLY, 0);
  const refused: (() => unknown)[] = [
    () => fileSystem.open('/foo', O_RDWR, 0),
    () => fileSystem.open('/new', O_CREAT | O_WRONLY, 0o644),
    () => fileSystem.unlink('/foo'),
    () => fileSystem.makeDirectory('/new', 0o755),
    () => fileSystem.removeDirectory('/dir/sub'),
    () => fileSystem.rename('/foo', '/bar'),
    () => fileSystem.link('/foo', '/bar', true),
    () => fileSystem.symlink('foo', '/bar'),
    () => fileSystem.chmod('/foo', 0o600, true),
    () => fileSystem.chown('/foo', 1, 1, true),
    () => fileSystem.truncate('/foo', 0),
    () => fileSystem.setTimes('/foo', 'now', 'now', true),
    () => fileSystem.setXattr('/foo', 'user.a', Buffer.alloc(1), 0, true),
    () => fileSystem.access('/foo', 2),
  ];
  for (const attempt of refused) assert.throws(attempt, { code: 'EROFS' });
  assert.equal(textOf(fileSystem, file), 'lower');
});
