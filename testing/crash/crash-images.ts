/**
 * Images: copies of a store as the death of its process, or a power cut, would leave it before some system call. One
 * run of the workload makes all images, so that the time does not grow with the square of the number of calls.
 */
import assert from 'node:assert/strict';
import {
  accessSync,
  closeSync,
  constants,
  copyFileSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname } from 'node:path';
import { BLOCK_SIZE, type Random, SeededRandom } from '../../src/base/index.ts';
import { StoreEngine } from '../../src/store/index.ts';
import { createSystem, FaultySystem, type System } from '../../src/sys/index.ts';
import { collectGarbage } from '../../src/upkeep/index.ts';
import { swept } from '../pace/sweep.ts';
import { problemsOf, SharedStore } from '../stores/shared-store.ts';
import { disagreement } from './crash-check.ts';
import { CHAIN_LAYERS_MAX, type TreeModel, Workload } from './crash-workload.ts';
import {
  type LostName,
  type LostPage,
  type PendingWrite,
  type Unsynced,
  WatchedSystem,
} from './watched-system.ts';

export const SEED = Number(process.env.RAMET_CRASH_SEED ?? 20_160_514);
const STEPS = 760;

export type Kind = 'death' | 'torn write' | 'power cut';

/** The states that trees may be in. */
export interface Allowed {
  /** The allowed states, by the name of the tree. */
  readonly trees: ReadonlyMap<string, readonly TreeModel[]>;
  /** The name of the tree that the step in flight makes or drops, which may exist or not. */
  readonly uncertain: string | undefined;
}

/** A copy of the store, and the states that its trees may be in. */
export interface Image extends Allowed {
  readonly kind: Kind;
  readonly directory: string;
  readonly text: string;
  /** The states that the trees may be in if a power cut follows. */
  readonly afterCut: Allowed;
  /** The writes of the dead process that such a power cut can undo, with paths in the copy. */
  readonly unsynced: Unsynced | undefined;
}

function allowedTrees(workload: Workload, kind: Kind): Allowed {
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

const NOT_COPIED: ReadonlySet<string> = new Set(['lock.mdb', 'reserve']);

/** Copies a store, except for locks, whose holders are dead, and the reserve of disk space. */
export function copyStore(from: string, to: string): void {
  mkdirSync(to, 0o700);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    if (entry.isDirectory()) copyStore(source, target);
    else if (!NOT_COPIED.has(entry.name) && !entry.name.endsWith('.lock')) copyFileSync(source, target);
  }
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

/** A directory in memory if possible, because an image exists for some milliseconds and is synced often. */
export function imagesDirectory(): string {
  try {
    accessSync('/dev/shm', constants.W_OK);
    return mkdtempSync('/dev/shm/ramet-images-');
  } catch {
    return mkdtempSync(`${tmpdir()}/ramet-images-`);
  }
}

export interface WorkloadCounts {
  /** System calls of the workload, except those that make the store or list its directories for gc. */
  readonly calls: number;
  /** Number of the workload's first point. Points are calls that change or sync something: a crash can come there. */
  readonly firstPoint: number;
  /** All points, including those before the workload begins. */
  readonly points: number;
}

export async function countCalls(): Promise<WorkloadCounts> {
  await using scratch = new SharedStore();
  const inner = createSystem();
  let listings = 0;
  const counting: System = new Proxy(inner, {
    get(target, key) {
      if (key === 'readHostDirectory') listings++;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const watched = new WatchedSystem(counting, () => undefined);
  try {
    const engine = await scratch.open(watched.system, { chainLayersMax: CHAIN_LAYERS_MAX });
    const before = watched.callCount - listings;
    const firstPoint = watched.pointCount;
    new Workload(engine, SEED).run(STEPS);
    return { calls: watched.callCount - listings - before, firstPoint, points: watched.pointCount };
  } finally {
    watched.close();
  }
}

/** Runs the workload and calls `visit` with an image for each point that `kindAt` names a kind for. */
export async function withImages(
  kindAt: (index: number) => Kind | undefined,
  visit: (image: Image) => Promise<void>,
): Promise<void> {
  await using scratch = new SharedStore();
  const directory = imagesDirectory();
  const images: Image[] = [];
  let workload: Workload | undefined;
  const watched = new WatchedSystem(createSystem(), (index, write) => {
    const kind = kindAt(index);
    if (kind === undefined || workload === undefined) return;
    const target = `${directory}/${index}`;
    // Each image has its own random numbers, so that a single image can be made again.
    const random = new SeededRandom(SEED + index);
    makeImage({ watched, random, kind, write, from: scratch.directory, to: target });
    const text = `${kind} at point ${index}, after ${workload.done} steps, in ${workload.inFlight?.text}`;
    const afterCut = allowedTrees(workload, 'power cut');
    const unsynced = unsyncedIn(watched, kind, scratch.directory, target);
    images.push({ kind, directory: target, text, afterCut, unsynced, ...allowedTrees(workload, kind) });
  });
  try {
    const engine = await scratch.open(watched.system, { chainLayersMax: CHAIN_LAYERS_MAX });
    workload = new Workload(engine, SEED);
    workload.run(STEPS);
    for (const image of images) {
      await visit(image);
      rmSync(image.directory, { recursive: true });
    }
  } finally {
    workload = undefined;
    watched.close();
    rmSync(directory, { recursive: true, force: true });
  }
}

/** What is not durable in an image: everything that a dead process had not synced; undefined after a power cut. */
export function unsyncedIn(
  watched: WatchedSystem,
  kind: Kind,
  from: string,
  to: string,
): Unsynced | undefined {
  return kind === 'power cut' ? undefined : watched.unsyncedIn((path) => path.replace(from, to));
}

interface ImageParts {
  readonly watched: WatchedSystem;
  readonly random: Random;
  readonly kind: Kind;
  readonly write: PendingWrite | undefined;
  readonly from: string;
  readonly to: string;
}

/** Copies a store as a crash at this moment would leave it. */
export function makeImage({ watched, random, kind, write, from, to }: ImageParts): void {
  copyStore(from, to);
  const inImage = (path: string): string => path.replace(from, to);
  if (kind === 'power cut') for (const name of watched.lostNames(random)) loseName(name, inImage);
  const pages = kind === 'power cut' ? watched.lostPages(random) : tear(kind, write, random);
  for (const { path, position, bytes } of pages) writeAt(inImage(path), bytes, position);
  if (kind !== 'power cut') return;
  for (const { path, sizeBytes } of watched.lostGrowth(random)) {
    if (existsSync(inImage(path)) && statSync(inImage(path)).size > sizeBytes)
      truncateSync(inImage(path), sizeBytes);
  }
}

/** Undoes an unsynced change of a name: a new name disappears, a removed or replaced one gets its old file. */
function loseName({ path, before }: LostName, inImage: (path: string) => string): void {
  rmSync(inImage(path), { recursive: true, force: true });
  if (before !== undefined && existsSync(dirname(inImage(path)))) copyFileSync(before, inImage(path));
}

/**
 * The first part of a write during which the process died. Of a write to a blob it is whole blocks, because the kernel
 * copies page by page and looks for signals between pages; of a write to a journal any number of bytes.
 */
function tear(kind: Kind, write: PendingWrite | undefined, random: Random): LostPage[] {
  if (kind !== 'torn write' || write === undefined) return [];
  const { path, bytes, position } = write;
  const end = position + random.below(bytes.length);
  const cut = path.includes('/journals/') ? end : Math.max(position, end - (end % BLOCK_SIZE));
  return [{ path, position, bytes: bytes.subarray(0, cut - position) }];
}

/** A system that opens an image; after a power cut it has another boot id. */
export function systemFor(kind: Kind, bootId = 'another boot'): System {
  return kind === 'power cut' ? new FaultySystem(createSystem(), undefined, { bootId }) : createSystem();
}

/** The problems that fsck finds. A removed file that a power cut restored is none, because gc removes it again. */
function problemsIn({ kind }: Image, engine: StoreEngine): string[] {
  const problems = problemsOf(engine, { scrub: true });
  return problems.filter((problem) => kind !== 'power cut' || !problem.endsWith('gc removes it'));
}

/** Opens an image, and compares all trees with their allowed states; with `thorough` once more after gc. */
export async function checkImage(
  image: Image,
  thorough: boolean,
  system: System = systemFor(image.kind),
): Promise<void> {
  const engine = await StoreEngine.open(image.directory, { system });
  try {
    assert.deepEqual(problemsIn(image, engine), [], image.text);
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
    if (!thorough) return;
    collectGarbage(engine);
    assert.deepEqual(problemsOf(engine), [], `${image.text}, after gc`);
    for (const [name, states] of image.trees) {
      if (engine.list().every((tree) => tree.name !== name)) continue;
      const tree = engine.openTree(name);
      assert.equal(disagreement(tree, states), undefined, `${image.text}, after gc: tree ${name}`);
      tree.close();
    }
  } finally {
    await engine.close();
  }
}

/** Maximum number of images at one time: each takes about a mebibyte. */
const IMAGES_AT_ONCE = 400;

const isNative = createSystem().kind === 'native';
/** Of this many successive points one is tried. Without memory maps, where the calls are the same, fewer are enough. */
export const POINTS_STRIDE = swept(
  isNative ? { sample: 20, long: 6, all: 1 } : { sample: 40, long: 40, all: 1 },
);
/** The workload has at least this many points. */
const POINTS_MIN = 1_500;

/** The points to try: of each POINTS_STRIDE in a row one that the seed picks. */
function takenPoints({ firstPoint, points }: WorkloadCounts): number[] {
  const random = new SeededRandom(SEED);
  const taken: number[] = [];
  for (let first = firstPoint; first < points; first += POINTS_STRIDE) {
    taken.push(first + random.below(Math.min(POINTS_STRIDE, points - first)));
  }
  return taken;
}

/** Makes an image at each point to try, and checks each image, every eighth with gc. */
export async function checkPoints(kindAt: (index: number) => Kind): Promise<void> {
  const counts = await countCalls();
  assert.ok(counts.points - counts.firstPoint >= POINTS_MIN, `${counts.points} points`);
  const taken = takenPoints(counts);
  let images = 0;
  for (let first = 0; first < taken.length; first += IMAGES_AT_ONCE) {
    const batch = new Set(taken.slice(first, first + IMAGES_AT_ONCE));
    await withImages(
      (index) => (batch.has(index) ? kindAt(index) : undefined),
      (image) => checkImage(image, images++ % 8 === 0),
    );
  }
  assert.equal(images, taken.length, 'an image for each point');
}
