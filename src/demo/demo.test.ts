/** The demo itself, at a small size. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { BLOCK_SIZE, isFsError } from '../base/index.ts';
import { Store } from '../library/index.ts';
import { createSystem } from '../sys/index.ts';
import { type DemoOptions, type DemoResult, runDemo } from './demo.ts';
import { isAbsent } from './host-measures.ts';

const SIZE_BYTES = 8 * 1024 * 1024;
const FORKS = 3;

describe('demo', () => {
  let directory: string;
  let options: DemoOptions;

  before(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'demo-test-'));
    const tree = path.join(directory, 'tree');
    mkdirSync(path.join(tree, 'sub', 'empty'), { recursive: true });
    for (let file = 0; file < 20; file++)
      writeFileSync(path.join(tree, `file ${file}`), 'x'.repeat(file * 1000));
    writeFileSync(path.join(tree, 'sub', 'deep'), 'deep');
    symlinkSync('../file 3', path.join(tree, 'sub', 'link'));
    mkdirSync(path.join(directory, 'work'));
    options = { directory: path.join(directory, 'work'), tree, sizeBytes: SIZE_BYTES, forks: FORKS };
  });

  after(() => rmSync(directory, { recursive: true, force: true }));

  function nothingIsLeft(): void {
    assert.deepEqual(readdirSync(path.join(directory, 'work')), []);
  }

  describe('a small run', () => {
    let result: DemoResult;
    const steps: string[] = [];

    before(async () => {
      result = await runDemo({ ...options, onStep: (step) => void steps.push(step) });
    });

    it('finds every byte as expected, and leaves nothing', () => {
      assert.deepEqual(result.problems, []);
      assert.equal(result.problemsLeftOut, 0);
      nothingIsLeft();
    });

    it('counts the tree', () => {
      assert.equal(result.files, 22);
      assert.equal(result.directories, 3);
      assert.equal(result.links, 1);
      assert.equal(result.forks, FORKS);
      assert.equal(result.treeBytes, SIZE_BYTES + 190_000 + 4);
    });

    it('reads the large file and the small ones in every fork', () => {
      assert.ok(result.checked.readBytes > FORKS * SIZE_BYTES);
      const canMap = createSystem().canMap;
      assert.equal(result.checked.mappedBytes, canMap ? result.checked.readBytes : 0);
    });

    it('takes less disk than one more large file', () => {
      assert.ok(result.disk.importedBytes >= SIZE_BYTES);
      assert.ok(
        result.disk.grownBytes > 0 && result.disk.grownBytes < SIZE_BYTES / 2,
        `${result.disk.grownBytes}`,
      );
    });

    it('has one copy of the large file in memory', (t) => {
      const { residentAfterBytes } = result.memory;
      if (isAbsent(residentAfterBytes)) return t.skip(residentAfterBytes.absentBecause);
      assert.ok(residentAfterBytes >= SIZE_BYTES + FORKS * BLOCK_SIZE);
      assert.ok(residentAfterBytes < 1.5 * SIZE_BYTES, `${residentAfterBytes}`);
    });

    it('shows one frame for each page, and one more for each changed page', (t) => {
      const { frames } = result;
      if (isAbsent(frames)) return t.skip(frames.absentBecause);
      assert.equal(frames.pages, (FORKS * SIZE_BYTES) / BLOCK_SIZE);
      assert.equal(frames.distinctFrames, SIZE_BYTES / BLOCK_SIZE + FORKS);
      const [shared, changed] = frames.rows.map((row) => row.frames);
      assert.equal(new Set(shared).size, 1);
      assert.equal(new Set(changed).size, 2);
      assert.equal(changed?.[1], changed?.[2]);
      assert.notEqual(changed?.[0], changed?.[1]);
    });

    it('reports its steps', () => {
      assert.ok(steps.length >= 5);
      assert.deepEqual(
        steps,
        result.steps.map(({ step }) => step),
      );
    });
  });

  it('follows a symlink to the tree', async () => {
    const link = path.join(directory, 'link to the tree');
    symlinkSync('tree', link);
    const result = await runDemo({ ...options, tree: link, forks: 2, sizeBytes: 8 * BLOCK_SIZE });
    assert.deepEqual(result.problems, []);
    assert.equal(result.files, 22);
  });

  it('works with a single fork and with a tree without files', async () => {
    const tree = path.join(directory, 'no-files');
    mkdirSync(tree);
    const result = await runDemo({ ...options, tree, forks: 1, sizeBytes: 2 * BLOCK_SIZE });
    assert.deepEqual(result.problems, []);
    assert.equal(result.files, 1);
  });

  it('finds the changes of another program, read and mapped', async () => {
    const work = path.join(directory, 'work');
    const result = await runDemo({
      ...options,
      onStep: async (step) => {
        if (!step.startsWith('dropping')) return;
        const store = await Store.open(path.join(work, readdirSync(work)[0]!, 'store'), { create: false });
        const { fs } = await store.fork('try-2');
        const fd = fs.openSync('/large.bin', 'r+');
        fs.writeSync(fd, 'x', 12_345);
        fs.closeSync(fd);
        fs.appendFileSync('/tree/sub/deep', '!');
        fs.writeFileSync('/tree/not in the plan', '');
        await store.close();
      },
    });
    const ways = createSystem().canMap ? ['read', 'mapped'] : ['read'];
    const expected = [
      ...ways.map((way) => `try-2:/large.bin, ${way}: differs from what it must be at byte 12345`),
      'try-2:/tree/not in the plan: is a file, must be absent',
      ...ways.map(
        (way) => `try-2:/tree/sub/deep, ${way}: differs from what it must be at byte 4 (5 bytes for 4)`,
      ),
    ];
    assert.deepEqual(result.problems, expected);
    assert.ok(isAbsent(result.frames));
  });

  it('removes everything when it is aborted', async () => {
    const abort = new AbortController();
    const run = runDemo({
      ...options,
      signal: abort.signal,
      onStep: (step) => {
        if (step.startsWith('forking')) abort.abort();
      },
    });
    await assert.rejects(run, (error) => isFsError(error, 'ECANCELED'));
    nothingIsLeft();
  });

  it('refuses a missing tree and wrong sizes before it makes anything', async () => {
    const wrong: readonly (readonly [Partial<DemoOptions>, 'ENOENT' | 'ENOTDIR' | 'EINVAL'])[] = [
      [{ tree: path.join(directory, 'missing') }, 'ENOENT'],
      [{ tree: path.join(directory, 'tree', 'file 1') }, 'ENOTDIR'],
      [{ forks: 0 }, 'EINVAL'],
      [{ forks: 1.5 }, 'EINVAL'],
      [{ sizeBytes: BLOCK_SIZE + 1 }, 'EINVAL'],
      [{ sizeBytes: 2 * BLOCK_SIZE, forks: 2 }, 'EINVAL'],
      [{ sizeBytes: 4 * 1024 ** 3 }, 'EINVAL'],
    ];
    for (const [change, code] of wrong) {
      await assert.rejects(runDemo({ ...options, ...change }), (error) => isFsError(error, code));
    }
    nothingIsLeft();
  });
});
