/** For tests: a store that several engines open at once, and short forms of what tests do to trees. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { FsError } from '../../src/base/index.ts';
import {
  StoreEngine as Engine,
  type StoreEngine,
  type StoreOptions,
  type Tree,
} from '../../src/store/index.ts';
import { CrashedError, createSystem, FaultySystem, type System } from '../../src/sys/index.ts';
import { checkStore, collectGarbage } from '../../src/upkeep/index.ts';
import { writeText } from './random-changes.ts';

const O_RDONLY = 0;

export class SharedStore implements AsyncDisposable {
  readonly directory: string;
  private readonly engines: { readonly engine: StoreEngine; readonly system: System }[] = [];

  constructor(parent: string = tmpdir()) {
    this.directory = mkdtempSync(`${parent}/ramet-shared-`);
  }

  /** Opens the store, and makes it at the first call. Each engine counts as a separate process. */
  async open(system: System = createSystem(), options: StoreOptions = {}): Promise<StoreEngine> {
    const engine = await Engine.open(this.directory, { ...options, create: true, system });
    this.engines.push({ engine, system });
    return engine;
  }

  /** Opens the store over a system that faults can be injected into. */
  async openFaulty(): Promise<{ readonly engine: StoreEngine; readonly system: FaultySystem }> {
    const system = new FaultySystem(createSystem());
    return { engine: await this.open(system), system };
  }

  /** Simulates the death of an engine's process: nothing more is stored, and all locks are released. */
  async crash(engine: StoreEngine, system: FaultySystem): Promise<void> {
    system.crash();
    await engine.close().catch(acceptDeath);
    await engine.tables.close();
    const at = this.engines.findIndex((one) => one.engine === engine);
    this.engines.splice(at, 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { engine, system } of [...this.engines]) {
      if (system instanceof FaultySystem && system.isCrashed) await this.crash(engine, system);
      else await engine.close();
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Ignores the crash itself, and disk errors that a fork met before, which closing it reports again. */
function acceptDeath(error: unknown): void {
  if (!(error instanceof CrashedError || error instanceof FsError)) throw error;
}

/** Bytes that depend on the seed, so that a block in the wrong place is seen. */
export function patternBytes(lengthBytes: number, seed: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let at = 0; at < lengthBytes; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

export function writeFile(tree: Tree, path: string, bytes: Uint8Array, position = 0): void {
  writeText(tree.fileSystem, path, bytes, position);
}

export function readFile(tree: Tree, path: string): Buffer {
  const file = tree.fileSystem.open(path, O_RDONLY, 0);
  const bytes = Buffer.alloc(tree.fileSystem.statFile(file).size);
  const got = tree.fileSystem.read(file, bytes, 0, bytes.length, 0);
  tree.fileSystem.close(file);
  return bytes.subarray(0, got);
}

/** The problems that fsck finds, one line for each, for `assert.deepEqual(problemsOf(engine), [])`. */
export function problemsOf(engine: StoreEngine, options: { readonly scrub?: boolean } = {}): string[] {
  const report = checkStore(engine, options);
  return report.passes.flatMap(({ name, problems }) => problems.map((problem) => `${name}: ${problem}`));
}

/** Checks every block of the store, after garbage collection. */
export function assertCleanAfterGc(engine: StoreEngine): void {
  collectGarbage(engine);
  assert.deepEqual(problemsOf(engine, { scrub: true }), []);
}

/** Disk space of all blobs. */
export function diskBytes(engine: StoreEngine): number {
  let bytes = 0;
  for (const blob of engine.blobs.list()) bytes += engine.blobs.allocatedBytes(blob);
  return bytes;
}

/** Blocks that files of the store name. */
export function liveBlocks(engine: StoreEngine): number {
  const live = new Set<string>();
  for (const [layer] of engine.tables.layers.entries()) {
    for (const { runs } of engine.tables.extents.forLayer(layer)) {
      for (const { blob, physical, count } of runs)
        for (let index = 0; index < count; index++) live.add(`${blob}:${physical + index}`);
    }
  }
  return live.size;
}
