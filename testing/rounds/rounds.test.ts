/**
 * Forks that come and go while a process lives: the resources that it holds do not grow. RAMET_ROUNDS=n does n rounds,
 * and prints what each process holds.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Store } from '../../src/library/index.ts';
import { OwnerClient } from '../../src/owner/index.ts';
import { mountsOnly } from '../host/mounts-only.ts';
import { nativeOnly } from '../host/native-only.ts';
import { stopOwner } from '../owner/stop-owner.ts';
import { until } from '../pace/until.ts';
import { scratchDirectory } from '../stores/scratch-store.ts';
import { staysFlat } from './held.ts';

const ROUNDS = Number(process.env.RAMET_ROUNDS ?? 24);
const BYTES = Buffer.alloc(300_000, 'x');

async function withBase(context: TestContext): Promise<{ store: Store; directory: string }> {
  const directory = scratchDirectory(context);
  mkdirSync(join(directory, 'tree'));
  writeFileSync(join(directory, 'tree/file'), BYTES);
  const store = await Store.open(join(directory, 'store'));
  await store.import(join(directory, 'tree'), { name: 'base' });
  return { store, directory };
}

const tell = (line: string): void => {
  if (process.env.RAMET_ROUNDS !== undefined) process.stdout.write(`${line}\n`);
};

test('fork, mount, write, unmount, drop, gc: the owner holds no more than before, nor does the client', {
  skip: mountsOnly,
}, async (context) => {
  const { store, directory } = await withBase(context);
  const [place, at] = [join(directory, 'place'), join(directory, 'store')];
  mkdirSync(place);
  context.after(() => stopOwner(at));
  const owner = await OwnerClient.connectOrStart(at);
  const round = async (index: number): Promise<void> => {
    const fork = await (await store.snapshot('base')).fork('round');
    await fork.mount(place);
    writeFileSync(join(place, 'file'), String(index));
    writeFileSync(join(place, 'new'), BYTES);
    const kept = await fork.snapshot('kept');
    await fork.close();
    // The namespace of another test may have a copy of the mount for a moment.
    await until(() => dropped(store, 'round'), 'the fork is free');
    await store.drop(kept.name);
    await store.gc();
  };
  await staysFlat(ROUNDS, { owner: owner.pid!, client: process.pid }, at, round, tell);
  assert.equal(blobsIn(at), 1, 'the blob of the snapshot');
  owner.close();
  await store.close();
});

test('fork, write, map, snapshot, close, drop, gc in one process', { skip: nativeOnly }, async (context) => {
  const { store, directory } = await withBase(context);
  const round = async (index: number): Promise<void> => {
    const fork = await (await store.snapshot('base')).fork('round');
    fork.fs.writeFileSync('/file', String(index));
    fork.fs.writeFileSync('/new', BYTES);
    const map = fork.map('/new');
    assert.equal(map.bytes[0], BYTES[0]);
    map.close();
    const kept = await fork.snapshot('kept');
    const second = await kept.fork('second');
    assert.equal(second.fs.readFileSync('/new').length, BYTES.length);
    await second.close();
    await fork.close();
    for (const name of ['round', 'second', 'kept']) await store.drop(name);
    await store.gc();
  };
  await staysFlat(ROUNDS, { library: process.pid }, join(directory, 'store'), round, tell);
  assert.equal(blobsIn(join(directory, 'store')), 1, 'the blob of the snapshot');
  await store.close();
});

/** Drops a fork; false if it is still in use. */
async function dropped(store: Store, name: string): Promise<boolean> {
  try {
    await store.drop(name);
    return true;
  } catch (error) {
    // The cast: an error of the library has a code.
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
    return false;
  }
}

function blobsIn(store: string): number {
  return readdirSync(join(store, 'blobs'), { recursive: true }).filter((name) =>
    /^..\/[0-9a-f]{16}$/.test(String(name)),
  ).length;
}
