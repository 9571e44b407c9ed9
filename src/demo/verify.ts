/** Reads every byte of every fork, through the fs API and memory maps, and compares it with the expected byte. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { BLOCK_SIZE } from '../base/index.ts';
import type { Fork, Snapshot } from '../library/index.ts';
import type { View } from '../mapping/index.ts';
import type { Checks } from './checks.ts';
import { BIG_FILE, type ForkPlan } from './plan.ts';
import { CHUNK_BYTES, type SeededBytes } from './seeded-bytes.ts';
import type { SourceTree } from './source-tree.ts';

/** A fork with its plan. `view` maps the large file, and is undefined if the platform has no memory maps. */
export interface OpenFork {
  readonly plan: ForkPlan;
  readonly fork: Fork;
  readonly view: View | undefined;
}

/**
 * Checks the large file in all forks, chunk by chunk: generates the expected bytes of a chunk once, and compares every
 * fork with them. Touches every page of every view.
 */
export async function verifyBigFile(
  forks: readonly OpenFork[],
  content: SeededBytes,
  sizeBytes: number,
  checks: Checks,
  turn: () => Promise<void>,
): Promise<void> {
  const opened = forks.map((open) => ({ ...open, fd: open.fork.fs.openSync(BIG_FILE, 'r') }));
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  for (const { plan, fork, fd, view } of opened) {
    const where = `${plan.name}:${BIG_FILE}`;
    checks.isTrue(fork.fs.fstatSync(fd).size === sizeBytes, () => `${where}: is not ${sizeBytes} bytes long`);
    if (view !== undefined)
      checks.isTrue(view.lengthBytes === sizeBytes, () => `${where}: its map has another length`);
  }
  for (let at = 0; at < sizeBytes; at += CHUNK_BYTES) {
    const expected = content.at(at, Math.min(CHUNK_BYTES, sizeBytes - at));
    for (const { plan, fork, fd, view } of opened) {
      const bytes = fork.fs.readSync(fd, buffer, 0, expected.length, at);
      checks.isPieceOf(buffer.subarray(0, bytes), expected, at, plan, `${plan.name}:${BIG_FILE}, read`);
      checks.readBytes += bytes;
      if (view === undefined) continue;
      const mapped = view.bytes.subarray(at, at + expected.length);
      checks.isPieceOf(mapped, expected, at, plan, `${plan.name}:${BIG_FILE}, mapped`);
      checks.mappedBytes += mapped.length;
    }
    await turn();
  }
  for (const { fork, fd } of opened) fork.fs.closeSync(fd);
}

/** Checks that the pages that forks overwrote are unchanged in the snapshot. */
export function verifyBase(
  base: Snapshot,
  plans: readonly ForkPlan[],
  content: SeededBytes,
  checks: Checks,
): void {
  const fd = base.fs.openSync(BIG_FILE, 'r');
  const buffer = Buffer.allocUnsafe(BLOCK_SIZE);
  for (const { page } of plans) {
    const position = page * BLOCK_SIZE;
    base.fs.readSync(fd, buffer, 0, BLOCK_SIZE, position);
    checks.areEqual(buffer, content.at(position, BLOCK_SIZE), `${base.name}:${BIG_FILE}`, position);
  }
  base.fs.closeSync(fd);
}

/** Checks that a fork has exactly the expected names, types and symlink targets. */
export function verifyNames(open: OpenFork, tree: SourceTree, checks: Checks): void {
  const { plan, fork } = open;
  const expected = new Map<string, string>([[BIG_FILE, 'file']]);
  for (const name of tree.directories) expected.set(name, 'directory');
  for (const name of tree.files) if (name !== plan.removed) expected.set(name, 'file');
  for (const name of plan.written.keys()) expected.set(name, 'file');
  for (const [name, target] of tree.links) expected.set(name, `link to ${target}`);
  for (const entry of fork.fs.readdirSync('/', { recursive: true, withFileTypes: true })) {
    const shown = path.posix.join(entry.parentPath, entry.name);
    const kind = entry.isFile()
      ? 'file'
      : entry.isDirectory()
        ? 'directory'
        : `link to ${fork.fs.readlinkSync(shown)}`;
    const wanted = expected.get(shown) ?? 'absent';
    checks.isTrue(kind === wanted, () => `${plan.name}:${shown}: is a ${kind}, must be ${wanted}`);
    expected.delete(shown);
  }
  for (const name of expected.keys()) checks.isTrue(false, () => `${plan.name}:${name}: is missing`);
}

/** Checks one small file in one fork, read and mapped. */
function verifySmallFile(open: OpenFork, name: string, expected: Uint8Array, checks: Checks): void {
  const where = `${open.plan.name}:${name}`;
  const bytes = open.fork.fs.readFileSync(name) as Buffer; // Without an encoding it is a Buffer.
  checks.areEqual(bytes, expected, `${where}, read`);
  checks.readBytes += bytes.length;
  if (open.view === undefined) return;
  const view = open.fork.map(name);
  checks.areEqual(view.bytes, expected, `${where}, mapped`);
  checks.mappedBytes += view.lengthBytes;
  view.close();
}

/** Checks all small files of all forks: those of the tree, read once from the host, and those that forks wrote. */
export async function verifySmallFiles(
  forks: readonly OpenFork[],
  tree: SourceTree,
  checks: Checks,
  turn: () => Promise<void>,
): Promise<void> {
  for (const name of tree.files) {
    const original = readFileSync(path.join(tree.directory, name));
    for (const open of forks) {
      if (open.plan.removed === name || open.plan.written.has(name)) continue;
      verifySmallFile(open, name, original, checks);
    }
    await turn();
  }
  for (const open of forks) {
    for (const [name, expected] of open.plan.written) verifySmallFile(open, name, expected, checks);
    await turn();
  }
}
