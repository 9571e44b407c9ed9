/**
 * A crash at any system call. One run of the workload makes images: before a call, the store's directory is copied as a
 * dead process, or a power cut, would leave it. Then each image is opened, checked by fsck, and compared with what the
 * workload knows. RAMET_CRASH_ALL=1 takes an image before every call instead of a sample.
 */
import assert from 'node:assert/strict';
import { closeSync, cpSync, existsSync, ftruncateSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { test } from 'node:test';
import { BLOCK_SIZE, SeededRandom } from '../../src/base/index.ts';
import { StoreEngine } from '../../src/store/index.ts';
import { createSystem, FaultySystem } from '../../src/sys/index.ts';
import { problemsOf, SharedStore } from '../shared-store.ts';
import { disagreement } from './crash-check.ts';
import { type TreeModel, Workload } from './crash-workload.ts';
import { type LostPage, type PendingWrite, WatchedSystem } from './watched-system.ts';

const STEPS = 220;
const SEED = 20_160_514;
const SAMPLED_CRASHES = 50;
const SAMPLED_CUTS = 50;
const takesAll = process.env.RAMET_CRASH_ALL === '1';

type Kind = 'death' | 'torn write' | 'power cut';

/** A copy of the store, and what its trees may hold. */
interface Image {
  readonly directory: string;
  readonly text: string;
  /** The states that are allowed, by tree. */
  readonly trees: ReadonlyMap<string, readonly TreeModel[]>;
  /** A tree that may be there or not: the step in flight makes or drops it. */
  readonly uncertain: string | undefined;
}

function allowedTrees(workload: Workload, kind: Kind): Pick<Image, 'trees' | 'uncertain'> {
  const { inFlight } = workload;
  const trees = new Map<string, readonly TreeModel[]>();
  for (const [name, { states, durable }] of workload.trees) {
    trees.set(name, states.slice(kind === 'power cut' ? durable : states.length - 1));
  }
  if (inFlight === undefined) return { trees, uncertain: undefined };
  const after = inFlight.after();
  const known = trees.get(inFlight.tree);
  if (after !== undefined) trees.set(inFlight.tree, [...(known ?? []), after]);
  return { trees, uncertain: after === undefined || known === undefined ? inFlight.tree : undefined };
}

function copyStore(from: string, to: string): void {
  cpSync(from, to, {
    recursive: true,
    filter: (path) => !path.endsWith('lock.mdb') && !path.endsWith('.lock'),
  });
}

function writeAt(path: string, bytes: Buffer, position: number): void {
  if (!existsSync(path)) return;
  const fd = openSync(path, 'r+');
  try {
    const { size } = statSync(path);
    writeSync(fd, bytes, 0, bytes.length, position);
    // A page that is put back does not make its file longer.
    if (statSync(path).size > size) ftruncateSync(fd, size);
  } finally {
    closeSync(fd);
  }
}

async function countCalls(): Promise<number> {
  await using scratch = new SharedStore();
  const watched = new WatchedSystem(createSystem(), () => undefined);
  new Workload(await scratch.open(watched.system), SEED).run(STEPS);
  return watched.callCount;
}

/** Runs the workload and calls `visit` with an image for each call that `kindAt` names a kind for. */
async function withImages(
  kindAt: (index: number) => Kind | undefined,
  visit: (image: Image) => Promise<void>,
): Promise<void> {
  await using scratch = new SharedStore();
  const images: Image[] = [];
  const random = new SeededRandom(SEED);
  let workload: Workload | undefined;
  const watched = new WatchedSystem(createSystem(), (index, write) => {
    const kind = kindAt(index);
    if (kind === undefined || workload === undefined) return;
    const directory = `${scratch.directory}-${index}`;
    copyStore(scratch.directory, directory);
    const pages = kind === 'power cut' ? watched.lostPages(random) : tear(kind, write, random);
    for (const { path, position, bytes } of pages) {
      writeAt(path.replace(scratch.directory, directory), bytes, position);
    }
    const text = `${kind} before call ${index}, after ${workload.done} steps, in ${workload.inFlight?.text}`;
    images.push({ directory, text, ...allowedTrees(workload, kind) });
  });
  try {
    const engine = await scratch.open(watched.system);
    workload = new Workload(engine, SEED);
    workload.run(STEPS);
    for (const image of images) await visit(image);
  } finally {
    workload = undefined;
    for (const { directory } of images) rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * The first part of a write that the process died in: of a blob whole blocks, because the kernel copies page by page
 * and looks for signals between them; of a journal any number of bytes.
 */
function tear(kind: Kind, write: PendingWrite | undefined, random: SeededRandom): LostPage[] {
  if (kind !== 'torn write' || write === undefined) return [];
  const { path, bytes, position } = write;
  const end = position + random.below(bytes.length);
  const cut = path.includes('/journals/') ? end : Math.max(position, end - (end % BLOCK_SIZE));
  return [{ path, position, bytes: bytes.subarray(0, cut - position) }];
}

async function checkImage(image: Image, bootId: string | undefined): Promise<void> {
  const system =
    bootId === undefined ? createSystem() : new FaultySystem(createSystem(), undefined, { bootId });
  const engine = await StoreEngine.open(image.directory, { system });
  try {
    assert.deepEqual(problemsOf(engine, { scrub: true }), [], image.text);
    const names = new Set(engine.list().map(({ name }) => name));
    for (const [name, states] of image.trees) {
      if (!names.delete(name)) {
        assert.equal(name, image.uncertain, `${image.text}: tree ${name} is gone`);
        continue;
      }
      const tree = engine.openTree(name);
      assert.equal(disagreement(tree, states), undefined, `${image.text}: tree ${name}`);
      tree.close();
    }
    names.delete(image.uncertain ?? '');
    assert.deepEqual([...names], [], `${image.text}: trees that nobody made`);
    engine.gc();
    assert.deepEqual(problemsOf(engine), [], `${image.text}, after gc`);
  } finally {
    await engine.close();
  }
}

/** Every call, or a sample of them that is spread over the run. */
function sampled(total: number, wanted: number): (index: number) => boolean {
  if (takesAll) return () => true;
  const step = Math.max(1, Math.floor(total / wanted));
  return (index) => index % step === step - 1;
}

test('the workload makes the same calls in every run', async () => {
  // What a process asks for only once is asked for in the first.
  await countCalls();
  const total = await countCalls();
  assert.ok(total > 1000, `${total} calls`);
  assert.equal(await countCalls(), total);
});

test('after the death of the process at any call every acknowledged operation is there', async () => {
  const isTaken = sampled(await countCalls(), SAMPLED_CRASHES);
  let images = 0;
  await withImages(
    (index) => (isTaken(index) ? (index % 2 === 0 ? 'death' : 'torn write') : undefined),
    async (image) => {
      images++;
      await checkImage(image, undefined);
    },
  );
  assert.ok(images >= SAMPLED_CRASHES / 2, `${images} images`);
});

test('after a power cut at any call what was synced is there, and the rest is a prefix', async () => {
  const isTaken = sampled(await countCalls(), SAMPLED_CUTS);
  let images = 0;
  await withImages(
    (index) => (isTaken(index) ? 'power cut' : undefined),
    async (image) => {
      images++;
      await checkImage(image, 'another boot');
    },
  );
  assert.ok(images >= SAMPLED_CUTS / 2, `${images} images`);
});
