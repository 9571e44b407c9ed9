/**
 * Tar headers, read back by another implementation (tar-stream), and compared byte by byte where that one makes
 * strings of them.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { extract, type Header } from 'tar-stream';
import { encodeTarHeader, TAR_END, type TarEntry, tarPadding } from './tar-archive.ts';

const ENTRY: TarEntry = {
  path: Buffer.from('./a/file'),
  type: 'file',
  mode: 0o640,
  uid: 10,
  gid: 20,
  sizeBytes: 0,
  mtime: { seconds: 1_700_000_000, nanoseconds: 123_456_789 },
  atime: { seconds: 5, nanoseconds: 0 },
  target: Buffer.alloc(0),
  deviceMajor: 0,
  deviceMinor: 0,
  xattrs: [],
};

async function readBack(entry: Partial<TarEntry>, content = Buffer.alloc(0)): Promise<Header> {
  const reader = extract();
  let found: Header | undefined;
  const bytes: Buffer[] = [];
  reader.on('entry', (header, stream, next) => {
    found = header;
    stream.on('data', (piece) => {
      assert.ok(piece instanceof Uint8Array);
      bytes.push(Buffer.from(piece));
    });
    stream.on('end', next);
    stream.resume();
  });
  reader.write(encodeTarHeader({ ...ENTRY, sizeBytes: content.length, ...entry }));
  reader.write(content);
  reader.write(tarPadding(content.length));
  reader.end(TAR_END);
  await once(reader, 'finish');
  assert.ok(found !== undefined);
  assert.ok(Buffer.concat(bytes).equals(content));
  return found;
}

function timeOf(header: Header, key: 'mtime' | 'atime'): string | undefined {
  // The type of tar-stream says {}; its reader puts every record of the extended header there as text.
  return (header.pax as Record<string, string> | null | undefined)?.[key];
}

/** The records of the extended header, by key, as bytes. */
function paxRecords(header: Buffer): Map<string, Buffer> {
  const size = Number.parseInt(header.toString('latin1', 124, 135), 8);
  const records = new Map<string, Buffer>();
  for (let at = 512; at < 512 + size; ) {
    const length = Number.parseInt(header.toString('latin1', at, header.indexOf(0x20, at)), 10);
    const start = header.indexOf(0x20, at) + 1;
    const equals = header.indexOf(0x3d, start);
    assert.equal(header[at + length - 1], 0x0a);
    records.set(header.toString('latin1', start, equals), header.subarray(equals + 1, at + length - 1));
    at += length;
  }
  return records;
}

describe('a header is read back as it was', () => {
  test('plain', async () => {
    const header = await readBack({}, Buffer.from('content'));
    assert.equal(header.name, './a/file');
    assert.equal(header.size, 7);
    assert.equal(header.mode, 0o640);
    assert.equal(header.uid, 10);
    assert.equal(header.gid, 20);
    assert.equal(header.type, 'file');
    assert.equal(timeOf(header, 'mtime'), '1700000000.123456789');
    assert.equal(timeOf(header, 'atime'), '5.000000000');
  });

  test('of every type', async () => {
    const types = {
      link: 'link',
      symlink: 'symlink',
      character: 'character-device',
      block: 'block-device',
      directory: 'directory',
      fifo: 'fifo',
    } as const;
    for (const [type, read] of Object.entries(types)) {
      const target = type.endsWith('link') ? Buffer.from('target') : Buffer.alloc(0);
      const header = await readBack({
        type: type as TarEntry['type'],
        target,
        deviceMajor: 7,
        deviceMinor: 300,
      });
      assert.equal(header.type, read);
      assert.equal(header.linkname ?? '', target.toString());
      assert.equal(header.devmajor, 7);
      assert.equal(header.devminor, 300);
    }
  });

  test('with a mode of 0, which differs from no mode', async () => {
    assert.equal((await readBack({ mode: 0 })).mode, 0);
  });

  test('with long names and targets, whole', async () => {
    for (const length of [99, 100, 101, 155, 256, 1000]) {
      const path = Buffer.from(`./${'n'.repeat(length - 2)}`);
      const target = Buffer.from('t'.repeat(length));
      const header = await readBack({ path, target, type: 'symlink' });
      assert.equal(header.name, path.toString());
      assert.equal(header.linkname, target.toString());
    }
  });

  test('with names that are not ASCII', async () => {
    assert.equal((await readBack({ path: Buffer.from('./ünï') })).name, './ünï');
  });

  test('with numbers too large for octal fields', async () => {
    const header = encodeTarHeader({ ...ENTRY, uid: 4_294_967_294, gid: 3_000_000, sizeBytes: 2 ** 40 });
    const records = paxRecords(header);
    assert.equal(String(records.get('uid')), '4294967294');
    assert.equal(String(records.get('gid')), '3000000');
    assert.equal(String(records.get('size')), String(2 ** 40));
  });
});

test('names and attributes are bytes, whatever they are', () => {
  const path = Buffer.from([0x2e, 0x2f, 0xff, 0xfe]);
  const value = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const records = paxRecords(encodeTarHeader({ ...ENTRY, path, xattrs: [[Buffer.from('user.x'), value]] }));
  assert.ok(records.get('path')?.equals(path));
  assert.ok(records.get('SCHILY.xattr.user.x')?.equals(value));
});

test('records say their own length, also where its digits make it one digit longer', () => {
  for (let length = 1; length < 1200; length++) {
    const value = Buffer.alloc(length, 0x76);
    const records = paxRecords(encodeTarHeader({ ...ENTRY, xattrs: [[Buffer.from('u'), value]] }));
    assert.equal(records.get('SCHILY.xattr.u')?.length, length);
  }
});

test('moments before 1970 are negative decimals', () => {
  const timeOf = (seconds: number, nanoseconds: number): string =>
    String(paxRecords(encodeTarHeader({ ...ENTRY, mtime: { seconds, nanoseconds } })).get('mtime'));
  assert.equal(timeOf(-1, 0), '-1.000000000');
  assert.equal(timeOf(-1, 500_000_000), '-0.500000000');
  assert.equal(timeOf(-6, 500_000_001), '-5.499999999');
  assert.equal(timeOf(0, 1), '0.000000001');
});

test('padding fills the last block', () => {
  assert.equal(tarPadding(0).length, 0);
  assert.equal(tarPadding(1).length, 511);
  assert.equal(tarPadding(512).length, 0);
  assert.equal(tarPadding(513).length, 511);
});
