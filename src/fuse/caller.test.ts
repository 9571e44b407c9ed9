/** The rights of a caller. Mounts test the rest: `testing/mount/xattrs.ts`. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { hasAdmin } from './caller.ts';

const isRoot = process.getuid?.() === 0;

test('a process has the rights of its capabilities; with another user’s credentials it has that user’s', {
  skip: !isRoot && 'needs root',
}, () => {
  assert.equal(hasAdmin({ pid: process.pid, uid: 0 }), true);
  assert.equal(hasAdmin({ pid: process.pid, uid: 1000 }), false);
  const child = spawn('sleep', ['60'], { uid: 1000, gid: 1000, stdio: 'ignore' });
  try {
    assert.equal(hasAdmin({ pid: child.pid!, uid: 1000 }), false);
    assert.equal(hasAdmin({ pid: child.pid!, uid: 0 }), true);
  } finally {
    child.kill();
  }
});

test('a process that has no process id here, or has ended, has the rights of its user', {
  skip: !isRoot && 'needs root',
}, () => {
  for (const pid of [0, 2 ** 22 + 1]) {
    assert.equal(hasAdmin({ pid, uid: 0 }), true);
    assert.equal(hasAdmin({ pid, uid: 1000 }), false);
  }
});

const ASK = `
const { hasAdmin } = await import(${JSON.stringify(new URL('./caller.js', import.meta.url).href)});
console.log(hasAdmin({ pid: process.pid, uid: 0 }), hasAdmin({ pid: 0, uid: 0 }));
`;

function askIn(...words: readonly string[]): ReturnType<typeof spawnSync> {
  const [program, ...rest] = [...words, process.execPath, '--input-type=module', '--eval', ASK];
  return spawnSync(program!, rest, { encoding: 'utf8' });
}

test('nobody in a user namespace has the rights of an administrator', {
  skip: spawnSync('unshare', ['--user', '--map-root-user', 'true']).status !== 0 && 'needs user namespaces',
}, () => {
  assert.equal(askIn('unshare', '--user', '--map-root-user').stdout, 'false false\n');
});

test('where /proc shows another process namespace, its process ids are not used', {
  skip: !isRoot && 'needs root',
}, () => {
  // The child is process 1 of the new namespace, but /proc/1 is another process.
  const words = ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin'];
  assert.equal(askIn(...words).stdout, 'false true\n');
  assert.equal(askIn('unshare', '--pid', '--fork', ...words).stdout, 'true true\n');
});
