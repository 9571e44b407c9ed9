/** Rows of host files, of host layers, and of what layer a directory is: they come back as stored, or are refused. */
import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { ByteReader, ByteWriter, DecodeError, type LayerId } from '../base/index.ts';
import { decodeExternal, type ExternalRecord, encodeExternal } from './external-format.ts';
import { decodeHostLayer, encodeHostLayer } from './host-format.ts';
import { decodeLayer, encodeLayer, type HostSource, type LayerRecord } from './layer-format.ts';

const nat = fc.maxSafeNat();
const byteString = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes).toString('latin1'));
const time = fc.record(
  { seconds: fc.maxSafeInteger(), nanoseconds: fc.nat(999_999_999) },
  { noNullPrototype: true },
);
const birth = fc.option(time, { nil: undefined });
const external: fc.Arbitrary<ExternalRecord> = fc.record(
  {
    layer: nat.map((value) => value as LayerId),
    ino: nat,
    birth,
    sizeBytes: nat,
    modified: time,
    changed: time,
    path: byteString,
  },
  { noNullPrototype: true },
);
const host: fc.Arbitrary<HostSource> = fc.record(
  { path: byteString, ino: nat, birth, isPinned: fc.boolean() },
  { noNullPrototype: true },
);

function layerOver(source: HostSource | undefined): LayerRecord {
  const none = { parent: 0 as const, activeBlob: 0 as const, dev: 0, inoNext: 0, inoEnd: 0, depth: 0 };
  const created = { seconds: 1, nanoseconds: 2 };
  const rest = { generation: 1, appliedSequence: 0, created, frozenAt: created, unsealedBlobs: [] };
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

/** Every beginning of the bytes is refused. */
function refusesBeginnings(bytes: Buffer, decode: (reader: ByteReader) => unknown, from = 0): void {
  for (let length = from; length < bytes.length; length++) {
    assert.throws(() => decode(new ByteReader(bytes.subarray(0, length))), DecodeError, `${length} bytes`);
  }
}

test('a host file comes back as it was recorded', () => {
  fc.assert(
    fc.property(external, (record) => {
      const bytes = bytesOf((writer) => encodeExternal(writer, record));
      const reader = new ByteReader(bytes);
      assert.deepEqual(decodeExternal(reader), record);
      assert.ok(reader.isAtEnd);
      refusesBeginnings(bytes, decodeExternal);
    }),
    { numRuns: 50 },
  );
});

test('a layer comes back with the directory that it is', () => {
  fc.assert(
    fc.property(fc.option(host, { nil: undefined }), (source) => {
      const bytes = bytesOf((writer) => encodeLayer(writer, layerOver(source)));
      assert.deepEqual(decodeLayer(new ByteReader(bytes)), layerOver(source));
      const plain = bytesOf((writer) => encodeLayer(writer, layerOver(undefined))).length;
      // What ends before the directory begins is the layer without it.
      refusesBeginnings(bytes, decodeLayer, source === undefined ? 0 : plain + 1);
    }),
    { numRuns: 50 },
  );
});

test('a layer with its inodes in an unknown place is refused', () => {
  const bytes = bytesOf((writer) => encodeLayer(writer, layerOver(undefined)));
  const more = Buffer.concat([bytes, Buffer.from([99, 0])]);
  assert.throws(() => decodeLayer(new ByteReader(more)), /layer source 99 is unknown/);
});

test('the layer of a directory comes back', () => {
  fc.assert(
    fc.property(nat, (layer) => {
      const bytes = bytesOf((writer) => encodeHostLayer(writer, layer as LayerId));
      assert.equal(decodeHostLayer(new ByteReader(bytes)), layer);
      refusesBeginnings(bytes, decodeHostLayer);
    }),
  );
});
