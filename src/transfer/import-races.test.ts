/** An import of a directory that another user may write to: no file outside of it is read. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { atEveryCall, Outside } from '../../testing/host/swapped-directory.ts';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { readFile } from '../../testing/stores/shared-store.ts';
import { StoreEngine } from '../store/index.ts';
import { createSystem, type System } from '../sys/index.ts';
import { importTree } from './import.ts';

test('a directory that becomes a symlink while it is read leads nowhere', async (context) => {
  const scratch = scratchDirectory(context);
  const outside = new Outside(join(scratch, 'outside'), ['deep/', 'deep/file', 'file', 'only-outside']);
  const source = join(scratch, 'source');
  for (const name of ['source/sub', 'source/sub/deep']) {
    const prepare = (): string => {
      for (const old of ['source', 'store']) rmSync(join(scratch, old), { recursive: true, force: true });
      mkdirSync(join(source, 'sub/deep'), { recursive: true });
      for (const file of ['sub/file', 'sub/deep/file', 'last']) writeFileSync(join(source, file), 'plain');
      return join(scratch, name);
    };
    const work = async (system: System): Promise<void> => {
      const engine = await StoreEngine.open(join(scratch, 'store'), { system, create: true });
      try {
        await importTree(engine, source, { name: 'base' });
        const tree = engine.openTree('base');
        for (const path of ['/sub/file', '/sub/deep/file', '/last'])
          if (tree.fileSystem.tryStat(path, false)?.size !== undefined)
            assert.equal(readFile(tree, path).toString(), 'plain', path);
        assert.equal(tree.fileSystem.tryStat('/sub/only-outside', false), undefined);
        assert.equal(tree.fileSystem.tryStat('/sub/deep/only-outside', false), undefined);
        tree.close();
      } finally {
        await engine.close();
      }
    };
    const calls = await atEveryCall(createSystem(), outside, prepare, work, (path) =>
      path.startsWith(source),
    );
    assert.ok(calls > 10, String(calls));
  }
});
