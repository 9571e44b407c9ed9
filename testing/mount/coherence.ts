/**
 * One file, one content: a file of a lower layer is opened for reading and mapped, then changed through another
 * descriptor. All descriptors and maps show the change, at once and after the kernel dropped the file's pages.
 */

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { equalBytes, patternBytes } from '../conformance/expect.ts';
import { FileMapping, readDirect } from '../host/file-mapping.ts';
import { check, libc } from '../host/libc.ts';
import { dropPages, fileContent, largeContent, type MountCase, type MountGroup, PAGE } from './mount-case.ts';

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const FALLOC_FL_ZERO_RANGE = 0x10;
const patch = patternBytes(5000, 77);
const PATCH_AT = PAGE + 100;

/** A way to change a file, and its content afterwards. */
interface Change {
  readonly name: string;
  readonly flags: number;
  readonly make: (fd: number, path: string) => void;
  readonly expected: (before: Buffer) => Buffer;
}

function patched(before: Buffer, bytes: Uint8Array, position: number): Buffer {
  const after = Buffer.alloc(Math.max(before.length, position + bytes.length));
  before.copy(after);
  after.set(bytes, position);
  return after;
}

function zeroed(before: Buffer, position: number, length: number): Buffer {
  return patched(before, Buffer.alloc(length), position);
}

function fallocate(fd: number, mode: number, position: number, length: number): void {
  check(libc().fallocate(fd, mode, position, length), 'fallocate');
}

const { O_APPEND, O_RDWR, O_TRUNC, O_WRONLY } = constants;

const changes: readonly Change[] = [
  {
    name: 'write',
    flags: O_RDWR,
    make: (fd) => writeSync(fd, patch, 0, patch.length, PATCH_AT),
    expected: (before) => patched(before, patch, PATCH_AT),
  },
  {
    name: 'write by O_WRONLY',
    flags: O_WRONLY,
    make: (fd) => writeSync(fd, patch, 0, 7, 3),
    expected: (before) => patched(before, patch.subarray(0, 7), 3),
  },
  {
    name: 'a store through a writable map',
    flags: O_RDWR,
    make(fd) {
      using map = new FileMapping(fd, fstatSync(fd).size, true);
      map.write(patch, PATCH_AT);
      map.sync();
    },
    expected: (before) => patched(before, patch, PATCH_AT),
  },
  {
    name: 'ftruncate to less',
    flags: O_RDWR,
    make: (fd) => ftruncateSync(fd, PAGE * 2 + 5),
    expected: (before) => Buffer.from(before.subarray(0, PAGE * 2 + 5)),
  },
  {
    name: 'ftruncate to less, then to more',
    flags: O_RDWR,
    make(fd) {
      ftruncateSync(fd, PAGE + 5);
      ftruncateSync(fd, PAGE * 4);
    },
    expected: (before) => patched(Buffer.alloc(PAGE * 4), before.subarray(0, PAGE + 5), 0),
  },
  {
    name: 'truncate by path',
    flags: O_RDWR,
    make: (_fd, path) => truncateSync(path, 10),
    expected: (before) => Buffer.from(before.subarray(0, 10)),
  },
  {
    name: 'O_TRUNC, then a write',
    flags: O_RDWR | O_TRUNC,
    make: (fd) => writeSync(fd, 'anew', 0),
    expected: () => Buffer.from('anew'),
  },
  {
    name: 'append',
    flags: O_WRONLY | O_APPEND,
    make: (fd) => writeSync(fd, patch),
    expected: (before) => Buffer.concat([before, patch]),
  },
  {
    name: 'append by path',
    flags: O_RDWR,
    make: (_fd, path) => appendFileSync(path, 'more'),
    expected: (before) => Buffer.concat([before, Buffer.from('more')]),
  },
  {
    name: 'PUNCH_HOLE',
    flags: O_RDWR,
    make: (fd) => fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, PAGE + 50, 3 * PAGE),
    expected: (before) => zeroed(before, PAGE + 50, 3 * PAGE),
  },
  {
    name: 'ZERO_RANGE beyond the end',
    flags: O_RDWR,
    make: (fd) => fallocate(fd, FALLOC_FL_ZERO_RANGE, fstatSync(fd).size - 3000, 9000),
    expected: (before) => zeroed(before, before.length - 3000, 9000),
  },
  {
    name: 'copy_file_range into it',
    flags: O_RDWR,
    make(fd, path) {
      const source = openSync(join(dirname(path), 'first'), 'r');
      check(libc().lseek(fd, 2 * PAGE, 0), 'lseek');
      const count = libc().copy_file_range(source, null, fd, null, 3 * PAGE, 0);
      closeSync(source);
      assert.equal(check(count, 'copy_file_range'), 3 * PAGE);
    },
    expected: (before) => patched(before, fileContent.subarray(0, 3 * PAGE), 2 * PAGE),
  },
];

/** Reads a whole file from its beginning, whatever the position of the descriptor. */
function readWhole(fd: number, lengthMax: number): Buffer {
  const bytes = Buffer.alloc(lengthMax);
  let done = 0;
  for (;;) {
    const count = readSync(fd, bytes, done, lengthMax - done, done);
    if (count === 0) return bytes.subarray(0, done);
    done += count;
  }
}

/** Descriptors and maps that were made before the change. */
class Observers implements Disposable {
  private readonly path: string;
  private readonly fd: number;
  private readonly direct: number;
  private readonly map: FileMapping;
  /** A map whose descriptor was closed before the change. */
  private readonly orphanMap: FileMapping;

  constructor(path: string, before: Buffer) {
    this.path = path;
    this.fd = openSync(path, 'r');
    this.direct = openSync(path, constants.O_RDONLY | constants.O_DIRECT);
    this.map = new FileMapping(this.fd, before.length);
    const closing = openSync(path, 'r');
    this.orphanMap = new FileMapping(closing, before.length);
    closeSync(closing);
    // When the file changes, the page cache has its old content.
    for (const bytes of [this.map.read(), this.orphanMap.read(), readDirect(this.direct, 0, before.length)])
      equalBytes(bytes, before, 'what was there before');
  }

  expect(expected: Buffer, when: string): void {
    const { length } = expected;
    const enough = length + 3 * PAGE;
    assert.equal(fstatSync(this.fd).size, length, `size by the old descriptor, ${when}`);
    assert.equal(statSync(this.path).size, length, `size by path, ${when}`);
    equalBytes(readWhole(this.fd, enough), expected, `read of the old descriptor, ${when}`);
    equalBytes(readDirect(this.direct, 0, enough), expected, `O_DIRECT read, ${when}`);
    this.expectMap(this.map, expected, `old map, ${when}`);
    this.expectMap(this.orphanMap, expected, `map without descriptor, ${when}`);
    using fresh = new FileMapping(this.fd, length);
    equalBytes(fresh.read(), expected, `new map of the old descriptor, ${when}`);
    equalBytes(readFileSync(this.path), expected, `new descriptor, ${when}`);
    const other = execFileSync('cat', [this.path], { maxBuffer: 2 ** 24 });
    equalBytes(other, expected, `another process, ${when}`);
    const byNumber = readFileSync(`/proc/self/fd/${this.fd}`);
    equalBytes(byNumber, expected, `the old descriptor opened again, ${when}`);
  }

  /** Checks a map of the old length: it shows the file, then zeros to the end of a page, and has no page after that. */
  private expectMap(map: FileMapping, expected: Buffer, what: string): void {
    const common = Math.min(expected.length, map.lengthBytes);
    equalBytes(map.read(0, common), expected.subarray(0, common), what);
    const pageEnd = Math.min(Math.ceil(expected.length / PAGE) * PAGE, map.lengthBytes);
    equalBytes(map.read(common, pageEnd - common), Buffer.alloc(pageEnd - common), `rest of a page, ${what}`);
    if (pageEnd === map.lengthBytes) return;
    assert.throws(() => map.read(pageEnd, 1), { code: 'EFAULT' }, `beyond the end, ${what}`);
  }

  drop(): void {
    dropPages(this.fd);
  }

  [Symbol.dispose](): void {
    this.map[Symbol.dispose]();
    this.orphanMap[Symbol.dispose]();
    closeSync(this.fd);
    closeSync(this.direct);
  }
}

function coherenceCase(change: Change, file: 'file' | 'large', before: Buffer): MountCase {
  return {
    name: `${change.name}: ${file === 'large' ? 'a large file' : 'a packed file'}`,
    ...(file === 'large' ? { needs: ['writersBesideReaders'] } : {}),
    run(root) {
      const path = `${root}/${file}`;
      using observers = new Observers(path, before);
      const writer = openSync(path, change.flags);
      try {
        change.make(writer, path);
        const expected = change.expected(before);
        observers.expect(expected, 'at once');
        fsyncSync(writer);
        observers.expect(expected, 'after fsync');
        observers.drop();
        observers.expect(expected, 'after its pages were dropped');
      } finally {
        closeSync(writer);
      }
      const expected = change.expected(before);
      observers.expect(expected, 'after the writer was closed');
      observers.drop();
      observers.expect(expected, 'after the writer was closed and its pages were dropped');
    },
  };
}

const WRITERS = 10;
const LINES = 100;

/** Shell: appends $3 lines with the prefix $2 to the file $1, and opens the file for each. */
const APPENDING = 'line=0; while [ $line -lt $3 ]; do echo "$2 $line" >> "$1"; line=$((line + 1)); done';

async function appendLines(path: string, writer: number): Promise<void> {
  const child = spawn('sh', ['-c', APPENDING, 'sh', path, `${writer}`, `${LINES}`]);
  const [code] = (await once(child, 'exit')) as [number | null];
  assert.equal(code, 0);
}

const hammering: MountCase = {
  name: 'ten programs append to one file, and every line is there once, whole and in order',
  async run(root) {
    const path = `${root}/small`;
    await Promise.all(Array.from({ length: WRITERS }, (_, writer) => appendLines(path, writer)));
    const [first, ...lines] = readFileSync(path, 'latin1').trimEnd().split('\n');
    assert.equal(first, 'small');
    assert.equal(lines.length, WRITERS * LINES);
    for (let writer = 0; writer < WRITERS; writer++) {
      const own = lines.filter((line) => line.startsWith(`${writer} `));
      assert.deepEqual(
        own,
        Array.from({ length: LINES }, (_, line) => `${writer} ${line}`),
      );
    }
  },
};

export const coherenceGroup: MountGroup = {
  name: 'coherence',
  cases: [
    ...changes.flatMap((change) => [
      coherenceCase(change, 'file', fileContent),
      coherenceCase(change, 'large', largeContent),
    ]),
    hammering,
  ],
};
