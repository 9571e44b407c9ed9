/**
 * Bytes of files against a naive model, one array: random writes, truncations, holes, reflinks and freezes, with views.
 */
import assert from 'node:assert/strict';
import { constants } from 'node:fs';
import test from 'node:test';
import fc from 'fast-check';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import { BLOCK_SIZE } from '../base/index.ts';
import type { View } from '../mapping/index.ts';
import type { StoreEngine, Tree } from '../store/index.ts';
import { createSystem } from '../sys/index.ts';
import type { OpenFile } from './open-file.ts';

const { O_CREAT, O_RDWR, O_WRONLY, O_APPEND, O_RDONLY } = constants;
const FILE_MAX = 20 * BLOCK_SIZE;

type Step =
  | { readonly op: 'write' | 'punch'; readonly file: number; readonly at: number; readonly length: number }
  | { readonly op: 'truncate'; readonly file: number; readonly size: number }
  | { readonly op: 'clone'; readonly file: number }
  | {
      readonly op: 'cloneRange';
      readonly file: number;
      readonly from: number;
      readonly to: number;
      readonly blocks: number;
    }
  | { readonly op: 'freeze' | 'mark' | 'checkpoint' | 'map' };

const position = fc.oneof(
  fc.nat(FILE_MAX),
  fc.nat(20).map((block) => block * BLOCK_SIZE),
);
const file = fc.nat(1);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    op: fc.constant('write' as const),
    file,
    at: position,
    length: fc.integer({ min: 1, max: 3 * BLOCK_SIZE }),
  }),
  fc.record({
    op: fc.constant('punch' as const),
    file,
    at: position,
    length: fc.integer({ min: 1, max: 4 * BLOCK_SIZE }),
  }),
  fc.record({ op: fc.constant('truncate' as const), file, size: position }),
  fc.record({ op: fc.constant('clone' as const), file }),
  fc.record({
    op: fc.constant('cloneRange' as const),
    file,
    from: fc.nat(10),
    to: fc.nat(10),
    blocks: fc.integer({ min: 1, max: 5 }),
  }),
  fc.record({
    op: fc.constantFrom('freeze' as const, 'mark' as const, 'checkpoint' as const, 'map' as const),
  }),
);

interface State {
  readonly engine: StoreEngine;
  readonly tree: Tree;
  readonly files: OpenFile[];
  readonly models: Buffer[];
  readonly views: { view: View; file: number }[];
  serial: number;
}

function resized(bytes: Buffer, size: number): Buffer {
  const grown = Buffer.alloc(size);
  bytes.copy(grown);
  return grown;
}

/** Applies one step to the file and to the model. Reflinks that must fail have to fail with the right code. */
function apply(state: State, one: Step): void {
  const { fileSystem } = state.tree;
  state.serial++;
  if (one.op === 'freeze') state.engine.snapshot('work', `s${state.serial}`);
  else if (one.op === 'mark') state.tree.commitMark();
  else if (one.op === 'checkpoint') state.tree.checkpoint();
  else if (one.op === 'map') {
    if (state.engine.system.canMap) {
      for (const [index, opened] of state.files.entries()) {
        state.views.push({ view: fileSystem.map(opened, { reserveBytes: 32 * BLOCK_SIZE }), file: index });
      }
    }
  } else if (one.op === 'truncate') {
    fileSystem.truncateFile(state.files[one.file]!, one.size);
    state.models[one.file] = resized(state.models[one.file]!, one.size);
  } else if (one.op === 'write') {
    const bytes = Buffer.alloc(one.length, (state.serial % 250) + 1);
    fileSystem.write(state.files[one.file]!, bytes, 0, one.length, one.at);
    const before = state.models[one.file]!;
    const model = resized(before, Math.max(before.length, one.at + one.length));
    bytes.copy(model, one.at);
    state.models[one.file] = model;
  } else if (one.op === 'punch') {
    fileSystem.punch(state.files[one.file]!, one.at, one.length);
    const model = state.models[one.file]!;
    model.fill(0, Math.min(one.at, model.length), Math.min(one.at + one.length, model.length));
  } else if (one.op === 'clone') {
    fileSystem.reflink(state.files[one.file]!, state.files[1 - one.file]!);
    state.models[1 - one.file] = Buffer.from(state.models[one.file]!);
  } else if (one.op === 'cloneRange') cloneRange(state, one);
}

function cloneRange(state: State, one: Extract<Step, { op: 'cloneRange' }>): void {
  const source = state.models[one.file]!;
  const before = state.models[1 - one.file]!;
  const [from, to, length] = [one.from * BLOCK_SIZE, one.to * BLOCK_SIZE, one.blocks * BLOCK_SIZE];
  const files = state.files;
  const act = (): void =>
    state.tree.fileSystem.reflinkRange(files[one.file]!, from, length, files[1 - one.file]!, to);
  if (from + length > source.length) {
    assert.throws(act, { code: 'EINVAL' });
    return;
  }
  act();
  const model = resized(before, Math.max(before.length, to + length));
  source.copy(model, to, from, from + length);
  state.models[1 - one.file] = model;
}

function compare(state: State): void {
  for (const [index, model] of state.models.entries()) {
    const opened = state.files[index]!;
    const bytes = Buffer.alloc(model.length + 10);
    assert.equal(state.tree.fileSystem.read(opened, bytes, 0, bytes.length, 0), model.length);
    assert.ok(bytes.subarray(0, model.length).equals(model), `file ${index} holds what was written`);
  }
  for (const { view, file: index } of state.views) {
    const model = state.models[index]!;
    const shown = Buffer.from(view.buffer);
    const length = Math.min(model.length, shown.length);
    assert.ok(shown.subarray(0, length).equals(model.subarray(0, length)), 'a view shows the file');
    assert.ok(
      shown.subarray(length).every((byte) => byte === 0),
      'beyond the end a view shows zeros',
    );
  }
}

for (const kind of ['native', 'buffered'] as const) {
  test(`random operations agree with an array (${kind})`, async (context) => {
    const engine = await scratchStore(context, { system: createSystem(kind) });
    let run = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), (steps) => {
        const tree = engine.createEmpty('work');
        const files = ['/a', '/b'].map((path) => tree.fileSystem.open(path, O_CREAT | O_RDWR, 0o644));
        const state: State = {
          engine,
          tree,
          files,
          models: [Buffer.alloc(0), Buffer.alloc(0)],
          views: [],
          serial: run++ * 100,
        };
        try {
          for (const one of steps) {
            apply(state, one);
            compare(state);
          }
          for (const { view } of state.views) view.close();
          tree.close();
          const again = engine.openTree('work');
          const reopened = ['/a', '/b'].map((path) => again.fileSystem.open(path, O_RDONLY, 0));
          compare({ ...state, tree: again, files: reopened, views: [] });
          again.close();
        } finally {
          tree.close();
          engine.drop('work');
        }
      }),
      { numRuns: 60 },
    );
  });
}

test('an append goes to the end, whatever the position', async (context) => {
  const tree = (await scratchStore(context)).createEmpty('work');
  const opened = tree.fileSystem.open('/log', O_CREAT | O_WRONLY | O_APPEND, 0o644);
  tree.fileSystem.write(opened, Buffer.from('one'), 0, 3, 0);
  tree.fileSystem.write(opened, Buffer.from('two'), 0, 3, 0);
  assert.equal(tree.fileSystem.stat('/log', true).size, 6);
});

test('an empty file that becomes a clone of an empty one keeps its times', async (context) => {
  const { fileSystem } = (await scratchStore(context)).createEmpty('work');
  const source = fileSystem.open('/source', O_CREAT | O_RDWR, 0o644);
  const target = fileSystem.open('/target', O_CREAT | O_RDWR, 0o644);
  const long = { seconds: 1000, nanoseconds: 0 };
  fileSystem.setFileTimes(target, long, long);
  fileSystem.reflink(source, target);
  assert.equal(fileSystem.statFile(target).mtimeSeconds, 1000);
  fileSystem.write(target, Buffer.from('x'), 0, 1, 0);
  fileSystem.setFileTimes(target, long, long);
  fileSystem.reflink(source, target);
  assert.equal(fileSystem.statFile(target).size, 0);
  assert.notEqual(fileSystem.statFile(target).mtimeSeconds, 1000);
});

test('reflinkRange refuses with EINVAL the ranges that FICLONERANGE refuses', async (context) => {
  const tree = (await scratchStore(context)).createEmpty('work');
  const { fileSystem } = tree;
  const source = fileSystem.open('/source', O_CREAT | O_RDWR, 0o644);
  const target = fileSystem.open('/target', O_CREAT | O_RDWR, 0o644);
  fileSystem.write(source, Buffer.alloc(10_000, 1), 0, 10_000, 0);
  fileSystem.write(target, Buffer.alloc(20_000, 2), 0, 20_000, 0);
  const refused: [number, number, number][] = [
    [1, 4096, 0],
    [0, 4096, 1],
    [0, 100, 0],
    [8192, 1808, 0],
    [0, 12_288, 0],
  ];
  for (const [from, length, to] of refused) {
    assert.throws(() => fileSystem.reflinkRange(source, from, length, target, to), { code: 'EINVAL' });
  }
  assert.throws(() => fileSystem.reflinkRange(source, 0, 8192, source, 4096), { code: 'EINVAL' });
  fileSystem.reflinkRange(source, 8192, 0, target, 20_480);
  assert.equal(fileSystem.statFile(target).size, 22_288);
  fileSystem.reflinkRange(source, 0, 4096, source, 8192);
  const bytes = Buffer.alloc(12_288);
  assert.equal(fileSystem.read(source, bytes, 0, bytes.length, 0), 12_288);
  assert.ok(bytes.every((byte) => byte === 1));
});

test('data and holes are found; ENXIO beyond the end', async (context) => {
  const tree = (await scratchStore(context)).createEmpty('work');
  const { fileSystem } = tree;
  const opened = fileSystem.open('/sparse', O_CREAT | O_RDWR, 0o644);
  fileSystem.write(opened, Buffer.alloc(10, 1), 0, 10, 3 * BLOCK_SIZE);
  fileSystem.truncateFile(opened, 6 * BLOCK_SIZE);
  assert.equal(fileSystem.seekData(opened, 0), 3 * BLOCK_SIZE);
  assert.equal(fileSystem.seekHole(opened, 0), 0);
  assert.equal(fileSystem.seekHole(opened, 3 * BLOCK_SIZE + 5), 4 * BLOCK_SIZE);
  assert.throws(() => fileSystem.seekData(opened, 4 * BLOCK_SIZE), { code: 'ENXIO' });
  assert.throws(() => fileSystem.seekHole(opened, 6 * BLOCK_SIZE), { code: 'ENXIO' });
  assert.equal(fileSystem.statFile(opened).blocks, 8);
  fileSystem.allocate(opened, 0, 6 * BLOCK_SIZE, false);
  assert.equal(fileSystem.statFile(opened).blocks, 48);
  fileSystem.truncateFile(opened, 0);
  assert.equal(fileSystem.statFile(opened).blocks, 0);
});
