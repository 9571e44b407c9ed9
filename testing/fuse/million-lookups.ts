/**
 * Looks up a million names through `dispatch`, forgets all of them, singly and in batches, and prints as JSON how much
 * the heap has grown. Run with --expose-gc, in a process of its own: nothing else grows that heap.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { StoreEngine } from '../../src/store/index.ts';
import { FuseKernel, Op, pack, ROOT, requestBytes, u32, u64 } from './fuse-kernel.ts';

const NAMES = 1000;
const ROUNDS = 1000;
const WARM_ROUNDS = 20;

const directory = mkdtempSync(join(tmpdir(), 'ramet-test-'));
const engine = await StoreEngine.open(join(directory, 'store'), { create: true });
const kernel = new FuseKernel(engine.createEmpty('tree'));
const nodes = Array.from({ length: NAMES }, (_, index) => kernel.create(ROOT, `name-${index}`));
for (const node of nodes) kernel.forget(node);

const lookups = nodes.map((_, index) => requestBytes(Op.LOOKUP, ROOT, pack(`name-${index}`)));
const single = nodes.map((node) => requestBytes(Op.FORGET, node, u64(1)));
const batch = requestBytes(
  Op.BATCH_FORGET,
  0,
  pack(u32(NAMES, 0), u64(...nodes.flatMap((node) => [node, 1]))),
);
let knownMost = 0;

function round(index: number): void {
  for (const lookup of lookups) kernel.sendBytes(lookup);
  knownMost = Math.max(knownMost, kernel.session.knownCount);
  if (index % 2 === 0) kernel.sendBytes(batch);
  else for (const forget of single) kernel.sendBytes(forget);
}

function heapBytes(): number {
  if (globalThis.gc === undefined) throw new Error('run it with --expose-gc');
  globalThis.gc();
  return process.memoryUsage().heapUsed;
}

for (let index = 0; index < WARM_ROUNDS; index++) round(index);
const before = heapBytes();
const start = process.cpuUsage();
for (let index = 0; index < ROUNDS; index++) round(index);
const { user, system } = process.cpuUsage(start);
const seconds = (user + system) / 1e6;
const grownBytes = heapBytes() - before;
process.stdout.write(
  JSON.stringify({ grownBytes, knownMost, knownAtEnd: kernel.session.knownCount, seconds }),
);
await engine.close();
rmSync(directory, { recursive: true, force: true });
