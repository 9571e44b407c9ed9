/**
 * Dedupe that is killed, or whose disk fails or is full: every file reads as before, the store is clean, and after the
 * next run every block is stored once.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BLOCK_SIZE, type ErrorCode, FsError, isFsError, SeededRandom } from '../../src/base/index.ts';
import { StoreEngine } from '../../src/store/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { collectGarbage, dedupeStore } from '../../src/upkeep/index.ts';
import { swept } from '../pace/sweep.ts';
import {
  liveBlocks,
  patternBytes,
  problemsOf,
  readFile,
  SharedStore,
  writeFile,
} from '../stores/shared-store.ts';
import { killed } from './killed.ts';

const TREES = ['one', 'two', 'three'];
const FILES = 40;
const KILLS = swept({ sample: 6, long: 12, all: 120 });
const KILL_MS_MAX = 400;
const FAULTS = swept({ sample: 5, long: 16, all: Number.POSITIVE_INFINITY });
const child = fileURLToPath(new URL('./dedupe-child.js', import.meta.url));

/** Contents of all files: runs of a few kinds of blocks, so that there is much to dedupe. */
function contents(seed: number): Map<string, Buffer> {
  const random = new SeededRandom(seed);
  const kinds = Array.from({ length: 200 }, (_, index) => patternBytes(BLOCK_SIZE, seed * 1000 + index));
  const files = new Map<string, Buffer>();
  for (const tree of TREES) {
    for (let file = 0; file < FILES; file++) {
      const blocks: Buffer[] = [];
      for (let runs = 1 + random.below(4); runs > 0; runs--) {
        const first = random.below(kinds.length);
        blocks.push(...kinds.slice(first, first + 1 + random.below(12)));
      }
      files.set(`${tree}:/${file}`, Buffer.concat(blocks).subarray(random.below(100)));
    }
  }
  return files;
}

function fill(engine: StoreEngine, files: ReadonlyMap<string, Buffer>): void {
  for (const name of TREES) {
    const tree = engine.createEmpty(name);
    for (const [key, bytes] of files) {
      const [owner, path] = key.split(':') as [string, string];
      if (owner === name) writeFile(tree, path, bytes);
    }
    tree.close();
  }
}

function check(engine: StoreEngine, files: ReadonlyMap<string, Buffer>, text: string): void {
  assert.deepEqual(problemsOf(engine, { scrub: true }), [], text);
  for (const name of TREES) {
    const tree = engine.openTreeOf(name) ?? engine.openTree(name);
    for (const [key, bytes] of files) {
      const [owner, path] = key.split(':') as [string, string];
      if (owner === name) assert.ok(readFile(tree, path).equals(bytes), `${text}: ${key}`);
    }
    tree.close();
  }
}

/** Asserts that another run of dedupe completes, and that only unique blocks are left after gc. */
async function finish(engine: StoreEngine, files: ReadonlyMap<string, Buffer>, text: string): Promise<void> {
  assert.equal((await dedupeStore(engine)).isComplete, true, text);
  collectGarbage(engine);
  check(engine, files, `${text}, in the end`);
  const different = new Set<string>();
  for (const bytes of files.values()) {
    for (let at = 0; at < bytes.length; at += BLOCK_SIZE) {
      const block = Buffer.alloc(BLOCK_SIZE);
      bytes.copy(block, 0, at, at + BLOCK_SIZE);
      different.add(block.toString('latin1'));
    }
  }
  assert.equal(liveBlocks(engine), different.size, text);
}

test(`dedupe and gc that are killed, ${KILLS} times, lose nothing`, async () => {
  const random = new SeededRandom(2016);
  for (let round = 0; round < KILLS / 3; round++) {
    await using scratch = new SharedStore();
    const files = contents(round);
    const first = await scratch.open();
    fill(first, files);
    await first.close();
    for (let kill = 0; kill < 3; kill++) {
      const delayMs = random.below(KILL_MS_MAX);
      await killed(child, [scratch.directory], delayMs);
      const engine = await scratch.open();
      check(engine, files, `round ${round}, killed after ${delayMs} ms`);
      await engine.close();
    }
    await finish(await scratch.open(), files, `round ${round}`);
  }
});

/** Fails call `failing` of dedupe; returns how many calls it made. */
async function withFault(failing: number, code: ErrorCode): Promise<number> {
  await using scratch = new SharedStore();
  const files = contents(7);
  const { engine, system } = await scratch.openFaulty();
  fill(engine, files);
  const start = system.callCount;
  system.plan = (_operation, index) => (index - start === failing ? { kind: 'error', code } : undefined);
  const text = `${code} of call ${failing}`;
  try {
    await dedupeStore(engine);
  } catch (error) {
    if (!(error instanceof FsError)) throw new Error(text, { cause: error });
  }
  system.plan = undefined;
  const calls = system.callCount - start;
  check(engine, files, text);
  await engine.close();
  await finish(await scratch.open(), files, text);
  return calls;
}

for (const code of ['EIO', 'ENOSPC'] as const) {
  test(`${code} in the middle of dedupe loses nothing, and the next run completes`, async () => {
    const total = await withFault(-1, code);
    const step = Math.max(1, Math.floor(total / FAULTS));
    for (let failing = code === 'EIO' ? 0 : Math.floor(step / 2); failing < total; failing += step) {
      await withFault(failing, code);
    }
  });
}

/** A filesystem of 24 MiB, or the reason why none can be mounted. */
function smallDisk(): string | { readonly directory: string; unmount(): void } {
  if (process.getuid?.() !== 0 || createSystem().kind !== 'native')
    return 'needs root, to mount a small tmpfs';
  const directory = mkdtempSync(`${tmpdir()}/ramet-small-`);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'none', directory], { stdio: 'pipe' });
  } catch {
    return 'a tmpfs cannot be mounted here';
  }
  const unmount = (): void => {
    execFileSync('umount', ['-l', directory]);
    rmSync(directory, { recursive: true });
  };
  return { directory, unmount };
}

test('on a disk without a free block dedupe is ENOSPC, and succeeds when there is space', async (context) => {
  const disk = smallDisk();
  if (typeof disk === 'string') {
    context.skip(disk);
    return;
  }
  const engine = await StoreEngine.open(`${disk.directory}/store`, { create: true });
  try {
    const files = contents(3);
    fill(engine, files);
    // Without this, the checkpoints before dedupe would leave space for dedupe.
    rmSync(engine.layout.reservePath);
    const ballast = `${disk.directory}/ballast`;
    assert.throws(() => {
      for (let size = 1; ; size++) writeFileSync(ballast, Buffer.alloc(size * 256 * 1024, 1));
    }, /ENOSPC/);
    await assert.rejects(dedupeStore(engine), (error) => isFsError(error, 'ENOSPC'));
    assert.deepEqual(problemsOf(engine, { scrub: true }), [], 'on a full disk');
    rmSync(ballast);
    check(engine, files, 'after a full disk');
    await finish(engine, files, 'with room again');
  } finally {
    await engine.close();
    disk.unmount();
  }
});
