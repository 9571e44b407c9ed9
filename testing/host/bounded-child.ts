/**
 * The child of a test, in a mount namespace of its own: a bounded system, and a FUSE server that stops answering.
 * Argument: a directory to work in. Throws if an expectation fails.
 */
import assert from 'node:assert/strict';
import { readdirSync, writeFileSync } from 'node:fs';
import { createBoundedSystem, createSystem } from '../../src/sys/index.ts';
import { OddServer } from '../fuse/odd-server.ts';
import { until } from '../pace/until.ts';
import { codeOf } from '../trees/host-tree.ts';
import { leaveMountsOfOthers } from './own-namespace.ts';

/** A busy machine may take a second to answer. */
const LIMIT_MS = 2_000;
const O_PATH = 0o10000000;
const O_DIRECTORY = 0o200000;
const [, , work = ''] = process.argv;
leaveMountsOfOthers();
const odd = new OddServer(`${work}/odd`);
const files = { a: { ino: 7, text: 'of a' }, b: { ino: 2 ** 53, text: 'x'.repeat(5000) } };
odd.show({ files });
await odd.start();
writeFileSync(`${work}/local`, 'local');

const system = createBoundedSystem(createSystem('native'), LIMIT_MS);
const descriptors = (): number => readdirSync('/proc/self/fd').length;
const name = (text: string): Buffer => Buffer.from(text);

try {
  // While the server answers, the bounded system works like any other.
  const directory = system.openHost(name(odd.directory), O_PATH | O_DIRECTORY);
  assert.deepEqual(
    system.readDirectory(directory).map((entry) => entry.name),
    ['a', 'b'],
  );
  assert.equal(system.statAt(directory, name('a'), false).ino, 7);
  assert.equal(system.statAt(directory, name('b'), false).ino, 2n ** 53n);
  assert.equal(
    codeOf(() => system.statAt(directory, name('c'), false)),
    'ENOENT',
  );
  assert.equal(system.readFileXattrs(directory).size, 0);
  const file = system.openBeneath(directory, name('b'), 0);
  const bytes = Buffer.alloc(6000);
  assert.equal(system.pread(file, bytes, 10, 5990, 4990), 10);
  assert.equal(bytes.toString('latin1', 0, 21), `${'\0'.repeat(10)}${'x'.repeat(10)}\0`);
  assert.equal(await system.preadAsync(file, bytes, 0, 6000, 0), 5000);
  assert.equal(system.seekHole(file, 0), 5000);
  const unread = system.openBeneath(directory, name('a'), 0);

  // The server stops answering.
  const before = descriptors();
  odd.show({ files, isStalled: true });
  const started = performance.now();
  assert.equal(
    codeOf(() => system.openBeneath(directory, name('b'), 0)),
    'ETIMEDOUT',
  );
  const tookMs = performance.now() - started;
  assert.ok(tookMs >= LIMIT_MS, `${tookMs} ms`);
  assert.ok(system.isStuck);
  const calls: (() => unknown)[] = [
    () => system.statFile(file),
    () => system.pread(file, bytes, 0, 10, 0),
    () => system.tryPread(file, bytes, 0, 10, 0),
    () => system.statHost(name(`${odd.directory}/a`), true),
    () => system.readDirectory(directory),
  ];
  const again = performance.now();
  for (const call of calls) assert.equal(codeOf(call), 'ETIMEDOUT');
  await assert.rejects(system.preadAsync(unread, bytes, 0, 4, 0), { code: 'ETIMEDOUT' });
  // Asynchronous reads have a thread of their own, which had to wait for the limit once itself.
  assert.ok(performance.now() - again < 3 * LIMIT_MS, 'a stuck server is not waited for again');
  assert.equal(system.statHost(name(`${work}/local`), true).size, 5, 'other files can still be reached');

  // The server answers late. A descriptor that nobody waits for any more is closed.
  odd.show({ files });
  await until(() => !system.isStuck, 'the server answers');
  assert.equal(system.statAt(directory, name('a'), false).size, 4);
  await until(() => {
    system.statFile(directory);
    return descriptors() <= before;
  }, 'the descriptor that nobody waits for is closed');
  assert.equal(descriptors(), before);
  for (const fd of [file, unread]) system.close(fd);
  system.close(directory);
} finally {
  await odd.end();
}
// If a thread were still in a call, the process would not end.
process.exit(0);
