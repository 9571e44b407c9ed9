/** The queue of content rows: a row is found from the moment it is added, and written once, in the order of keys. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BlobId, BlockIndex } from '../base/index.ts';
import { ContentQueue, type QueuedContent } from './content-queue.ts';

const MAX = 16;

function content(index: number, sizeBytes = index): QueuedContent {
  const hash = createHash('sha256').update(String(index)).digest();
  return { hash, sizeBytes, place: { blob: 1 as BlobId, physical: index as BlockIndex } };
}

function isInOrder(written: readonly QueuedContent[]): boolean {
  return written.every((one, at) => at === 0 || written[at - 1]!.hash.compare(one.hash) <= 0);
}

test('property: each content is written once, and found as soon as it was added', () => {
  fc.assert(
    fc.property(fc.nat(200), fc.integer({ min: 1, max: 50 }), (count, drained) => {
      const written: QueuedContent[] = [];
      const queue = new ContentQueue((one) => written.push(one), MAX);
      for (let index = 0; index < count; index++) {
        const one = content(index);
        queue.add(one);
        assert.deepEqual(queue.find(one.hash, one.sizeBytes), one.place);
        assert.equal(queue.find(one.hash, one.sizeBytes + 1), undefined);
        assert.ok(index + 1 - written.length < 2 * MAX, 'the queue is bounded');
        for (let earlier = Math.max(0, index - MAX); earlier < index; earlier++) {
          const { hash, sizeBytes, place } = content(earlier);
          // Content that left the queue is in the table.
          const found = queue.find(hash, sizeBytes);
          if (found === undefined) assert.ok(written.some((row) => row.place.physical === place.physical));
          else assert.deepEqual(found, place);
        }
      }
      while (queue.drain(drained));
      assert.deepEqual(
        written.map(({ place }) => place.physical).sort((a, b) => a - b),
        Array.from({ length: count }, (_, index) => index),
      );
    }),
  );
});

test('rows go in the order of their keys, by hash and then by size', () => {
  const written: QueuedContent[] = [];
  const queue = new ContentQueue((one) => written.push(one), 1000);
  for (let index = 0; index < 900; index++) queue.add(content(index));
  for (const size of [5, 3, 4]) queue.add(content(1000, size));
  assert.equal(written.length, 0);
  while (queue.drain(7));
  assert.equal(written.length, 903);
  assert.ok(isInOrder(written));
  const same = written.filter(({ hash }) => hash.equals(content(1000).hash));
  assert.deepEqual(
    same.map(({ sizeBytes }) => sizeBytes),
    [3, 4, 5],
  );
});

test('of two places for the same content the later one counts', () => {
  const written: QueuedContent[] = [];
  const queue = new ContentQueue((one) => written.push(one), MAX);
  const first = content(1);
  const second = { ...first, place: { blob: 2 as BlobId, physical: 9 as BlockIndex } };
  queue.add(first);
  queue.add(second);
  assert.deepEqual(queue.find(first.hash, first.sizeBytes), second.place);
  while (queue.drain(1));
  assert.deepEqual(written, [second]);
  assert.equal(queue.drain(1), false);
});
