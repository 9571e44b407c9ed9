/**
 * The results of a recovery survive a power cut after it, even if the process that died had synced nothing: neither
 * data nor the names of its new files.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import type { Random } from '../../src/base/index.ts';
import { StoreEngine } from '../../src/store/index.ts';
import { createSystem, FaultySystem } from '../../src/sys/index.ts';
import { patternBytes, problemsOf, readFile, SharedStore, writeFile } from '../stores/shared-store.ts';
import { imagesDirectory, makeImage, systemFor } from './crash-images.ts';
import { WatchedSystem } from './watched-system.ts';

/** The worst case: everything that can be lost is lost, as far back as possible. */
const WORST: Random = { below: () => 0 };
const BYTES = patternBytes(20_000, 7);

test('a power cut right after a recovery loses nothing', async () => {
  const parent = imagesDirectory();
  const watched = new WatchedSystem(createSystem(), () => undefined, parent);
  try {
    await using scratch = new SharedStore(parent);
    const dying = new FaultySystem(watched.system);
    const first = await scratch.open(dying, { commitMarkMs: Number.POSITIVE_INFINITY });
    const tree = first.createEmpty('one');
    writeFile(tree, '/a', BYTES);
    await scratch.crash(first, dying);
    const next = await scratch.open(watched.system, { commitMarkMs: Number.POSITIVE_INFINITY });
    assert.deepEqual(readFile(next.openTree('one'), '/a'), BYTES);
    const image = `${parent}/image`;
    const from = scratch.directory;
    makeImage({ watched, random: WORST, kind: 'power cut', write: undefined, from, to: image });
    const engine = await StoreEngine.open(image, { system: systemFor('power cut') });
    try {
      assert.deepEqual(readFile(engine.openTree('one'), '/a'), BYTES);
      assert.deepEqual(problemsOf(engine, { scrub: true }), []);
    } finally {
      await engine.close();
    }
  } finally {
    watched.close();
    rmSync(parent, { recursive: true, force: true });
  }
});
