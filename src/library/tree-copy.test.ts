/** cp compared with that of node:fs. */
import assert from 'node:assert/strict';
import * as hostFs from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { HostDirectory, openTestTree } from '../../testing/stores/node-fs-fixture.ts';
import type { NodeFs } from './fs.ts';

type Fs = Pick<NodeFs, keyof NodeFs & keyof typeof hostFs>;

/** Describes everything below a path as text, for comparison, with `root` replaced in symlink targets. */
function dump(fs: Fs, root: string, path: string): string[] {
  const lines: string[] = [];
  for (const name of fs.readdirSync(path).sort()) {
    const at = join(path, name);
    const stats = fs.lstatSync(at);
    const mode = (stats.mode & 0o7777).toString(8);
    if (stats.isDirectory()) {
      lines.push(`${name}/ ${mode}`, ...dump(fs, root, at).map((line) => `${name}/${line}`));
    } else if (stats.isSymbolicLink()) {
      lines.push(`${name} -> ${fs.readlinkSync(at).replace(root, 'ROOT')}`);
    } else lines.push(`${name} ${mode} ${fs.readFileSync(at, 'utf8')}`);
  }
  return lines;
}

function fill(fs: Fs, root: string): void {
  fs.mkdirSync(`${root}/from/sub/deep`, { recursive: true });
  fs.writeFileSync(`${root}/from/a`, 'a');
  fs.writeFileSync(`${root}/from/sub/b`, 'b', { mode: 0o640 });
  fs.writeFileSync(`${root}/from/sub/deep/c.txt`, 'c');
  fs.chmodSync(`${root}/from/sub/deep`, 0o700);
  fs.symlinkSync('a', `${root}/from/relative`);
  fs.symlinkSync(`${root}/from/a`, `${root}/from/absolute`);
  fs.mkdirSync(`${root}/to`);
  fs.writeFileSync(`${root}/to/a`, 'old');
  fs.symlinkSync('a', `${root}/to/relative`);
}

const OPTIONS: Record<string, hostFs.CopySyncOptions> = {
  plain: {},
  'no force': { force: false },
  dereference: { dereference: true },
  'verbatim symlinks': { verbatimSymlinks: true },
  filter: { filter: (source) => !source.endsWith('.txt') },
  'filter out a directory': { filter: (source) => !source.endsWith('sub') },
};

test('cp makes the same tree as the cp of node:fs', async (t) => {
  await using tree = await openTestTree();
  for (const [name, options] of Object.entries(OPTIONS)) {
    for (const target of ['to', 'new/below']) {
      for (const form of ['sync', 'promise'] as const) {
        await t.test(`${name}, onto ${target}, ${form}`, async () => {
          using host = new HostDirectory();
          tree.fs.mkdirSync('/tree');
          const results: string[][] = [];
          for (const [fs, root] of [
            [hostFs, hostFs.realpathSync(host.path)],
            [tree.fs, '/tree'],
          ] as const) {
            fill(fs, root);
            const given = { recursive: true, ...options };
            // The oracle is always the promise form: cpSync of Node 24 forgets the modes of directories.
            if (form === 'sync' && fs !== hostFs) fs.cpSync(`${root}/from`, `${root}/${target}`, given);
            else await fs.promises.cp(`${root}/from`, `${root}/${target}`, given);
            results.push(dump(fs, root, root));
          }
          tree.fs.rmSync('/tree', { recursive: true });
          assert.deepEqual(results[1], results[0]);
        });
      }
    }
  }
});

test('a copy shares its blocks with the original until one is written', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.writeFileSync('/a', Buffer.alloc(1_000_000, 'x'));
  fs.chmodSync('/a', 0o751);
  fs.copyFileSync('/a', '/b');
  assert.equal(fs.statSync('/b').mode & 0o777, 0o751);
  assert.notEqual(fs.statSync('/a').ino, fs.statSync('/b').ino);
  const fd = fs.openSync('/b', 'r+');
  fs.writeSync(fd, 'changed', 4096);
  fs.closeSync(fd);
  assert.equal(fs.readFileSync('/a', 'utf8').indexOf('changed'), -1);
  assert.equal(fs.readFileSync('/b', 'utf8').indexOf('changed'), 4096);
  fs.writeFileSync('/short', 'short');
  fs.copyFileSync('/short', '/b');
  assert.equal(fs.readFileSync('/b', 'utf8'), 'short');
});

test('times are kept when asked for, and errorOnExist is obeyed', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.writeFileSync('/a', 'a');
  fs.utimesSync('/a', 1000, 2000.5);
  fs.cpSync('/a', '/b', { preserveTimestamps: true });
  assert.equal(fs.statSync('/b').mtimeMs, 2_000_500);
  assert.equal(fs.statSync('/b').atimeMs, 1_000_000);
  assert.throws(() => fs.cpSync('/a', '/b', { force: false, errorOnExist: true }), {
    name: 'SystemError',
    code: 'ERR_FS_CP_EEXIST',
  });
  await assert.rejects(fs.promises.cp('/a', '/b', { force: false, errorOnExist: true }), {
    code: 'ERR_FS_CP_EEXIST',
  });
});

test('cp waits for an asynchronous filter', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.mkdirSync('/from');
  for (const name of ['keep', 'drop']) fs.writeFileSync(`/from/${name}`, '');
  const filter = async (source: string) => {
    await new Promise((resolve) => setImmediate(resolve));
    return !source.endsWith('drop');
  };
  await fs.promises.cp('/from', '/to', { recursive: true, filter });
  assert.deepEqual(fs.readdirSync('/to'), ['keep']);
});

test('cp refuses special files, and a directory without `recursive`', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  tree.fileSystem.makeNode('/fifo', 0o010644, 0);
  tree.fileSystem.makeNode('/socket', 0o140644, 0);
  fs.mkdirSync('/d');
  assert.throws(() => fs.cpSync('/fifo', '/x'), { code: 'ERR_FS_CP_FIFO_PIPE' });
  assert.throws(() => fs.cpSync('/socket', '/x'), { code: 'ERR_FS_CP_SOCKET' });
  assert.throws(() => fs.cpSync('/d', '/x'), { code: 'ERR_FS_EISDIR' });
});

test('a symlink is not replaced by one that leads below or above its target', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.mkdirSync('/real/inner', { recursive: true });
  fs.mkdirSync('/from');
  fs.mkdirSync('/to');
  fs.symlinkSync('/real/inner', '/from/link');
  fs.symlinkSync('/real', '/to/link');
  assert.throws(() => fs.cpSync('/from', '/to', { recursive: true }), {
    code: 'ERR_FS_CP_SYMLINK_TO_SUBDIRECTORY',
  });
  fs.unlinkSync('/to/link');
  fs.symlinkSync('/real/inner/below', '/to/link');
  assert.throws(() => fs.cpSync('/from', '/to', { recursive: true }), { code: 'ERR_FS_CP_EINVAL' });
});
