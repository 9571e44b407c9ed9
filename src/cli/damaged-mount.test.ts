/** A damaged block, read and overwritten through a mount. */
import assert from 'node:assert/strict';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ScratchCommand } from '../../testing/command/scratch-command.ts';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { patternBytes } from '../../testing/stores/shared-store.ts';

const BLOCK = 4096;
const BLOCKS = 600;
const DAMAGED = 300;

/** Finds the blob of a large file, which holds nothing else, by its length. */
function blobOf(store: string, lengthBytes: number): string {
  const names = readdirSync(join(store, 'blobs'), { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const found = files.filter((file) => readFileSync(file).length === lengthBytes);
  assert.equal(found.length, 1, files.join(' '));
  return found[0]!;
}

function flipByte(file: string, at: number): void {
  const fd = openSync(file, 'r+');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, at);
  byte[0] = byte[0]! ^ 1;
  writeSync(fd, byte, 0, 1, at);
  closeSync(fd);
}

/** Reads each block: `right` or `wrong` for its bytes, or the code of the error. */
function readEach(file: string, content: Uint8Array): string[] {
  const fd = openSync(file, 'r');
  const bytes = Buffer.alloc(BLOCK);
  const outcomes: string[] = [];
  for (let block = 0; block < BLOCKS; block++) {
    try {
      const count = readSync(fd, bytes, 0, BLOCK, block * BLOCK);
      const expected = content.subarray(block * BLOCK, (block + 1) * BLOCK);
      outcomes.push(count === BLOCK && bytes.equals(expected) ? 'right' : 'wrong');
    } catch (error) {
      outcomes.push((error as NodeJS.ErrnoException).code ?? String(error));
    }
  }
  closeSync(fd);
  return outcomes;
}

describe('a damaged block in a mounted fork', { skip: mountsOnly }, () => {
  for (const io of ['cached', 'direct'] as const) {
    test(`is EIO there and nowhere else, and the log names the file (${io})`, (context) => {
      const scratch = new ScratchCommand(context);
      const content = patternBytes(BLOCKS * BLOCK, 7);
      mkdirSync(scratch.at('repo/assets'), { recursive: true });
      mkdirSync(scratch.at('place'));
      writeFileSync(scratch.at('repo/assets/model'), content);
      writeFileSync(scratch.at('repo/other'), 'other\n');
      scratch.must('init');
      scratch.must('import', 'repo', '--name', 'base');
      scratch.must('fork', 'base', 'try-1');
      flipByte(blobOf(scratch.at('.ramet'), content.length), DAMAGED * BLOCK + 77);
      scratch.must('mount', 'try-1', 'place', '--io', io);
      const expected = Array.from({ length: BLOCKS }, (_, block) => (block === DAMAGED ? 'EIO' : 'right'));
      const model = scratch.at('place/assets/model');
      assert.deepEqual(readEach(model, content), expected);
      assert.deepEqual(readEach(model, content), expected, 'a second time');
      assert.equal(readFileSync(scratch.at('place/other'), 'utf8'), 'other\n');
      const log = readFileSync(scratch.at('.ramet/run/owner.log'), 'utf8');
      const told = log.split('\n').filter((line) => line.includes('damaged'));
      assert.equal(told.length, 1, 'once');
      const { fork, path, err } = JSON.parse(told[0]!) as Record<string, unknown> & {
        err: { message: string };
      };
      assert.deepEqual([fork, path], ['try-1', '/assets/model']);
      assert.match(err.message, new RegExp(`block ${DAMAGED}: checksum does not match`));
    });
  }

  test('is overwritten like any other', (context) => {
    const scratch = new ScratchCommand(context);
    const content = patternBytes(BLOCKS * BLOCK, 8);
    mkdirSync(scratch.at('repo'));
    mkdirSync(scratch.at('place'));
    writeFileSync(scratch.at('repo/model'), content);
    scratch.must('init');
    scratch.must('import', 'repo', '--name', 'base');
    scratch.must('fork', 'base', 'try-1');
    flipByte(blobOf(scratch.at('.ramet'), content.length), DAMAGED * BLOCK);
    scratch.must('mount', 'try-1', 'place');
    const model = scratch.at('place/model');
    const fd = openSync(model, 'r+');
    writeSync(fd, content, DAMAGED * BLOCK, BLOCK, DAMAGED * BLOCK);
    closeSync(fd);
    assert.ok(readEach(model, content).every((outcome) => outcome === 'right'));
  });
});
