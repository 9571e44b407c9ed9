/**
 * write(2) on a disk that is full or fails, at each of the write's system calls in turn: afterwards the file holds a
 * prefix of the new bytes, which may be empty and is at least as long as the returned count, and then its old bytes.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { scratchDirectory } from '../../testing/stores/scratch-store.ts';
import { BLOCK_SIZE, isFsError } from '../base/index.ts';
import { StoreEngine, type Tree } from '../store/index.ts';
import { createSystem, FaultySystem } from '../sys/index.ts';

const READ_WRITE_CREATE = 0o102;
const BLOCKS = 4;
/** The file ends within its last block. */
const OLD_BYTES = (BLOCKS - 1) * BLOCK_SIZE + 100;
const [FROM, TO] = [50, BLOCKS * BLOCK_SIZE + 60];
const CODES = ['ENOSPC', 'EDQUOT', 'EIO'] as const;

async function faultyStore(context: TestContext): Promise<{ engine: StoreEngine; system: FaultySystem }> {
  const system = new FaultySystem(createSystem());
  const directory = join(scratchDirectory(context), 'store');
  const engine = await StoreEngine.open(directory, {
    create: true,
    system,
    commitMarkMs: Number.POSITIVE_INFINITY,
  });
  context.after(() => engine.close());
  return { engine, system };
}

/** A file whose block n is the fork's own if bit n of `own` is set, else shared with a snapshot. */
function makeFile(engine: StoreEngine, tree: Tree, name: string, own: number): Buffer {
  const { fileSystem } = tree;
  const file = fileSystem.open(`/${name}`, READ_WRITE_CREATE, 0o644);
  const old = Buffer.alloc(OLD_BYTES, 'o');
  fileSystem.write(file, old, 0, old.length, 0);
  engine.snapshot(tree.info.name, name);
  for (let block = 0; block < BLOCKS; block++) {
    const at = block * BLOCK_SIZE;
    if ((own & (1 << block)) !== 0) fileSystem.write(file, old, at, Math.min(BLOCK_SIZE, OLD_BYTES - at), at);
  }
  fileSystem.close(file);
  return old;
}

/** Makes write or allocation number `nth` fail. The returned function tells whether there were that many. */
function failNth(system: FaultySystem, nth: number, code: (typeof CODES)[number]): () => boolean {
  let count = 0;
  system.plan = (operation) =>
    (operation === 'pwrite' || operation === 'allocate') && count++ === nth
      ? { kind: 'error', code }
      : undefined;
  return () => count > nth;
}

function check(tree: Tree, name: string, old: Buffer, written: number): void {
  const { fileSystem } = tree;
  const file = fileSystem.open(`/${name}`, 0, 0);
  const found = Buffer.alloc(fileSystem.statFile(file).size);
  fileSystem.read(file, found, 0, found.length, 0);
  fileSystem.close(file);
  let end = FROM;
  while (end < found.length && found[end] === 'n'.charCodeAt(0)) end++;
  const wanted = Buffer.concat([old.subarray(0, FROM), Buffer.alloc(end - FROM, 'n'), old.subarray(end)]);
  assert.ok(found.equals(wanted), `new bytes up to ${end}, and old ones after them`);
  assert.ok(end - FROM >= written, `${end - FROM} bytes are new, ${written} were promised`);
}

for (const code of CODES) {
  test(`a write that meets ${code} leaves a prefix of itself`, async (context) => {
    const { engine, system } = await faultyStore(context);
    const tree = engine.createEmpty('work');
    const source = Buffer.alloc(TO - FROM, 'n');
    const outcomes = new Set<string>();
    for (let own = 0; own < 1 << BLOCKS; own++) {
      let isReached = true;
      for (let nth = 0; isReached; nth++) {
        const name = `${own}-${nth}`;
        const old = makeFile(engine, tree, name, own);
        const file = tree.fileSystem.open(`/${name}`, READ_WRITE_CREATE, 0);
        let written = 0;
        const wasReached = failNth(system, nth, code);
        try {
          written = tree.fileSystem.write(file, source, 0, source.length, FROM);
          if (!wasReached()) assert.equal(written, source.length);
        } catch (error) {
          if (!isFsError(error, code)) throw error;
        }
        isReached = wasReached();
        system.plan = undefined;
        check(tree, name, old, written);
        outcomes.add(written === 0 ? 'failed' : written < source.length ? 'short' : 'whole');
        tree.fileSystem.close(file);
        tree.fileSystem.unlink(`/${name}`);
        engine.drop(name);
      }
    }
    assert.deepEqual([...outcomes].sort(), ['failed', 'short', 'whole']);
    tree.close();
  });
}
