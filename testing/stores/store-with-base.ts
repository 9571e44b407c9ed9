/** A store with an imported tree that `changeSomething` can change, for tests that compare its forks. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { StoreEngine } from '../../src/store/index.ts';
import { importTree } from '../../src/transfer/index.ts';
import { seededBytes } from '../trees/odd-tree.ts';
import { scratchDirectory, scratchStore } from './scratch-store.ts';

/** The tree is called `base`. */
export async function storeWithBase(context: TestContext): Promise<StoreEngine> {
  const root = join(scratchDirectory(context), 'tree');
  mkdirSync(join(root, 'sub/deep'), { recursive: true });
  for (const [index, name] of ['a', 'b', 'sub/c', 'sub/deep/d', 'sub/deep/e'].entries()) {
    writeFileSync(join(root, name), seededBytes(index, 10_000));
  }
  const engine = await scratchStore(context);
  await importTree(engine, root, { name: 'base' });
  return engine;
}
