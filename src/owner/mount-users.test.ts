/** Finding the processes that use a filesystem. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { deviceOfLink } from '../sys/index.ts';
import { processesIn } from './mount-users.ts';

test('only processes that work in a filesystem or have files open there are found', {
  skip: nativeOnly,
}, async () => {
  const device = deviceOfLink('/proc');
  assert.ok(device !== undefined);
  const users = ['/proc', '/'].map((cwd) => spawn('sleep', ['60'], { cwd }));
  // Other processes of this machine may use /proc too: only those of this test count.
  const found = (): unknown[] =>
    processesIn(device).filter((pid) => pid === process.pid || users.some((user) => user.pid === pid));
  try {
    await Promise.all(users.map((user) => once(user, 'spawn')));
    assert.deepEqual(found(), [users[0]?.pid]);
    const fd = openSync('/proc/version', 'r');
    assert.deepEqual(new Set(found()), new Set([users[0]?.pid, process.pid]));
    closeSync(fd);
    assert.deepEqual(found(), [users[0]?.pid]);
  } finally {
    for (const user of users) user.kill('SIGKILL');
  }
});
