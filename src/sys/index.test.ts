/** The choice of the system that a process gets, and the small parts that systems share. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { isFsError } from '../base/index.ts';
import { errnoFailure, nodeFailure } from './errno.ts';
import { createSystem } from './index.ts';
import { deviceNumber } from './statx.ts';
import { int64, setUint64, uint64 } from './words.ts';

describe('createSystem', () => {
  let before: string | undefined;

  beforeEach(() => {
    before = process.env.RAMET_SYSTEM;
    delete process.env.RAMET_SYSTEM;
  });

  afterEach(() => {
    if (before === undefined) delete process.env.RAMET_SYSTEM;
    else process.env.RAMET_SYSTEM = before;
  });

  test('is native where libc can be loaded', () => {
    assert.equal(createSystem().kind, 'native');
    assert.equal(createSystem().canMap, true);
  });

  test('is the one in RAMET_SYSTEM, unless the caller names one', () => {
    process.env.RAMET_SYSTEM = 'buffered';
    assert.equal(createSystem().kind, 'buffered');
    assert.equal(createSystem('native').kind, 'native');
    process.env.RAMET_SYSTEM = 'native';
    assert.equal(createSystem().kind, 'native');
    assert.equal(createSystem('buffered').kind, 'buffered');
    process.env.RAMET_SYSTEM = '';
    assert.equal(createSystem().kind, 'native');
  });

  test('refuses any other value of RAMET_SYSTEM', () => {
    process.env.RAMET_SYSTEM = 'fast';
    assert.throws(
      () => createSystem(),
      (error) => isFsError(error, 'EINVAL') && error.message.includes("not 'fast'"),
    );
  });
});

test('without koffi a machine gets the buffered system; asking for the native one fails with the reason', () => {
  const door = JSON.stringify(new URL('./index.js', import.meta.url).href);
  const script = `
    Object.defineProperty(process, 'arch', { value: 'pdp11' });
    import(${door}).then(({ createSystem }) => {
      let failure;
      try { createSystem('native') } catch (error) { failure = error }
      process.stdout.write(JSON.stringify([createSystem().kind, failure.code, failure.message]));
    });`;
  const env = { ...process.env, RAMET_SYSTEM: '' };
  const child = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8', env });
  const [kind, code, message] = JSON.parse(child.stdout);
  assert.deepEqual([kind, code], ['buffered', 'ENOSYS']);
  assert.match(message, /the native system is not available: .*linux\/pdp11/);
});

describe('errno', () => {
  test('an errno becomes an error with its code, call and path', () => {
    const failure = errnoFailure(28, 'fallocate', Buffer.from('/é'));
    assert.deepEqual([failure.code, failure.syscall, failure.path], ['ENOSPC', 'fallocate', '/é']);
    assert.equal(errnoFailure(28, 'fallocate').path, undefined);
  });

  test('an error that does not come from a system call stays as it is', () => {
    const defect = new TypeError('wrong argument');
    assert.equal(nodeFailure(defect, 'open'), defect);
    assert.equal(nodeFailure('text', 'open'), 'text');
  });
});

describe('words', () => {
  test('numbers are read as they were stored', () => {
    const words = new Uint32Array(4);
    fc.assert(
      fc.property(fc.maxSafeInteger(), (value) => {
        words.fill(0xffffffff);
        setUint64(words, 1, value);
        assert.equal(int64(words, 1), value);
        if (value >= 0) assert.equal(uint64(words, 1), value);
        assert.equal(new BigInt64Array(words.slice(1, 3).buffer)[0], BigInt(value));
        assert.deepEqual([words[0], words[3]], [0xffffffff, 0xffffffff]);
      }),
    );
  });
});

test('device numbers are those of makedev(3)', () => {
  const word = fc.integer({ min: 0, max: 2 ** 20 - 1 });
  fc.assert(
    fc.property(word, fc.integer({ min: 0, max: 2 ** 32 - 1 }), (major, minor) => {
      const [a, b] = [BigInt(major), BigInt(minor)];
      const expected =
        ((a & 0xfffff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffffff00n) << 12n) | (b & 0xffn);
      assert.equal(deviceNumber(major, minor), Number(expected));
    }),
  );
});
