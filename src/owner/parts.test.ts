/** The parts of the owner that need no process: lines, errors as JSON, the log, held directories, queues. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { FsError, StoreError } from '../base/index.ts';
import { HeldDirectory } from './held-directory.ts';
import { LineReader } from './line-reader.ts';
import { openLog } from './log.ts';
import { readableLine } from './log-line.ts';
import { Queues } from './queues.ts';
import { fromWire, toWire, type WireError } from './wire-error.ts';

test('lines are split in the same way however their bytes arrive', () => {
  const text = Buffer.from('one\n\ntwo ü three\nrest');
  for (let size = 1; size <= text.length; size++) {
    const reader = new LineReader(100);
    const lines: string[] = [];
    for (let at = 0; at < text.length; at += size) lines.push(...reader.add(text.subarray(at, at + size))!);
    assert.deepEqual(lines, ['one', '', 'two ü three'], `in pieces of ${size}`);
  }
});

test('a line of the maximum length is read, one byte more is not', () => {
  assert.deepEqual(new LineReader(5).add(Buffer.from('12345\n')), ['12345']);
  assert.equal(new LineReader(5).add(Buffer.from('123456')), undefined);
  const reader = new LineReader(5);
  assert.deepEqual(reader.add(Buffer.from('123')), []);
  assert.equal(reader.add(Buffer.from('456\n')), undefined);
});

test('errors keep all their fields as JSON', () => {
  const cross = (error: unknown): Error => fromWire(JSON.parse(JSON.stringify(toWire(error))) as WireError);
  const full = new FsError('EBUSY', { syscall: 'mount', path: 'a', dest: '/b', note: 'why and what to do' });
  for (const error of [full, new FsError('EIO')]) {
    const copy = cross(error);
    assert.ok(copy instanceof FsError);
    assert.deepEqual({ ...copy }, { ...error });
    assert.deepEqual([copy.message, copy.note], [error.message, error.note]);
  }
  const store = new StoreError('ERR_STORE_CORRUPT', 'open', '/x', 'a row. is damaged', 'Run fsck. Now.');
  const copy = cross(store);
  assert.ok(copy instanceof StoreError);
  assert.deepEqual({ ...copy }, { ...store });
  assert.equal(copy.message, store.message);
  assert.equal(cross(new TypeError('x is not y')).message, 'in the owner process: x is not y');
  assert.equal(cross('text').message, 'in the owner process: text');
});

test('the log never grows beyond its limit, and keeps older lines in one more file', (t) => {
  const path = join(scratchDirectory(t), 'owner.log');
  const log = openLog(path, { bytesMax: 2_000 });
  for (let number = 0; number < 100; number++) {
    log.logger.info({ number }, 'an event');
    assert.ok(statSync(path).size <= 2_000);
  }
  log.close();
  assert.ok(existsSync(`${path}.1`));
  assert.ok(statSync(`${path}.1`).size <= 2_000);
  const last = readFileSync(path, 'utf8').trim().split('\n').at(-1)!;
  assert.match(readableLine(last), /^\S+Z info an event number=99$/);
  assert.match(readFileSync(`${path}.1`, 'utf8'), /"number":/);
});

test('a log is appended to, and one that cannot be written does not throw', (t) => {
  const path = join(scratchDirectory(t), 'owner.log');
  writeFileSync(path, 'a trace of Node.js\n');
  const log = openLog(path);
  log.logger.warn('second');
  log.close();
  const [first, second] = readFileSync(path, 'utf8').trim().split('\n');
  assert.equal(readableLine(first!), 'a trace of Node.js');
  assert.match(readableLine(second!), /warn second$/);
  // The descriptor is closed: the line is lost, and nothing is thrown.
  log.logger.warn('third');
});

test('a held directory stays the same when another takes its path, and its real path is shown', (t) => {
  const directory = join(scratchDirectory(t), 'a "b"');
  mkdirSync(directory);
  const held = new HeldDirectory(directory);
  renameSync(directory, `${directory}-moved`);
  mkdirSync(directory);
  writeFileSync(join(held.path, 'file'), '');
  assert.deepEqual([readdirSync(directory), readdirSync(`${directory}-moved`)], [[], ['file']]);
  const error = { path: `${held.path}/x`, other: `${held.path}9/x` };
  assert.deepEqual(JSON.parse(held.shown(JSON.stringify(error))), { ...error, path: `${directory}/x` });
  held.close();
});

test('work under one key is done in order, even after a failure; other keys do not wait for it', async () => {
  const queues = new Queues();
  const done: string[] = [];
  let goOn: () => void = () => undefined;
  const first = queues.run('a', async () => {
    await new Promise<void>((resolve) => {
      goOn = resolve;
    });
    done.push('first');
    throw new Error('it failed');
  });
  const second = queues.run('a', async () => {
    done.push('second');
    return 2;
  });
  await queues.run('b', async () => void done.push('other'));
  goOn();
  await assert.rejects(first, /it failed/);
  assert.equal(await second, 2);
  assert.deepEqual(done, ['other', 'first', 'second']);
});
