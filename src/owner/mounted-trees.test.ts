/** What other processes learn from an owner about its mounts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { createSystem } from '../sys/index.ts';
import { LineReader } from './line-reader.ts';
import { MountedTrees } from './mounted-trees.ts';
import { PROTOCOL_VERSION, REQUEST_BYTES_MAX } from './protocol.ts';

test('an owner of an earlier build, which tells no users of a mount, is understood', async (t) => {
  const store = scratchDirectory(t);
  mkdirSync(join(store, 'run'));
  const record = { fork: 'f', directory: '/m', io: 'cached', holders: [], isKept: true, isDetached: false };
  const server = createServer((socket) => {
    const reader = new LineReader(REQUEST_BYTES_MAX);
    socket.on('data', (bytes) => {
      for (const line of reader.add(bytes)!) {
        const { id, operation } = JSON.parse(line);
        const result = operation === 'hello' ? { protocol: PROTOCOL_VERSION, pid: process.pid } : [record];
        socket.write(`${JSON.stringify({ id, result })}\n`);
      }
    });
  });
  server.listen(join(store, 'run/owner.sock'));
  await once(server, 'listening');
  t.after(() => server.close());
  const trees = new MountedTrees(store, createSystem());
  t.after(() => trees.close());
  assert.deepEqual(await trees.list(), [{ ...record, users: [] }]);
});
