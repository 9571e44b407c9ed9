/** A store opened read-only: the reader changes no file of it, and writers never make it read wrong bytes. */
import assert from 'node:assert/strict';
import { cpSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { writeText } from '../../testing/stores/random-changes.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { problemsOf, readFile } from '../../testing/stores/shared-store.ts';
import { BLOCK_SIZE, type FsError, isFsError, SeededRandom } from '../base/index.ts';
import { collectGarbage, dedupeStore } from '../upkeep/index.ts';
import { StoreEngine } from './index.ts';

async function readOnly(context: TestContext, directory: string): Promise<StoreEngine> {
  const engine = await StoreEngine.open(directory, { readOnly: true });
  context.after(() => engine.close());
  return engine;
}

/** Every name with its inode number, size and times: any change of the file changes this line. */
function everything(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => {
      const { size, mtimeMs, ctimeMs, ino } = statSync(join(directory, name));
      return `${name} ${ino} ${size} ${mtimeMs} ${ctimeMs}`;
    })
    .sort();
}

function textOf(engine: StoreEngine, name: string, path: string): string {
  const tree = engine.openTree(name);
  try {
    return readFile(tree, path).toString();
  } finally {
    tree.close();
  }
}

test('snapshots and forks are read, including changes that a killed process left in a journal', async (context) => {
  const engine = await scratchStore(context);
  const tree = engine.createEmpty('work');
  writeText(tree.fileSystem, '/a', 'first');
  engine.snapshot('work', 'snap');
  writeText(tree.fileSystem, '/a', 'second, in the journal alone');
  writeText(tree.fileSystem, '/b', 'new');
  const copy = join(scratchDirectory(context), 'store');
  cpSync(engine.directory, copy, { recursive: true, mode: 0 });
  const before = everything(copy);
  const reader = await readOnly(context, copy);
  assert.equal(textOf(reader, 'snap', '/a'), 'first');
  assert.equal(textOf(reader, 'work', '/a'), 'second, in the journal alone');
  assert.equal(textOf(reader, 'work', '/b'), 'new');
  assert.deepEqual(problemsOf(reader, { scrub: true }), []);
  await reader.close();
  assert.deepEqual(everything(copy), before);
});

test('calls that would write are EROFS, and the error says why', async (context) => {
  const engine = await scratchStore(context);
  const tree = engine.createEmpty('work');
  writeText(tree.fileSystem, '/a', 'text');
  tree.close();
  engine.snapshot('work', 'snap');
  await engine.close();
  const reader = await readOnly(context, engine.directory);
  const isRefused = (error: unknown): boolean =>
    isFsError(error, 'EROFS') && /the store was opened for reading only/.test(error.message);
  const changes: Readonly<Record<string, () => unknown>> = {
    fork: () => reader.fork('snap', 'new'),
    createEmpty: () => reader.createEmpty('new'),
    'snapshot of a fork': () => reader.snapshot('work', 'new'),
    'snapshot of a snapshot': () => reader.snapshot('snap', 'new'),
    'drop of a fork': () => reader.drop('work'),
    'drop of a snapshot': () => reader.drop('snap'),
    gc: () => collectGarbage(reader),
    import: () => reader.buildLayer('new', '/'),
  };
  for (const [name, change] of Object.entries(changes)) assert.throws(change, isRefused, name);
  await assert.rejects(dedupeStore(reader), isRefused);
  const fork = reader.openTree('work');
  assert.throws(
    () => writeText(fork.fileSystem, '/a', 'other'),
    (error) => isFsError(error, 'EROFS'),
  );
  fork.close();
  assert.deepEqual(
    reader.list().map(({ name }) => name),
    ['snap', 'work'],
  );
});

/** The bytes of a file, or the code of the error. */
function bytesOrCode(engine: StoreEngine, name: string, path: string): Buffer | FsError['code'] {
  try {
    const tree = engine.openTree(name);
    try {
      return readFile(tree, path);
    } finally {
      tree.close();
    }
  } catch (error) {
    if (isFsError(error)) return error.code;
    throw error;
  }
}

test('beside a writer that overwrites, drops and collects, the reader gets old bytes or an error', async (context) => {
  const engine = await scratchStore(context);
  const random = new SeededRandom(15);
  const outcomes = new Set<string>();
  for (let round = 0; round < 12; round++) {
    const work = engine.createEmpty(`work-${round}`);
    const wanted = new Map<string, Buffer>();
    for (let number = 0; number < 8; number++) {
      const bytes = Buffer.alloc((1 + random.below(40)) * BLOCK_SIZE, `${round} ${number} old `);
      const file = work.fileSystem.open(`/${number}`, 0o102, 0o644);
      work.fileSystem.write(file, bytes, 0, bytes.length, 0);
      work.fileSystem.close(file);
      wanted.set(`/${number}`, bytes);
    }
    if (round % 2 === 0) engine.snapshot(work.info.name, `snap-${round}`);
    // Half of the snapshots have checksums, the others do not.
    if (round % 4 === 0) engine.sealer.finish();
    const name = round % 2 === 0 ? `snap-${round}` : work.info.name;
    const reader = await StoreEngine.open(engine.directory, { readOnly: true });
    const check = (): void => {
      for (const [path, bytes] of wanted) {
        const found = bytesOrCode(reader, name, path);
        outcomes.add(typeof found === 'string' ? found : 'old');
        if (typeof found !== 'string') assert.ok(found.equals(bytes), `round ${round}: ${path} of ${name}`);
      }
    };
    check();
    for (const path of wanted.keys()) {
      if (random.below(2) === 0) work.fileSystem.unlink(path);
      else writeText(work.fileSystem, path, `round ${round}, other bytes `.repeat(2000));
      check();
    }
    work.close();
    if (round % 2 === 0) engine.drop(`snap-${round}`);
    engine.drop(`work-${round}`);
    collectGarbage(engine);
    const filling = engine.createEmpty(`filling-${round}`);
    writeText(filling.fileSystem, '/x', 'filling '.repeat(50_000));
    filling.close();
    check();
    await reader.close();
  }
  assert.ok(outcomes.delete('old') && outcomes.size > 0, 'old bytes and errors both occurred');
  for (const code of outcomes) assert.ok(['EIO', 'ESTALE'].includes(code), code);
});
