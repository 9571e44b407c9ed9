/** Rows of host files, of host layers and of the layers of a directory are read back as written, or refused. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { fileNames, layerNumbers } from '../../testing/stores/arbitrary-rows.ts';
import { ByteReader, ByteWriter, DecodeError } from '../base/index.ts';
import { type ExternalRecord, externalFormat } from './external-format.ts';
import { fileSystemFormat, type HostIdentity, hostLayersFormat, isSameDirectory } from './host-format.ts';
import { type HostSource, type LayerRecord, layerFormat } from './layer-format.ts';
import { type TreeRecord, treeFormat } from './tree-format.ts';

const nat = fc.maxSafeNat();
const byteString = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const time = fc.record(
  { seconds: fc.maxSafeInteger(), nanoseconds: fc.nat(999_999_999) },
  { noNullPrototype: true },
);
/** A bigint where a double cannot hold the number. */
const hostIno = fc.oneof(nat, fc.bigInt(2n ** 53n, 2n ** 64n - 1n));
const birth = fc.option(time, { nil: undefined });
const external: fc.Arbitrary<ExternalRecord> = fc.record(
  {
    layer: layerNumbers,
    ino: hostIno,
    birth,
    sizeBytes: nat,
    modified: time,
    changed: time,
    path: fc.array(fileNames, { maxLength: 3 }).map((names) => names.join('/')),
  },
  { noNullPrototype: true },
);
const identity = {
  ino: hostIno,
  birth,
  fileSystemUuid: fc.option(
    fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex')),
    { nil: undefined },
  ),
  subvolume: fc.option(fc.nat(), { nil: undefined }),
};
const directory: fc.Arbitrary<HostIdentity> = fc.record(identity, { noNullPrototype: true });
const host: fc.Arbitrary<HostSource> = fc.record(
  { path: byteString.map((path) => `/${path.replaceAll('\0', '')}`), ...identity, isPinned: fc.boolean() },
  { noNullPrototype: true },
);

function layerOver(source: HostSource | undefined): LayerRecord {
  const none = { parent: 0 as const, activeBlob: 0 as const, inoNext: 0, inoEnd: 0, depth: 0 };
  const created = { seconds: 1, nanoseconds: 2 };
  const rest = {
    generation: 1,
    appliedSequence: 0,
    created,
    frozenAt: created,
    unsealedBlobs: [],
    droppedEpoch: undefined,
  };
  return {
    state: 'frozen',
    root: 7 as never,
    ...none,
    ...rest,
    ...(source === undefined ? {} : { host: source }),
  };
}

function bytesOf(encode: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter(8);
  encode(writer);
  return writer.take();
}

/** Checks that every proper prefix of at least `from` bytes is refused. */
function refusesBeginnings(bytes: Buffer, decode: (reader: ByteReader) => unknown, from = 0): void {
  for (let length = from; length < bytes.length; length++) {
    assert.throws(() => decode(new ByteReader(bytes.subarray(0, length))), DecodeError, `${length} bytes`);
  }
}

test('a layer row may have a number, from an earlier version, where this one writes a zero: it is skipped', () => {
  const layer = layerOver(undefined);
  const bytes = bytesOf((writer) => layerFormat.write(writer, layer));
  assert.equal(bytes[3], 0, 'after the state, the parent and the root');
  bytes[3] = 5;
  assert.deepEqual(layerFormat.read(new ByteReader(bytes)), layer);
});

test('the row of a host file is read back as it was written', () => {
  fc.assert(
    fc.property(external, (record) => {
      const bytes = bytesOf((writer) => externalFormat.write(writer, record));
      const reader = new ByteReader(bytes);
      assert.deepEqual(externalFormat.read(reader), record);
      assert.ok(reader.isAtEnd);
      refusesBeginnings(bytes, externalFormat.read);
    }),
    { numRuns: 50 },
  );
});

test('a layer is read back with its host directory', () => {
  fc.assert(
    fc.property(fc.option(host, { nil: undefined }), (source) => {
      const bytes = bytesOf((writer) => layerFormat.write(writer, layerOver(source)));
      assert.deepEqual(layerFormat.read(new ByteReader(bytes)), layerOver(source));
      const plain = bytesOf((writer) => layerFormat.write(writer, layerOver(undefined))).length;
      if (source === undefined) {
        refusesBeginnings(bytes, layerFormat.read);
        return;
      }
      // A row that ends before the directory is a layer without one. A row that ends before the filesystem comes
      // from an older version.
      const older = { ...source, fileSystemUuid: undefined, subvolume: undefined };
      const tail = bytesOf((writer) => fileSystemFormat.write(writer, source)).length;
      assert.deepEqual(layerFormat.read(new ByteReader(bytes.subarray(0, -tail))), layerOver(older));
      refusesBeginnings(bytes.subarray(0, -tail), layerFormat.read, plain + 1);
      refusesBeginnings(bytes, layerFormat.read, bytes.length - tail + 1);
    }),
    { numRuns: 50 },
  );
});

test('a layer with an unknown kind of source is refused', () => {
  const bytes = bytesOf((writer) => layerFormat.write(writer, layerOver(undefined)));
  const more = Buffer.concat([bytes, Buffer.from([99, 0])]);
  assert.throws(() => layerFormat.read(new ByteReader(more)), /layer source 99 is unknown/);
});

test('the row that lists the layers of a directory is read back as it was written', () => {
  fc.assert(
    fc.property(fc.array(layerNumbers, { minLength: 1, maxLength: 5 }), (layers) => {
      const bytes = bytesOf((writer) => hostLayersFormat.write(writer, layers));
      assert.deepEqual(hostLayersFormat.read(new ByteReader(bytes)), layers);
      const first = bytesOf((writer) => hostLayersFormat.write(writer, layers.slice(0, 1)));
      refusesBeginnings(first, hostLayersFormat.read);
    }),
  );
});

test('an imported tree is read back with the directory that it came from', () => {
  const created = { seconds: 1, nanoseconds: 2 };
  const plain = { kind: 'snapshot', layer: 3, root: 4, created, source: '/repo', id: 5 } as TreeRecord;
  fc.assert(
    fc.property(directory, (imported) => {
      const bytes = bytesOf((writer) => treeFormat.write(writer, { ...plain, imported }));
      assert.deepEqual(treeFormat.read(new ByteReader(bytes)), { ...plain, imported });
      const before = bytesOf((writer) => treeFormat.write(writer, plain));
      assert.deepEqual(treeFormat.read(new ByteReader(before)), plain);
      refusesBeginnings(before, treeFormat.read);
    }),
    { numRuns: 50 },
  );
});

test('directories are the same if inode and birth agree, and filesystem and subvolume where both are known', () => {
  const known = { ino: 2, birth: { seconds: 1, nanoseconds: 2 }, fileSystemUuid: 'ab', subvolume: 256 };
  assert.ok(isSameDirectory(known, { ...known, birth: { ...known.birth } }));
  assert.ok(isSameDirectory(known, { ...known, fileSystemUuid: undefined, subvolume: undefined }));
  assert.ok(!isSameDirectory(known, { ...known, ino: 3 }));
  assert.ok(!isSameDirectory(known, { ...known, birth: undefined }));
  assert.ok(!isSameDirectory(known, { ...known, birth: { seconds: 1, nanoseconds: 3 } }));
  assert.ok(!isSameDirectory(known, { ...known, fileSystemUuid: 'ac' }));
  assert.ok(!isSameDirectory(known, { ...known, subvolume: 257 }));
  const large = 2n ** 63n + 1n;
  assert.ok(!isSameDirectory({ ...known, ino: large }, { ...known, ino: large + 1n }));
});
