/** Paths as strings, buffers and URLs, and values that cannot be paths. */
import assert from 'node:assert/strict';
import { join } from 'node:path/posix';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { bytePath, encodeName, joinBytes, shownPath } from './paths.ts';

test('an ASCII path is returned as it is', () => {
  assert.equal(bytePath('/src/index.ts'), '/src/index.ts');
  assert.equal(bytePath(''), '');
});

test('text, bytes and URLs of one path are one byte path', () => {
  const text = '/Grüße/日本/😀';
  const bytes = Buffer.from(text, 'utf8').toString('latin1');
  assert.equal(bytePath(text), bytes);
  assert.equal(bytePath(Buffer.from(text)), bytes);
  assert.equal(bytePath(new Uint8Array(Buffer.from(text))), bytes);
  assert.equal(bytePath(pathToFileURL(text)), bytes);
  assert.equal(encodeName(bytes, 'utf8'), text);
});

test('bytes that are not UTF-8 survive', () => {
  const bytes = Buffer.from([0x2f, 0xff, 0x80, 0xc3]);
  const path = bytePath(bytes);
  assert.deepEqual(encodeName(path, 'buffer'), bytes);
  assert.equal(encodeName(path, 'hex'), '2fff80c3');
  assert.equal(encodeName(path, 'latin1'), bytes.toString('latin1'));
  assert.equal(encodeName(path, undefined), bytes.toString('utf8'));
});

test('null bytes and values that are not paths are refused, and the argument is named', () => {
  const withNull = [
    ['a\0b', "'a\\x00b'"],
    [Buffer.from('a\0'), '<Buffer 61 00>'],
  ] as const;
  for (const [path, shown] of withNull) {
    assert.throws(() => bytePath(path, 'oldPath'), {
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_VALUE',
      message: `The argument 'oldPath' must be a string, Uint8Array, or URL without null bytes. Received ${shown}`,
    });
  }
  assert.throws(() => bytePath('ü\0'), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => bytePath(new URL('file:///a%00b')), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => bytePath(new URL('http://host/x')), { code: 'ERR_INVALID_URL_SCHEME' });
  assert.throws(() => bytePath(new URL('file:///a%2fb')), { code: 'ERR_INVALID_FILE_URL_PATH' });
  for (const wrong of [undefined, null, 5, true, {}, [], Symbol('x'), () => 0]) {
    assert.throws(() => bytePath(wrong, 'dest'), {
      name: 'TypeError',
      code: 'ERR_INVALID_ARG_TYPE',
      message: /^The "dest" argument must be of type string or an instance of Buffer or URL\. Received /,
    });
  }
});

test('shownPath keeps text and bytes and turns URLs into paths', () => {
  const bytes = Buffer.from('/x');
  assert.equal(shownPath('/x'), '/x');
  assert.equal(shownPath(bytes), bytes);
  assert.equal(shownPath(new URL('file:///a%20b')), '/a b');
});

test('property: joinBytes names the same file as join', () => {
  const part = fc.stringMatching(/^[a-c]{1,3}$/);
  fc.assert(
    fc.property(part, part, fc.boolean(), (directory, name, hasSlash) => {
      const joined = joinBytes(hasSlash ? `/${directory}/` : `/${directory}`, name);
      assert.equal(joined, join('/', directory, name));
    }),
  );
});
