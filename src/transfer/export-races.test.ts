/** An export into a directory that another user may write to: nothing outside of it is written or changed. */
import assert from 'node:assert/strict';
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { atEveryCall, Outside } from '../../testing/host/swapped-directory.ts';
import { scratchDirectory, scratchStore } from '../../testing/stores/scratch-store.ts';
import { createSystem } from '../sys/index.ts';
import { exportFileSystem } from './export.ts';
import { importTree } from './import.ts';

test('a directory that is swapped for a symlink while it is filled leads nowhere', async (context) => {
  const scratch = scratchDirectory(context);
  const source = join(scratch, 'source');
  mkdirSync(join(source, 'sub/deep'), { recursive: true });
  for (const name of ['first', 'sub/file', 'sub/deep/file', 'sub/last'])
    writeFileSync(join(source, name), name);
  symlinkSync('file', join(source, 'sub/link'));
  const engine = await scratchStore(context);
  await importTree(engine, source, { name: 'base' });
  const outside = new Outside(join(scratch, 'outside'), [
    'deep/',
    'deep/file',
    'file',
    'last',
    'link',
    'sub/',
  ]);
  const { fileSystem } = engine.openTree('base');
  for (const swapped of ['out', 'out/sub', 'out/sub/deep']) {
    const prepare = (): string => {
      for (const name of ['out', 'out-aside']) rmSync(join(scratch, name), { recursive: true, force: true });
      return join(scratch, swapped);
    };
    const calls = await atEveryCall(createSystem(), outside, prepare, (system) =>
      exportFileSystem(system, 'base', fileSystem, join(scratch, 'out')),
    );
    assert.ok(calls > 40, `${calls} calls`);
  }
});
