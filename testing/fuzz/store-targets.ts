/**
 * Targets that are whole stores: one row, the journal, or the layers that are imported are bytes that Ramet does not
 * write, but with right checksums, so that every reader decodes them. Every call ends, or fails with an error code.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import {
  type BlobId,
  type BlockIndex,
  type ByteReader,
  ByteWriter,
  FsError,
  type Ino,
  type Name,
  StoreError,
} from '../../src/base/index.ts';
import { encodeInodeEffect, encodeName, encodeRuns, encodeXattrs } from '../../src/layer/effect-format.ts';
import { Journal } from '../../src/meta/index.ts';
import type { Rows } from '../../src/meta/rows.ts';
import { StoreEngine, type Tree } from '../../src/store/index.ts';
import { diffTrees, storeUsage } from '../../src/survey/index.ts';
import { O_RDWR } from '../../src/sys/index.ts';
import { exportFileSystem, importTree } from '../../src/transfer/index.ts';
import { checkStore } from '../../src/upkeep/index.ts';
import { writeFile } from '../stores/shared-store.ts';
import { type TarPart, tarBytes } from '../trees/tar-bytes.ts';
import type { Target } from './fuzz.ts';

/** A stream that is full after 256 MiB: a damaged inode may have any size, and a tar contains holes as zeros. */
function nowhere(): Writable {
  let left = 256 * 1024 * 1024;
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      left -= chunk.length;
      done(left < 0 ? new FsError('ENOSPC') : null);
    },
  });
}

function payloadOf(reader: ByteReader): Buffer {
  const payload = Buffer.from(reader.buffer.subarray(reader.offset, reader.end));
  reader.offset = reader.end;
  return payload;
}

function isCoded(error: unknown): boolean {
  return error instanceof FsError || error instanceof StoreError;
}

/** Runs each call; ignores errors that have a code, and throws others. */
async function each(...calls: readonly (() => unknown)[]): Promise<void> {
  for (const call of calls) {
    try {
      await call();
    } catch (error) {
      if (!isCoded(error)) throw error;
    }
  }
}

async function withTree(engine: StoreEngine, name: string, use: (tree: Tree) => unknown): Promise<void> {
  const tree = engine.openTree(name);
  try {
    await use(tree);
  } finally {
    tree.close();
  }
}

async function walkAll(engine: StoreEngine, trees: readonly string[]): Promise<void> {
  const exported = (name: string) => () =>
    withTree(engine, name, ({ fileSystem }) => exportFileSystem(engine.system, name, fileSystem, nowhere()));
  await each(
    ...trees.map(exported),
    () => storeUsage(engine),
    () => diffTrees(engine, trees[0]!, trees[1]!),
    () => checkStore(engine),
  );
}

/** A store with trees of every kind, closed when the target is disposed. */
async function sampleStore(directory: string): Promise<StoreEngine> {
  const engine = await StoreEngine.open(join(directory, 'store'), { create: true });
  const fork = engine.createEmpty('first');
  const { fileSystem } = fork;
  fileSystem.makeDirectory('/d', 0o755);
  fileSystem.makeDirectory('/d/e', 0o700);
  writeFile(fork, '/d/e/file', Buffer.alloc(20_000, 1));
  writeFile(fork, '/d/two', Buffer.alloc(5_000_000, 2));
  fileSystem.link('/d/two', '/other', false);
  fileSystem.symlink('d/e', '/link');
  fileSystem.setXattr('/d', 'user.a', Buffer.from('value'), 0, true);
  engine.snapshot('first', 'base');
  writeFile(fork, '/d/new', Buffer.from('new'));
  fileSystem.unlink('/other');
  fileSystem.rename('/d/e', '/e');
  engine.snapshot('first', 'second');
  fork.close();
  const source = join(directory, 'source');
  mkdirSync(join(source, 'd'), { recursive: true });
  writeFileSync(join(source, 'd/host'), 'host');
  await importTree(engine, source, { name: 'unlike' });
  engine.forkUnion(['second', 'unlike'], 'union').close();
  const live = engine.forkHost(source, 'live', false);
  live.fileSystem.chmod('/d', 0o700, true);
  const host = live.fileSystem.open('/d/host', O_RDWR, 0);
  live.fileSystem.write(host, Buffer.from('y'), 0, 1, 5000);
  live.fileSystem.close(host);
  live.close();
  return engine;
}

interface StoreTarget extends Target, AsyncDisposable {}

function disposing(directory: string, engine: StoreEngine, target: Target): StoreTarget {
  return {
    ...target,
    async [Symbol.asyncDispose]() {
      await engine.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Key and value of each row. An input is one of them: u16 length of the key, key, value without its checksum. */
export async function rowTarget(): Promise<StoreTarget> {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-fuzz-'));
  const engine = await sampleStore(directory);
  // The cast reaches the private rows of the tables, to write rows that no table would write.
  const { rows } = engine.tables as unknown as { rows: Rows };
  const all = (): Map<string, Buffer> => {
    const found = new Map<string, Buffer>();
    for (const key of rows.scan({ start: Buffer.from([0]), end: Buffer.from([0xff]) }))
      found.set(key.toString('latin1'), rows.decode({ read: payloadOf }));
    return found;
  };
  const original = all();
  const seeds = [...original].map(([key, value]) => {
    const bytes = Buffer.from(`\0\0${key}`, 'latin1');
    bytes.writeUInt16LE(key.length);
    return Buffer.concat([bytes, value]);
  });
  const put = (key: string, value: Buffer): void => {
    rows.at(key.charCodeAt(0)).raw(Buffer.from(key.slice(1), 'latin1'));
    rows.payload().raw(value);
    rows.put();
  };
  const restore = (): void => {
    engine.tables.transaction(() => {
      for (const key of all().keys()) if (!original.has(key)) rows.removeKey(Buffer.from(key, 'latin1'));
      for (const [key, value] of original) put(key, value);
    });
  };
  return disposing(directory, engine, {
    name: 'rows of a store',
    seeds,
    isRefusal: () => false,
    async run(input) {
      const length = input.length < 2 ? 0 : Math.min(input.readUInt16LE(), 270, input.length - 2);
      const key = input.toString('latin1', 2, 2 + Math.max(2, length));
      if (key.length < 2 || key.charCodeAt(0) === 0 || key.charCodeAt(0) === 0xff) return;
      engine.tables.transaction(() => put(key, input.subarray(2 + key.length)));
      try {
        await walkAll(engine, ['second', 'unlike', 'base', 'first', 'union', 'live']);
      } finally {
        restore();
      }
    },
  });
}

/** An input is the payload of a record in the journal of a fork whose owner died. */
export async function journalTarget(): Promise<StoreTarget> {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-fuzz-'));
  const engine = await sampleStore(directory);
  const { tables, system, layout } = engine;
  const { layer, root } = engine.info('base');
  const d = tables.dentries.get(layer, root, 'd' as Name)!.ino;
  const two = tables.dentries.get(layer, d, 'two' as Name)!.ino;
  const record = tables.inodes.get(layer, two)!;
  const made = (write: (writer: ByteWriter) => void): Buffer => {
    const writer = new ByteWriter(64);
    write(writer);
    return writer.take();
  };
  const run = { logical: 3 as BlockIndex, count: 4, blob: 1 as BlobId, physical: 0 as BlockIndex };
  const seeds = [
    made((writer) => {
      encodeRuns(writer, two, [run, { ...run, logical: 100 as BlockIndex, blob: 0 as BlobId }]);
      encodeInodeEffect(writer, two, { ...record, size: 9000 });
      encodeXattrs(writer, two, new Map([['user.b', Buffer.from('b')]]));
    }),
    made((writer) => {
      encodeName(writer, d, 'two' as Name, 0, 0);
      encodeName(writer, root, 'two' as Name, two, 8);
      encodeInodeEffect(writer, d, { ...tables.inodes.get(layer, d)!, nlink: 3 });
    }),
    made((writer) => {
      encodeInodeEffect(writer, (two + 500) as Ino, { ...record, mode: 0o040755, nlink: 2, parent: root });
      encodeName(writer, root, 'made' as Name, (two + 500) as Ino, 4);
    }),
  ];
  return disposing(directory, engine, {
    name: 'journal of a fork',
    seeds,
    isRefusal: isCoded,
    async run(input) {
      if (input.length === 0) return;
      const fork = engine.fork('base', 'fork');
      const { layer: upper } = fork.info;
      fork.close();
      const { generation, appliedSequence } = tables.layers.get(upper)!;
      const journal = Journal.open(system, layout.journalPath(upper), upper);
      journal.begin(generation, appliedSequence + 1);
      journal.append(input);
      journal.mark();
      journal.close();
      try {
        await walkAll(engine, ['fork', 'base']);
      } finally {
        await each(() => engine.drop('fork'));
      }
    },
  });
}

const WORDS = [
  'd',
  'e',
  'file',
  '.wh.',
  '.wh..wh..opq',
  'trusted.overlay.',
  'user.overlay.',
  'redirect',
  'opaque',
  'whiteout',
  'metacopy',
  '/d/e',
  'y',
  'x',
  '..',
  '/',
];

/** An input says, byte by byte, what two layers have; they are imported in every form and made a union. */
export async function layersTarget(): Promise<StoreTarget> {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-fuzz-'));
  const engine = await sampleStore(directory);
  const seeds = [Buffer.from([0, 1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 11, 200, 40, 80, 120]), Buffer.alloc(60, 7)];
  const partsOf = (bytes: Buffer): TarPart[] => {
    const word = (at: number): string => WORDS[(bytes[at] ?? 0) % WORDS.length]!;
    const parts: TarPart[] = [];
    for (let at = 0; at + 6 < bytes.length; at += 7) {
      const type = (['file', 'directory', 'symlink', 'link', 'character'] as const)[bytes[at]! % 5]!;
      const path = `${word(at + 1)}/${word(at + 2)}${(bytes[at]! & 0x40) === 0 ? '' : `/${word(at + 3)}`}`;
      const xattrs = { [`${word(at + 4)}${word(at + 5)}`]: word(at + 6) };
      parts.push({ path: type === 'directory' ? `${path}/` : path, type, target: word(at + 3), xattrs });
    }
    return parts;
  };
  return disposing(directory, engine, {
    name: 'layers',
    seeds,
    isRefusal: isCoded,
    async run(input) {
      const made: string[] = [];
      const form = (['oci', 'overlay', 'none'] as const)[(input[0] ?? 0) % 3]!;
      const halves = [input.subarray(1, input.length / 2), input.subarray(input.length / 2)];
      await each(
        ...halves.map((half, at) => async () => {
          const archive = join(directory, 'layer.tar');
          writeFileSync(archive, tarBytes(partsOf(half)));
          await importTree(engine, archive, { name: `layer-${at}`, whiteouts: form });
          made.push(`layer-${at}`);
          await importTree(engine, archive, { name: `over-${at}`, whiteouts: form, over: 'second' });
          made.push(`over-${at}`);
        }),
      );
      try {
        if (made.length === 0) return;
        engine.forkUnion([...made.filter((name) => name.startsWith('layer')), 'base'], 'merged').close();
        made.unshift('merged');
        await walkAll(engine, [...made, 'base']);
      } finally {
        await each(...made.map((name) => () => engine.drop(name)));
      }
    },
  });
}

export const STORE_TARGETS: Readonly<Record<string, () => Promise<StoreTarget>>> = {
  'rows of a store': rowTarget,
  'journal of a fork': journalTarget,
  layers: layersTarget,
};
