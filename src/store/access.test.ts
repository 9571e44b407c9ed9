/** A store belongs to one user: modes of new files, stores of other users, and the warning when others can reach it. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeText } from '../../testing/stores/random-changes.ts';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { StoreError } from '../base/index.ts';
import { StoreEngine, type StoreOptions } from './index.ts';

const mode = (path: string): number => statSync(path).mode & 0o7777;

async function makeStore(directory: string): Promise<void> {
  const engine = await StoreEngine.open(directory, { create: true });
  const tree = engine.createEmpty('work');
  writeText(tree.fileSystem, '/file', 'text');
  engine.snapshot('work', 'first');
  writeText(tree.fileSystem, '/file', 'other text');
  engine.sealer.finish();
  await engine.close();
}

/** Opens and closes a store; returns the warnings. */
async function warningsOf(directory: string, options: StoreOptions = {}): Promise<string[]> {
  const warnings: string[] = [];
  const engine = await StoreEngine.open(directory, { ...options, onWarning: (text) => warnings.push(text) });
  await engine.close();
  return warnings;
}

for (const umask of [0o000, 0o022, 0o077]) {
  test(`with umask ${umask.toString(8)} directories are 0700 and files 0600`, async (context) => {
    const directory = join(scratchDirectory(context), 'store');
    const before = process.umask(umask);
    try {
      await makeStore(directory);
    } finally {
      process.umask(before);
    }
    const all = readdirSync(directory, { recursive: true, withFileTypes: true });
    for (const entry of all) {
      const path = join(entry.parentPath, entry.name);
      assert.equal(mode(path), entry.isDirectory() ? 0o700 : 0o600, path);
    }
    assert.ok(all.some(({ name }) => name.endsWith('.sum')) && all.some(({ name }) => name === 'lock.mdb'));
    assert.equal(mode(directory), 0o700);
    assert.deepEqual(await warningsOf(directory), []);
  });
}

test('a new store closes an empty directory to others; a directory with files keeps its mode', async (context) => {
  const scratch = scratchDirectory(context);
  const [empty, used] = [join(scratch, 'empty'), join(scratch, 'used')];
  mkdirSync(empty);
  mkdirSync(join(used, 'project'), { recursive: true });
  for (const directory of [empty, used]) {
    chmodSync(directory, 0o755);
    await makeStore(directory);
  }
  assert.deepEqual([mode(empty), mode(used)], [0o700, 0o755]);
  assert.deepEqual(await warningsOf(used), [], 'its parts are closed');
});

/** A store with the modes that older versions gave it. */
async function exposedStore(context: TestContext): Promise<string> {
  const directory = join(scratchDirectory(context), 'store');
  await makeStore(directory);
  for (const part of ['', 'meta', 'blobs', 'journals', 'run']) chmodSync(join(directory, part), 0o755);
  return directory;
}

test('a store that others can reach causes one warning, with the command that closes it', async (context) => {
  const directory = await exposedStore(context);
  const [told, ...more] = await warningsOf(directory);
  assert.match(told ?? '', /other users .* can reach the store in .*store: `chmod go-rwx .*store` mends it/);
  assert.deepEqual([more, await warningsOf(directory)], [[], []]);
  rmSync(join(directory, 'run/told-exposed'));
  chmodSync(directory, 0o700);
  assert.deepEqual(await warningsOf(directory), [], 'it was mended');
  chmodSync(directory, 0o777);
  for (const part of ['meta', 'blobs', 'journals', 'run']) chmodSync(join(directory, part), 0o700);
  assert.equal((await warningsOf(directory)).length, 1, 'others could put another `meta` there');
});

test('a symlink in the place of a file of the store leads nowhere', async (context) => {
  const scratch = scratchDirectory(context);
  const [directory, victim] = [join(scratch, 'store'), join(scratch, 'victim')];
  await makeStore(directory);
  writeFileSync(victim, 'text');
  for (const file of ['reserve', 'journals/2']) {
    rmSync(join(directory, file), { force: true });
    symlinkSync(victim, join(directory, file));
  }
  const engine = await StoreEngine.open(directory);
  assert.throws(() => engine.openTree('work'), { code: 'ELOOP' });
  await engine.close();
  assert.equal(readFileSync(victim, 'utf8'), 'text');
});

const OTHER_USER = 65_534;
const notRoot = process.geteuid?.() === 0 ? false : 'needs root, to give files away';

test('a store with a part that belongs to another user is refused', { skip: notRoot }, async (context) => {
  const isRefused = (error: unknown): boolean =>
    error instanceof StoreError &&
    error.code === 'ERR_STORE_OWNER' &&
    /belongs to user 65534, and this is user 0\. .*--trust-store/.test(error.message);
  const directory = join(scratchDirectory(context), 'store');
  await makeStore(directory);
  for (const part of ['.', 'VERSION', 'meta', 'meta/data.mdb', 'blobs', 'journals', 'run']) {
    chownSync(join(directory, part), OTHER_USER, OTHER_USER);
    await assert.rejects(StoreEngine.open(directory), isRefused, part);
    await assert.rejects(StoreEngine.open(directory, { create: true }), isRefused, part);
    assert.deepEqual(await warningsOf(directory, { trustStore: true }), []);
    chownSync(join(directory, part), 0, 0);
  }
  assert.deepEqual(await warningsOf(directory), []);
});
