/** Decoders that need no store: for any bytes they return, or throw a DecodeError or an error with a code. */
import {
  type BlobId,
  ByteReader,
  ByteWriter,
  DecodeError,
  FsError,
  type Ino,
  type LayerId,
  type Name,
  writeChecksum,
} from '../../src/base/index.ts';
import { decodeSums, encodeSums } from '../../src/blob/sum-format.ts';
import {
  decodeEffects,
  encodeExternalEffect,
  encodeInodeEffect,
  encodeName,
  encodeOrigin,
  encodeRuns,
  encodeXattrs,
} from '../../src/layer/effect-format.ts';
import {
  decodeHostOrigin,
  decodeUnionOrigin,
  encodeHostOrigin,
  encodeUnionOrigin,
} from '../../src/lower/origin-format.ts';
import { blobFormat } from '../../src/meta/blob-format.ts';
import { contentFormat } from '../../src/meta/content-format.ts';
import { counterFormat } from '../../src/meta/counter-format.ts';
import { dentryFormat } from '../../src/meta/dentry-format.ts';
import { droppedFormat } from '../../src/meta/dropped-format.ts';
import { decodeRuns, encodeRuns as encodeRunRow } from '../../src/meta/extent-format.ts';
import { externalFormat } from '../../src/meta/external-format.ts';
import type { Format } from '../../src/meta/fields.ts';
import { hostLayersFormat } from '../../src/meta/host-format.ts';
import { inodeFormat } from '../../src/meta/inode-format.ts';
import {
  decodeHeader,
  decodeOwner,
  encodeHeader,
  encodeOwner,
  HEADER_BYTES,
} from '../../src/meta/journal-format.ts';
import { type LayerRecord, layerFormat } from '../../src/meta/layer-format.ts';
import { decodeLmdbMeta, LMDB_META_BYTES, visitReferences } from '../../src/meta/lmdb-format.ts';
import { newInodeRecord } from '../../src/meta/new-inode.ts';
import { treeFormat } from '../../src/meta/tree-format.ts';
import { xattrsFormat } from '../../src/meta/xattr-format.ts';
import { decodeLease, encodeLease } from '../../src/store/lease-format.ts';
import { ByteStream } from '../../src/transfer/byte-stream.ts';
import { TarReader } from '../../src/transfer/tar-reader.ts';
import { decodeAcl, encodeAcl } from '../../src/vfs/posix-acl-format.ts';
import { tarBytes } from '../trees/tar-bytes.ts';
import type { Target } from './fuzz.ts';

const now = { seconds: 1_600_000_000, nanoseconds: 5 };
const [ino, layer, blob] = [7 as Ino, 3 as LayerId, 9 as BlobId];
const file = newInodeRecord({ mode: 0o100644, uid: 1, gid: 2, nlink: 1 }, now);
const symlink = { ...newInodeRecord({ mode: 0o120777, uid: 1, gid: 2, nlink: 1 }, now), target: 'a/b/../c' };
const xattrs = new Map([
  ['user.a', Buffer.from('value')],
  ['trusted.overlay.opaque', Buffer.from('y')],
]);
const identity = { ino: 5, birth: now, fileSystemUuid: '00'.repeat(16), subvolume: 4 };
const external = {
  layer,
  ino: 2 ** 40,
  birth: now,
  sizeBytes: 5000,
  modified: now,
  changed: now,
  path: 'd/file',
};
const run = { logical: 2, count: 3, blob, physical: 70 } as never;
const later = { logical: 9, count: 1000, blob, physical: 4 } as never;
const layerRow: LayerRecord = {
  state: 'frozen',
  parent: layer,
  root: ino,
  activeBlob: blob,
  inoNext: 5,
  inoEnd: 900,
  generation: 2,
  appliedSequence: 3,
  depth: 4,
  created: now,
  frozenAt: now,
  unsealedBlobs: [blob],
};

function bytesOf(write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter(64);
  write(writer);
  return writer.take();
}

function decoder(name: string, seeds: readonly Buffer[], run: (bytes: Buffer) => unknown): Target {
  const isRefusal = (error: unknown): boolean => error instanceof DecodeError || error instanceof FsError;
  return { name, seeds, run: (bytes) => void run(bytes), isRefusal };
}

function row<Row, Given>(name: string, format: Format<Row, Given>, ...rows: readonly Given[]): Target {
  const seeds = rows.map((one) => bytesOf((writer) => format.write(writer, one)));
  return decoder(`row ${name}`, seeds, (bytes) => format.read(new ByteReader(bytes)));
}

const effects = [
  bytesOf((writer) => {
    encodeOrigin(writer, ino, Buffer.from('origin'));
    encodeExternalEffect(writer, blob, external);
    encodeRuns(writer, ino, [run, later]);
    encodeInodeEffect(writer, ino, file);
    encodeName(writer, ino, 'name' as Name, 8, 8);
    encodeXattrs(writer, ino, xattrs);
  }),
  bytesOf((writer) => encodeInodeEffect(writer, ino, symlink)),
];

const ignore = (): void => undefined;
const IGNORED = {
  runs: ignore,
  inode: ignore,
  name: ignore,
  xattrs: ignore,
  origin: ignore,
  external: ignore,
};

async function readTar(bytes: Buffer): Promise<void> {
  const stream = new ByteStream(
    '/a.tar',
    (async function* () {
      for (let at = 0; at < bytes.length; at += 700) yield bytes.subarray(at, at + 700);
    })(),
  );
  const reader = new TarReader(stream);
  const target = Buffer.alloc(4096);
  for (let member = await reader.next(); member !== undefined; member = await reader.next()) {
    if (member.sizeBytes % 2 === 0) await reader.readContent(target, Math.min(member.sizeBytes, 4096));
  }
}

/** Gives tar headers right checksums, so that their fields are decoded. */
function withSums(bytes: Buffer): Buffer {
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    const header = bytes.subarray(at, at + 512);
    if (header.toString('latin1', 257, 262) !== 'ustar') continue;
    header.fill(0x20, 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  }
  return bytes;
}

const tar = tarBytes([
  { path: 'd/', xattrs: { 'user.a': 'x', 'trusted.overlay.opaque': 'y' } },
  { path: 'd/file', content: 'x'.repeat(1500) },
  { path: `d/${'n'.repeat(200)}`, content: 'y' },
  { path: 'link', type: 'symlink', target: '\xff/to' },
  { path: 'hard', type: 'link', target: 'd/file' },
  { path: 'dev', type: 'character', deviceMajor: 1, deviceMinor: 3 },
  { path: '.wh.gone' },
]);

const header = { layer, generation: 2, firstSequence: 5, salt: 77n, bootId: 'boot' };
const page = Buffer.alloc(HEADER_BYTES);
encodeHeader(header).copy(page);
encodeOwner(5).copy(page, 2048);

function lmdbPage(): Buffer {
  const bytes = Buffer.alloc(4096);
  bytes.writeUInt16LE(0x02, 18);
  bytes.writeUInt16LE(4, 20);
  bytes.writeUInt16LE(100, 24);
  bytes.writeUInt16LE(200, 26);
  bytes.writeUInt16LE(1, 128);
  return bytes;
}

export const DECODERS: readonly Target[] = [
  row('inode', inodeFormat, file, symlink),
  row('dentry', dentryFormat, { ino, kind: 8 }, { ino: 0 as Ino, kind: 0 }),
  row('xattr', xattrsFormat, xattrs),
  row('blob', blobFormat, {
    kind: 'own',
    state: 'sealed',
    layer,
    lengthBlocks: 2,
    lengthBytes: 5000,
    created: now,
  }),
  row('content', contentFormat, { blob, physical: 4, sizeBytes: 9000 }),
  row('counter', counterFormat, 5),
  row('dropped', droppedFormat, {
    epoch: 4,
    ranges: [
      { start: 3, end: 5 },
      { start: 9, end: 1000 },
    ],
  }),
  row('external', externalFormat, external),
  row('host', hostLayersFormat, [layer, 4 as LayerId]),
  row(
    'layer',
    layerFormat,
    layerRow,
    { ...layerRow, parent: 0, host: { ...identity, path: '/home', isPinned: true } },
    {
      ...layerRow,
      components: [layer, 2 as LayerId],
    },
  ),
  row('tree', treeFormat, {
    kind: 'fork',
    layer,
    root: ino,
    created: now,
    source: 'base',
    id: 4,
    imported: identity,
  }),
  decoder('row extent', [bytesOf((writer) => encodeRunRow(writer, 0, [run, later]))], (bytes) =>
    decodeRuns(new ByteReader(bytes), 0, []),
  ),
  decoder('journal record', effects, (bytes) => decodeEffects(bytes, IGNORED)),
  decoder('journal header', [page], (bytes) => {
    const whole = Buffer.alloc(HEADER_BYTES);
    bytes.copy(whole);
    for (const at of [0, 1024]) writeChecksum(whole, at + 109, whole.subarray(at, at + 109));
    decodeHeader(whole, layer);
    decodeOwner(whole);
  }),
  decoder('sums', [encodeSums(blob, new BigUint64Array([1n, 2n, 3n]), 3)], (bytes) =>
    decodeSums(blob, bytes),
  ),
  decoder('lease', [encodeLease({ epoch: 5, pid: 77 })], decodeLease),
  decoder(
    'origin of the host',
    [
      encodeHostOrigin({
        hostIno: 2n ** 63n,
        birthSeconds: 1,
        birthNanoseconds: 2,
        part: 0,
        hasOneName: true,
        path: 'a/b',
        mode: 0o100644,
        sizeBytes: 5,
        modified: now,
      }),
    ].map((bytes) => Buffer.from(bytes)),
    decodeHostOrigin,
  ),
  decoder(
    'origin of a union',
    [Buffer.from(encodeUnionOrigin({ component: 1, ino }, Buffer.from('inner')))],
    decodeUnionOrigin,
  ),
  decoder('acl', [encodeAcl([{ tag: 1, permissions: 6, id: 0 }])], decodeAcl),
  decoder('tables, first pages', [Buffer.alloc(LMDB_META_BYTES, 1)], (bytes) => {
    const whole = Buffer.alloc(4096);
    bytes.copy(whole);
    whole.writeUInt32LE(0xbeefc0de, 24);
    whole.writeUInt16LE(8, 18);
    decodeLmdbMeta(whole);
  }),
  decoder('tables, a page', [lmdbPage()], (bytes) => {
    const whole = Buffer.alloc(4096);
    bytes.copy(whole);
    visitReferences(whole, 0, () => undefined);
  }),
  {
    ...decoder('tar', [tar], () => undefined),
    run: (bytes) => readTar(withSums(bytes)),
  },
];
