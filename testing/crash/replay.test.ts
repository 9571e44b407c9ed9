/**
 * A recovery that crashes itself. An image of a crash is opened, and calls of this recovery are the points of the next
 * crash: the death of a process, or a power cut. Whoever opens the store then must find what the first crash allowed.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { test } from 'node:test';
import { SeededRandom } from '../../src/base/index.ts';
import { StoreEngine } from '../../src/store/index.ts';
import { swept } from '../pace/sweep.ts';
import {
  checkImage,
  copyStore,
  countCalls,
  type Image,
  imagesDirectory,
  type Kind,
  makeImage,
  POINTS_STRIDE,
  SEED,
  systemFor,
  unsyncedIn,
  withImages,
} from './crash-images.ts';
import { WatchedSystem, withPaths } from './watched-system.ts';

const CRASHES = swept({ sample: 6, long: 12, all: 100 });
/** All recoveries from one crash together have at least this many points. */
const POINTS_MIN = 40;
const DEPTH_MAX = 3;

/** Brings every fork of a store to its last acknowledged state, as the next openers would. */
async function recoverAll(directory: string, watched: WatchedSystem): Promise<void> {
  const engine = await StoreEngine.open(directory, { system: watched.system });
  try {
    for (const { name, kind } of engine.list()) if (kind === 'fork') engine.openTree(name).close();
  } finally {
    await engine.close();
  }
}

/** Recovers a copy of `image`; returns images of crashes at the calls that `isTaken` picks. Their kinds alternate. */
async function crashesOfRecovery(
  image: Image,
  directory: string,
  isTaken: (index: number) => boolean,
): Promise<Image[]> {
  const store = `${directory}/store`;
  copyStore(image.directory, store);
  const images: Image[] = [];
  const before = image.unsynced && withPaths(image.unsynced, (path) => path.replace(image.directory, store));
  const watched = new WatchedSystem(
    systemFor(image.kind),
    (index, write) => {
      if (!isTaken(index)) return;
      const kind: Kind = index % 2 === 0 ? 'power cut' : 'torn write';
      const target = `${directory}/${index}`;
      makeImage({ watched, random: new SeededRandom(SEED + index), kind, write, from: store, to: target });
      const allowed = kind === 'power cut' ? image.afterCut : image;
      const { afterCut } = image;
      const text = `${image.text}; then ${kind} at point ${index} of recovery`;
      // Once there was a power cut, the image counts as one, even if only the process died afterwards.
      const isCut = kind === 'power cut' || image.kind === 'power cut';
      const { trees, uncertain } = allowed;
      const unsynced = unsyncedIn(watched, kind, store, target);
      images.push({
        ...{ kind: isCut ? 'power cut' : kind, directory: target, text },
        ...{ trees, uncertain, afterCut, unsynced },
      });
    },
    directory,
    before,
  );
  // `watched` is not closed: its copies of lost files are in `directory`, and the images need them.
  await recoverAll(store, watched);
  return images;
}

/**
 * Checks crashes at one in POINTS_STRIDE points of a recovery. Chance picks some of them, one on average, to check
 * crashes of the recovery from that crash in the same way, and so on. Returns how many crashes were checked.
 */
async function checkRecovery(image: Image, depth: number): Promise<number> {
  const directory = imagesDirectory();
  try {
    const images = await crashesOfRecovery(
      image,
      directory,
      (point) => point % POINTS_STRIDE === depth % POINTS_STRIDE,
    );
    const random = new SeededRandom(SEED + depth);
    let checked = 0;
    for (const [index, one] of images.entries()) {
      if (depth < DEPTH_MAX && index === random.below(images.length))
        checked += await checkRecovery(one, depth + 1);
      await checkImage(
        one,
        false,
        systemFor(one.kind, one.text.includes('; then power cut') ? 'a third boot' : undefined),
      );
      checked++;
    }
    return checked;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

test('if a recovery crashes at any point, the next one completes it', async () => {
  const { points } = await countCalls();
  const step = Math.floor(points / CRASHES);
  let checked = 0;
  await withImages(
    (index) => (index % step === step - 1 ? (index % 2 === 0 ? 'death' : 'power cut') : undefined),
    async (image) => {
      checked += await checkRecovery(image, 1);
    },
  );
  assert.ok(checked >= (CRASHES * POINTS_MIN) / POINTS_STRIDE, `${checked} crashes of recoveries`);
});
