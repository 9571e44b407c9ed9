/** A store in a scratch directory for one test, closed and removed afterwards. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { StoreEngine, type StoreOptions } from '../../src/store/index.ts';

/** A directory that is removed when the test ends. */
export function scratchDirectory(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-test-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** An empty store, closed when the test ends (also when the test closed it itself). */
export async function scratchStore(context: TestContext, options: StoreOptions = {}): Promise<StoreEngine> {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-test-'));
  const engine = await StoreEngine.open(join(directory, 'store'), { ...options, create: true });
  context.after(async () => {
    await engine.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return engine;
}
