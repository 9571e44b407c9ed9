/** Who uses a mount. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { processesIn } from './mount-users.ts';

const skip = process.platform !== 'linux' && 'needs Linux';

test('who works in a directory or has files open there is found, nobody else', { skip }, async (t) => {
  const scratch = scratchDirectory(t);
  const [place, other] = [join(scratch, 'place'), join(scratch, 'place-2')];
  mkdirSync(join(place, 'deep'), { recursive: true });
  mkdirSync(other);
  writeFileSync(join(place, 'file'), '');
  assert.deepEqual(processesIn(place), []);
  const users = [join(place, 'deep'), other].map((cwd) => spawn('sleep', ['60'], { cwd }));
  try {
    await Promise.all(users.map((user) => once(user, 'spawn')));
    assert.deepEqual(processesIn(place), [users[0]?.pid]);
    const fd = openSync(join(place, 'file'), 'r');
    assert.deepEqual(new Set(processesIn(place)), new Set([users[0]?.pid, process.pid]));
    closeSync(fd);
    assert.deepEqual(processesIn(place), [users[0]?.pid]);
  } finally {
    for (const user of users) user.kill('SIGKILL');
  }
});
