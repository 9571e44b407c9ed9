/** opendir and the Dir that it returns, read in all three ways. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openTestTree } from '../../testing/stores/node-fs-fixture.ts';

test('a Dir returns every entry once, then null, in each form', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.mkdirSync('/d/sub', { recursive: true });
  fs.writeFileSync('/d/file', '');
  fs.symlinkSync('file', '/d/link');
  const expected = ['file:false', 'link:false', 'sub:true'];
  const directory = fs.opendirSync('/d');
  assert.equal(directory.path, '/d');
  const bySync: string[] = [];
  for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
    bySync.push(`${entry.name}:${entry.isDirectory()}`);
    assert.equal(entry.parentPath, '/d');
  }
  assert.deepEqual(bySync.sort(), expected);
  assert.equal(directory.readSync(), null);
  directory.closeSync();
  const byIteration: string[] = [];
  for await (const entry of await fs.promises.opendir('/d')) {
    byIteration.push(`${entry.name}:${entry.isDirectory()}`);
  }
  assert.deepEqual(byIteration.sort(), expected);
  const other = fs.opendirSync('/d');
  const byCallback = await new Promise((resolve, reject) => {
    other.read((error, entry) => (error ? reject(error) : resolve(entry?.name)));
  });
  assert.ok(['file', 'link', 'sub'].includes(String(byCallback)));
  assert.ok(await other.read());
  await other.close();
});

test('a Dir shows the names that existed when it was opened, whatever changes later', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.mkdirSync('/d');
  for (let index = 0; index < 100; index++) fs.writeFileSync(`/d/${index}`, '');
  const directory = fs.opendirSync('/d');
  const names = new Set<string>();
  for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
    names.add(entry.name);
    fs.unlinkSync(`/d/${entry.name}`);
    fs.writeFileSync(`/d/new-${entry.name}`, '');
  }
  assert.deepEqual([...names].sort(), Array.from({ length: 100 }, (_, index) => `${index}`).sort());
});

test('`recursive` lists subdirectories too, and each entry has the path of its directory', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  fs.mkdirSync('/d/a/b', { recursive: true });
  fs.writeFileSync('/d/a/b/deep', '');
  const found: string[] = [];
  for await (const entry of await fs.promises.opendir('/d', { recursive: true })) {
    found.push(`${entry.parentPath} ${entry.name}`);
  }
  assert.deepEqual(found.sort(), ['/d a', '/d/a b', '/d/a/b deep']);
});

test('a closed Dir refuses every call', async () => {
  await using tree = await openTestTree();
  const { fs } = tree;
  const directory = fs.opendirSync('/');
  await directory.close();
  const closed = { code: 'ERR_DIR_CLOSED', message: 'Directory handle was closed' };
  assert.throws(() => directory.readSync(), closed);
  assert.throws(() => directory.closeSync(), closed);
  assert.throws(() => directory.read(), closed);
  await assert.rejects(directory.close(), closed);
});
