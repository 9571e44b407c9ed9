/**
 * Processes that open forks of one snapshot share its pages in memory. So do processes that map files whose blocks
 * dedupe has made shared.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_SIZE } from '../../src/base/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { dedupeStore } from '../../src/upkeep/index.ts';
import { until } from '../pace/until.ts';
import { SharedStore, writeFile } from '../stores/shared-store.ts';
import { Child } from './child.ts';
import type { MappingAnswer } from './mapping-child.ts';

const PAGES = 64;
const skip =
  createSystem().canMap && process.getuid?.() === 0 ? false : 'frame numbers need root, and memory maps';

test('three processes, each in its own fork, share the frames of all pages that none of them wrote', {
  skip,
}, async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  const base = engine.createEmpty('base');
  for (let page = 0; page < PAGES; page++)
    writeFile(base, '/file', Buffer.alloc(BLOCK_SIZE, page), page * BLOCK_SIZE);
  for (const name of ['one', 'two', 'three']) engine.fork('base', name).close();
  await engine.close();

  await using one = new Child('mapping-child', scratch.directory, 'one');
  await using two = new Child('mapping-child', scratch.directory, 'two');
  await using three = new Child('mapping-child', scratch.directory, 'three');
  const children = [one, two, three];
  for (const child of children) await child.next();
  const ask = (messages: readonly object[]): Promise<MappingAnswer[]> =>
    Promise.all(children.map((child, index) => child.ask<MappingAnswer>(messages[index]!)));

  const before = await ask([{}, {}, {}]);
  for (const { frames } of before) assert.deepEqual(frames, before[0]!.frames, 'one copy for all processes');
  assert.ok(before[0]!.frames.every((frame) => frame !== 0));
  assert.equal(new Set(before[0]!.frames).size, PAGES);

  const after = await ask([{ write: 3 }, { write: 7 }, {}]);
  const written = [3, 7, -1];
  for (const [index, { frames, bytes }] of after.entries()) {
    for (let page = 0; page < PAGES; page++) {
      const isOwn = page === written[index];
      assert.equal(frames[page] === before[0]!.frames[page], !isOwn, `page ${page} of process ${index}`);
      assert.equal(bytes[page], isOwn ? 200 : page);
    }
  }
});

test('files that were stored twice share the frames of all pages after dedupe, until one of the files is written', {
  skip,
}, async () => {
  await using scratch = new SharedStore();
  const engine = await scratch.open();
  // Two independent trees, each with the file in a blob of its own.
  for (const name of ['one', 'two']) {
    const tree = engine.createEmpty(`base-${name}`);
    for (let page = 0; page < PAGES; page++)
      writeFile(tree, '/file', Buffer.alloc(BLOCK_SIZE, page), page * BLOCK_SIZE);
    engine.snapshot(`base-${name}`, `snapshot-${name}`);
    engine.fork(`snapshot-${name}`, name).close();
  }
  await engine.close();

  await using one = new Child('mapping-child', scratch.directory, 'one');
  await using two = new Child('mapping-child', scratch.directory, 'two');
  for (const child of [one, two]) await child.next();
  const framesOf = async (child: Child, message: object = {}): Promise<readonly number[]> =>
    (await child.ask<MappingAnswer>(message)).frames;
  const apart = [await framesOf(one), await framesOf(two)];
  for (let page = 0; page < PAGES; page++) assert.notEqual(apart[0]![page], apart[1]![page]);

  const deduper = await scratch.open();
  const report = await dedupeStore(deduper);
  assert.equal(report.bytesShared, PAGES * BLOCK_SIZE);
  await deduper.close();

  // Dedupe re-maps open views within seconds.
  let frames: (readonly number[])[] = apart;
  await until(async () => {
    frames = [await framesOf(one), await framesOf(two)];
    return frames[0]![0] === frames[1]![0];
  }, 'both show the same frame');
  assert.deepEqual(frames[0], frames[1], 'one copy for both');
  assert.equal(new Set(frames[0]).size, PAGES);

  const written = await framesOf(two, { write: 5 });
  for (let page = 0; page < PAGES; page++)
    assert.equal(written[page] === frames[0]![page], page !== 5, `page ${page}`);
  assert.deepEqual(await framesOf(one), frames[0]);
});
