/**
 * Forks that are mounted with `shared` map the pages of one blob, in the same frames. In no mode does any way of
 * writing reach a blob that other trees use.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Address } from '../../src/base/index.ts';
import { directoryOnDisk, filesUnder } from '../../src/demo/index.ts';
import type { IoMode } from '../../src/fuse/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { equalBytes, patternBytes } from '../conformance/expect.ts';
import { FileMapping } from '../host/file-mapping.ts';
import { check, libc } from '../host/libc.ts';
import { handleOf, openHandle } from './file-handle.ts';
import { dropPages, fillDirectory, LARGE_BYTES, largeContent, PAGE } from './mount-case.ts';
import { MountServerProcess, whyNoMounts } from './mounted-fork.ts';

const FALLOC_FL_PUNCH = 3;
const FALLOC_FL_ZERO_RANGE = 0x10;
const { O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, O_APPEND } = constants;
const modes: readonly IoMode[] = ['cached', 'direct', 'shared'];
const skip = whyNoMounts();

/** Ways to change a file that has been opened for reading as `reader`. Each may be refused. */
const ways: readonly (readonly [string, (path: string, reader: number, root: string) => void])[] = [
  ['write', (path) => writeBy(path, O_RDWR)],
  ['write by O_WRONLY', (path) => writeBy(path, O_WRONLY)],
  ['append', (path) => appendFileSync(path, 'appended')],
  ['O_TRUNC on a file opened for reading', (path) => closeSync(openSync(path, O_RDONLY | O_TRUNC))],
  ['O_APPEND and O_TRUNC', (path) => writeBy(path, O_WRONLY | O_APPEND | O_TRUNC)],
  ['truncate', (path) => truncateSync(path, 5000)],
  ['the descriptor for reading, opened again', (_path, reader) => writeBy(`/proc/self/fd/${reader}`, O_RDWR)],
  ['a store through a map', (path) => storeBy(path)],
  ['PUNCH_HOLE', (path) => allocateBy(path, FALLOC_FL_PUNCH)],
  ['ZERO_RANGE', (path) => allocateBy(path, FALLOC_FL_ZERO_RANGE)],
  ['a file handle', (path, _reader, root) => writeTo(openHandle(root, handleOf(path), O_RDWR))],
];

function writeTo(fd: number): void {
  try {
    writeSync(fd, 'written', 0);
    dropPages(fd);
  } finally {
    closeSync(fd);
  }
}

function writeBy(path: string, flags: number): void {
  writeTo(openSync(path, flags));
}

function storeBy(path: string): void {
  const fd = openSync(path, O_RDWR);
  try {
    using map = new FileMapping(fd, LARGE_BYTES, true);
    map.write(Buffer.from('stored'), PAGE);
    map.sync();
  } finally {
    closeSync(fd);
  }
}

function allocateBy(path: string, mode: number): void {
  const fd = openSync(path, O_RDWR);
  try {
    check(libc().fallocate(fd, mode, 0, 4 * PAGE), 'fallocate');
  } finally {
    closeSync(fd);
  }
}

/** Digests of host files, by path. */
function digests(paths: readonly string[]): ReadonlyMap<string, string> {
  return new Map(paths.map((path) => [path, createHash('sha256').update(readFileSync(path)).digest('hex')]));
}

/** A server with a snapshot `base` of the files of cases, and digests of its blobs. */
class Sealed {
  readonly server: MountServerProcess;
  private readonly blobs: ReadonlyMap<string, string>;
  private count = 0;

  private constructor(server: MountServerProcess) {
    this.server = server;
    this.blobs = digests(filesUnder(join(server.storeDirectory, 'blobs')));
  }

  static async make(): Promise<Sealed> {
    const source = mkdtempSync(join(directoryOnDisk(), 'ramet-sealed-'));
    try {
      fillDirectory(source);
      const server = await MountServerProcess.start();
      await server.ask({ kind: 'import', directory: source, name: 'base' });
      return new Sealed(server);
    } finally {
      rmSync(source, { recursive: true });
    }
  }

  /** Mounts a new fork of the snapshot. */
  async fork(io: IoMode): Promise<string> {
    const name = `fork-${this.count++}`;
    await this.server.ask({ kind: 'fork', source: 'base', name });
    return this.server.mount(name, io);
  }

  expectUnchanged(what: string): void {
    assert.ok(this.blobs.size > 0);
    assert.deepEqual(digests([...this.blobs.keys()]), this.blobs, `blobs after ${what}`);
  }
}

describe('sealed blobs and mounts', { skip }, () => {
  let sealed: Sealed;
  before(async () => {
    sealed = await Sealed.make();
  });
  after(() => sealed.server[Symbol.asyncDispose]());

  for (const io of modes) {
    it(`no way of writing reaches them, ${io}`, async () => {
      const other = await sealed.fork(io);
      for (const [name, change] of ways) {
        for (const isMapped of [false, true]) {
          const root = await sealed.fork(io);
          const path = join(root, 'large');
          const reader = openSync(path, 'r');
          using map = isMapped ? new FileMapping(reader, LARGE_BYTES) : undefined;
          map?.read();
          assert.throws(() => new FileMapping(reader, LARGE_BYTES, true), { code: 'EACCES' });
          try {
            change(path, reader, root);
            assert.notDeepEqual(readFileSync(path), largeContent, `${name} has changed the fork`);
          } catch (error) {
            // ETXTBSY with `shared` is the only refusal that the documents allow.
            if (io !== 'shared' || !(error instanceof Error && 'code' in error && error.code === 'ETXTBSY'))
              throw error;
            equalBytes(readFileSync(path), largeContent, `what was refused, ${name}`);
          }
          closeSync(reader);
          equalBytes(readFileSync(join(other, 'large')), largeContent, `another fork, after ${name}`);
          sealed.expectUnchanged(name);
        }
      }
    });
  }

  it('have one frame for each page in all forks that are mounted with shared', async () => {
    const roots = [await sealed.fork('shared'), await sealed.fork('shared'), await sealed.fork('shared')];
    const system = createSystem();
    const framesOf = (root: string): readonly number[] => {
      const fd = openSync(join(root, 'large'), 'r');
      try {
        using map = new FileMapping(fd, LARGE_BYTES);
        equalBytes(map.read(), root === changed ? changedContent : largeContent, root);
        return system.frameNumbers(map.address as Address, LARGE_BYTES / PAGE); // The cast: mmap gave it.
      } finally {
        closeSync(fd);
      }
    };
    let changed: string | undefined;
    const changedContent = Buffer.from(largeContent);
    const first = framesOf(roots[0]!);
    assert.ok(first.every((frame) => frame > 0));
    for (const root of roots) assert.deepEqual(framesOf(root), first);
    changed = roots[1]!;
    const patch = patternBytes(3 * PAGE, 9);
    patch.copy(changedContent, 5 * PAGE + 7);
    const writer = openSync(join(changed, 'large'), 'r+');
    writeSync(writer, patch, 0, patch.length, 5 * PAGE + 7);
    closeSync(writer);
    const own = framesOf(changed);
    assert.notEqual(own[5], first[5]);
    assert.deepEqual(framesOf(roots[0]!), first);
    assert.deepEqual(framesOf(roots[2]!), first);
    sealed.expectUnchanged('a write in one fork');
  });
});
