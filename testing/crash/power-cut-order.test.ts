/**
 * The promise of docs/durability.md for a power cut, on a history that a user reported: the names are those of some
 * moment since the last sync, and each block that was overwritten since then is the old or the new one, independent of
 * that moment.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BLOCK_SIZE, SeededRandom } from '../../src/base/index.ts';
import { StoreEngine } from '../../src/store/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { readFile, SharedStore } from '../stores/shared-store.ts';
import { imagesDirectory, makeImage, systemFor } from './crash-images.ts';
import { WatchedSystem } from './watched-system.ts';

const IMAGES = 64;
const [OLD, NEW] = [Buffer.alloc(2 * BLOCK_SIZE, 'o'), Buffer.alloc(BLOCK_SIZE, 'n')];

/** The name of the file after a power cut, and the first byte of each of its blocks. */
async function found(directory: string): Promise<string> {
  const engine = await StoreEngine.open(directory, { system: systemFor('power cut') });
  try {
    const tree = engine.openTree('work');
    const names = tree.fileSystem.readDirectoryNames('/').join();
    const bytes = readFile(tree, `/${names}`);
    assert.equal(bytes.length, OLD.length);
    for (let at = 0; at < bytes.length; at += BLOCK_SIZE) {
      const block = bytes.subarray(at, at + BLOCK_SIZE);
      assert.ok(
        block.every((byte) => byte === block[0]),
        'a block is whole',
      );
    }
    return `${names} ${String.fromCharCode(bytes[0]!, bytes[BLOCK_SIZE]!)}`;
  } finally {
    await engine.close();
  }
}

test('a power cut can undo a rename and keep an overwrite that came after it', async () => {
  await using scratch = new SharedStore();
  const images = imagesDirectory();
  const watched = new WatchedSystem(createSystem(), () => undefined);
  try {
    const engine = await scratch.open(watched.system, { commitMarkMs: Number.POSITIVE_INFINITY });
    const { fileSystem } = engine.createEmpty('work');
    const file = fileSystem.open('/before', 0o102, 0o644);
    fileSystem.write(file, OLD, 0, OLD.length, 0);
    fileSystem.sync(file, false);
    fileSystem.rename('/before', '/after');
    fileSystem.write(file, NEW, 0, NEW.length, 0);
    const seen = new Set<string>();
    for (let seed = 0; seed < IMAGES; seed++) {
      const to = join(images, String(seed));
      const random = new SeededRandom(seed);
      makeImage({ watched, random, kind: 'power cut', write: undefined, from: scratch.directory, to });
      seen.add(await found(to));
    }
    assert.deepEqual([...seen].sort(), ['before no', 'before oo'], 'the second block is never touched');
    fileSystem.sync(file, false);
    const to = join(images, 'synced');
    const random = new SeededRandom(0);
    makeImage({ watched, random, kind: 'power cut', write: undefined, from: scratch.directory, to });
    assert.equal(await found(to), 'after no');
  } finally {
    watched.close();
    rmSync(images, { recursive: true });
  }
});
