/** Host trees by descriptor: nothing outside the root is reached, even while directories become symlinks. */
import assert from 'node:assert/strict';
import {
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { atEveryCall, Outside } from '../../testing/host/swapped-directory.ts';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { type FsError, isFsError } from '../base/index.ts';
import { createBufferedSystem, createSystem, type System } from '../sys/index.ts';
import { copyContent, dataOf } from './content.ts';
import { dress, wearerAt, xattrsOf } from './dress.ts';
import { HostFiles } from './host-files.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_WRONLY } = constants;

function open(context: TestContext, system: System, directory: string, keepsDirectories = true): HostFiles {
  const root = system.open(directory, O_RDONLY | O_DIRECTORY);
  const files = new HostFiles(system, directory, root, { keepsDirectories });
  context.after(() => {
    files.end();
    system.close(root);
  });
  return files;
}

function write(files: HostFiles, path: string, text: string): void {
  const file = files.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o600);
  try {
    files.write(file, Buffer.from(text), 0, text.length, 0);
    const wanted = { ...files.statFile(file), mode: 0o100644, mtimeSeconds: 1000, mtimeNanoseconds: 0 };
    dress(files.dressingFile(file), wanted, []);
  } finally {
    files.close(file);
  }
}

function read(files: HostFiles, path: string): string {
  const file = files.open(path, O_RDONLY, 0);
  try {
    const bytes = Buffer.alloc(100);
    return bytes.toString('utf8', 0, files.read(file, bytes, 0, 100, 0));
  } finally {
    files.close(file);
  }
}

for (const system of [createSystem(), createBufferedSystem()]) {
  describe(`files of the host (${system.kind})`, () => {
    test('are made, read, given attributes and removed below the root', (context) => {
      const root = scratchDirectory(context);
      const files = open(context, system, root);
      files.makeDirectory('/sub', 0o700);
      write(files, '/sub/file', 'content');
      files.link('/sub/file', '/second', false);
      files.symlink('file', '/sub/link');
      assert.equal(readFileSync(join(root, 'sub/link'), 'utf8'), 'content');
      assert.equal(files.readLink('/sub/link'), 'file');
      assert.deepEqual(files.readDirectoryNames('/sub').sort(), ['file', 'link']);
      assert.equal(files.stat('/second', false).nlink, 2);
      assert.equal(read(files, '/second'), 'content');
      files.dressing('/sub', constants.S_IFDIR, (wearer) => wearer.chmod(0o750));
      assert.equal(statSync(join(root, 'sub')).mode & 0o7777, 0o750);
      files.dressing('/sub/link', constants.S_IFLNK, (wearer) =>
        wearer.setTimes({ seconds: 5, nanoseconds: 0 }, { seconds: 6, nanoseconds: 0 }),
      );
      assert.equal(files.stat('/sub/link', false).mtimeSeconds, 6);
      assert.equal(files.stat('/sub/file', false).mtimeSeconds, 1000);
      files.rename('/sub', '/moved');
      files.unlink('/moved/file');
      files.unlink('/moved/link');
      files.removeDirectory('/moved');
      assert.deepEqual(readdirSync(root), ['second']);
      assert.equal(files.tryStat('/moved/file', false), undefined);
      files.setTimes('/', { seconds: 7, nanoseconds: 0 }, { seconds: 8, nanoseconds: 0 }, false);
      assert.equal(statSync(root).mtimeMs, 8000);
      files.setTimes('/', 'now', 'omit', false);
      assert.equal(statSync(root).mtimeMs, 8000);
      assert.ok(Math.abs(statSync(root).atimeMs - Date.now()) < 60_000);
    });

    test('are not reached through symlinks, and errors have the host path', (context) => {
      const root = scratchDirectory(context);
      mkdirSync(join(root, 'tree'));
      writeFileSync(join(root, 'file'), 'secret');
      symlinkSync('..', join(root, 'tree/up'));
      symlinkSync('../file', join(root, 'tree/link'));
      const files = open(context, system, join(root, 'tree'));
      const isLoop = (error: unknown): error is FsError => isFsError(error, 'ELOOP');
      assert.throws(() => read(files, '/up/file'), isLoop);
      assert.throws(() => read(files, '/link'), isLoop);
      assert.throws(() => files.unlink('/up/file'), isLoop);
      assert.throws(() => files.makeDirectory('/up/new', 0o700), isLoop);
      assert.throws(() => files.chmod('/link', 0o777, true), isLoop);
      assert.throws(
        () => files.readDirectoryNames('/up'),
        (error) => isLoop(error) || isFsError(error, 'ENOTDIR'),
      );
      assert.throws(
        () => files.naming('open', '/none', () => read(files, '/none')),
        (error) =>
          isFsError(error, 'ENOENT') && error.path === join(root, 'tree/none') && error.syscall === 'open',
      );
      assert.deepEqual(readdirSync(root).sort(), ['file', 'tree']);
    });

    test('a file that has replaced the created one gets no attributes', (context) => {
      const root = scratchDirectory(context);
      const files = open(context, system, root);
      files.symlink('x', '/link');
      writeFileSync(join(root, 'file'), '');
      files.unlink('/link');
      files.link('/file', '/link', false);
      const dressing = (mode: number) => () => files.dressing('/link', mode, (wearer) => wearer.chmod(0o777));
      assert.throws(dressing(constants.S_IFLNK), (error) => isFsError(error, 'ESTALE'));
      assert.throws(dressing(constants.S_IFREG), (error) => isFsError(error, 'ESTALE'));
    });

    test('are reached on paths too long for one call, with few directories held open', (context) => {
      const files = open(context, system, scratchDirectory(context));
      let path = '';
      // 16,200 bytes, which take four calls.
      for (let depth = 0; depth < 200; depth++) {
        path += `/${'d'.repeat(80)}`;
        files.makeDirectory(path, 0o700);
      }
      write(files, `${path}/file`, 'deep');
      files.end();
      assert.equal(read(files, `${path}/file`), 'deep');
      const held = readdirSync('/proc/self/fd').length;
      assert.ok(held < 200, `${held} descriptors`);
      assert.throws(
        () => files.stat(`${path}/${'n'.repeat(5000)}/file`, false),
        (error) => isFsError(error, 'ENAMETOOLONG'),
      );
      for (let above = path; above !== ''; above = above.slice(0, above.lastIndexOf('/')))
        files.dressing(above, constants.S_IFDIR, (wearer) => wearer.chmod(0o750));
      // The test's clean-up could not remove such paths.
      files.unlink(`${path}/file`);
      for (; path !== ''; path = path.slice(0, path.lastIndexOf('/'))) files.removeDirectory(path);
    });

    for (const keeps of [true, false]) {
      test(`a directory that becomes a symlink leads nowhere (${keeps ? 'held' : 'not held'})`, async (context) => {
        const scratch = scratchDirectory(context);
        const outside = new Outside(join(scratch, 'outside'), ['file', 'old', 'deep/', 'node']);
        const root = join(scratch, 'tree');
        const prepare = (): string => {
          rmSync(root, { recursive: true, force: true });
          mkdirSync(join(root, 'sub/deep'), { recursive: true });
          writeFileSync(join(root, 'sub/old'), 'old');
          return join(root, 'sub');
        };
        const calls = await atEveryCall(system, outside, prepare, (faulty) => {
          const files = open(context, faulty, root, keeps);
          write(files, '/sub/file', 'new');
          assert.equal(read(files, '/sub/old'), 'old');
          files.symlink('old', '/sub/link');
          files.dressing('/sub/link', constants.S_IFLNK, (wearer) => wearer.chown(0, 0));
          files.chmod('/sub/old', 0o777, false);
          for (const path of ['/sub/deep', '/sub'])
            dress(
              wearerAt(files, path),
              { ...files.stat(path, false), mtimeSeconds: 1 },
              xattrsOf(files, path),
            );
          files.rename('/sub/old', '/sub/node');
          files.unlink('/sub/node');
          files.removeDirectory('/sub/deep');
        });
        assert.ok(calls > 30, `${calls} calls`);
      });
    }
  });
}

test('content is copied with its holes, and a source that becomes shorter is an error', async (context) => {
  const files = open(context, createSystem(), scratchDirectory(context));
  write(files, '/file', 'some bytes');
  const source = files.open('/file', O_RDONLY, 0);
  const written: [number, number][] = [];
  const target = {
    write: (_bytes: Buffer, length: number, position: number) => void written.push([position, length]),
    setSize: (sizeBytes: number) => void written.push([sizeBytes, -1]),
  };
  await copyContent(dataOf(files, source, 10), target, 10, 'file');
  assert.deepEqual(written, [[0, 10]]);
  const { read } = dataOf(files, source, 10);
  await copyContent({ segments: [{ start: 0, end: 4 }], read }, target, 8192, 'file', () =>
    Promise.resolve(),
  );
  assert.deepEqual(written.slice(1), [
    [8192, -1],
    [0, 4],
  ]);
  await assert.rejects(
    copyContent({ segments: [{ start: 0, end: 11 }], read }, target, 11, 'file'),
    (error) => isFsError(error, 'EIO'),
  );
  files.close(source);
});
