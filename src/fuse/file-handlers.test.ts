/** Operations on the bytes of files: the bytes of their requests and answers. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  codeOf,
  type FuseKernel,
  Op,
  pack,
  ROOT,
  readArgs,
  type ScratchOptions,
  scratchKernel,
  u32,
  u64,
  writeArgs,
} from '../../testing/fuse/fuse-kernel.ts';
import { patternBytes, writeFile } from '../../testing/stores/shared-store.ts';
import { FsError } from '../base/index.ts';
import type { Tree } from '../store/index.ts';
import { createBufferedSystem, createSystem, FaultySystem } from '../sys/index.ts';

const BLOCK = 4096;
const content = patternBytes(4 * BLOCK + 100, 1);

interface Files {
  readonly kernel: FuseKernel;
  readonly file: number;
  readonly directory: number;
}

async function forkOf(context: TestContext, options: ScratchOptions = {}): Promise<Files> {
  const fill = (tree: Tree) => {
    writeFile(tree, '/file', content);
    tree.fileSystem.makeDirectory('/directory', 0o755);
  };
  const { kernel } = await scratchKernel(context, fill, options);
  return { kernel, file: kernel.lookup(ROOT, 'file'), directory: kernel.lookup(ROOT, 'directory') };
}

/** The place of each block of a file: `blob:block`, or `hole`. */
function placesOf({ tree }: FuseKernel, node: number, count: number): string[] {
  const { extents } = tree.stack.mappingOf(tree.stack.inode(node as never));
  return Array.from({ length: count }, (_, block) => {
    extents.locate(block);
    return extents.foundBlob === 0 ? 'hole' : `${extents.foundBlob}:${extents.foundPhysical}`;
  });
}

describe('OPEN, OPENDIR and RELEASE', () => {
  it('are not needed in the mode `cached`', async (context) => {
    const { kernel, file, directory } = await forkOf(context);
    assert.equal(kernel.fails(Op.OPEN, file, u32(0, 0)), 'ENOSYS');
    assert.equal(kernel.fails(Op.OPENDIR, directory, u32(0, 0)), 'ENOSYS');
  });

  it('answer in the mode `direct` with flags that keep bytes out of the cache', async (context) => {
    const { kernel, file, directory } = await forkOf(context, { io: 'direct' });
    // struct fuse_open_out: fh (64) · open_flags: DIRECT_IO | PARALLEL_DIRECT_WRITES · backing_id
    assert.deepEqual(kernel.ask(Op.OPEN, file, u32(0, 0)), pack(u64(0), u32(0x41, 0)));
    // KEEP_CACHE | CACHE_DIR
    assert.deepEqual(kernel.ask(Op.OPENDIR, directory, u32(0, 0)), pack(u64(0), u32(0x0a, 0)));
    assert.equal(kernel.fails(Op.OPENDIR, file, u32(0, 0)), 'ENOTDIR');
    assert.equal(kernel.fails(Op.OPEN, 999, u32(0, 0)), 'ESTALE');
    kernel.ask(Op.RELEASE, file, pack(u64(0), u32(0, 0), u64(0)));
    kernel.ask(Op.RELEASEDIR, directory, pack(u64(0), u32(0, 0), u64(0)));
  });
});

describe('READ', () => {
  it('returns the bytes at any place, up to the end of the file', async (context) => {
    const noted: [number, number][] = [];
    const onCached = (_inode: unknown, position: number, length: number) => noted.push([position, length]);
    const { kernel, file } = await forkOf(context, { events: { onCached } });
    assert.deepEqual(kernel.read(file, 0, BLOCK), content.subarray(0, BLOCK));
    assert.deepEqual(kernel.read(file, 5000, 9000), content.subarray(5000, 14_000));
    assert.deepEqual(kernel.read(file, 4 * BLOCK, BLOCK), content.subarray(4 * BLOCK));
    assert.equal(kernel.read(file, content.length, BLOCK).length, 0);
    assert.equal(kernel.ask(Op.READ, file, readArgs(2n ** 63n - 1n, BLOCK)).length, 0);
    assert.deepEqual(noted.slice(0, 3), [
      [0, 4096],
      [5000, 9000],
      [16_384, 100],
    ]);
  });

  it('fails for directories, unknown nodes and requests that are too short', async (context) => {
    const { kernel, file, directory } = await forkOf(context);
    assert.equal(kernel.fails(Op.READ, directory, readArgs(0, 10)), 'EISDIR');
    assert.equal(kernel.fails(Op.READ, 999, readArgs(0, 10)), 'ESTALE');
    assert.equal(kernel.fails(Op.READ, file, readArgs(0, 10).subarray(0, 39)), 'EINVAL');
  });

  it('returns no more than fits into a reply', async (context) => {
    const { kernel, file } = await forkOf(context);
    kernel.ask(Op.FALLOCATE, file, pack(u64(0, 0, 3 << 20), u32(0, 0)));
    assert.equal(kernel.read(file, 0, 0x7fff_ffff).length, kernel.reply.capacityBytes);
  });
});

/** A system whose page cache seems empty while `isCold` is set. */
class ColdSystem extends FaultySystem {
  isCold = false;

  override tryPread(
    fd: number,
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): number {
    return this.isCold ? -1 : super.tryPread(fd, target, offset, length, position);
  }
}

describe('a cold READ', () => {
  it('is answered later, under its own number, with the bytes of that moment', async (context) => {
    const system = new ColdSystem(createSystem());
    const { kernel, file } = await forkOf(context, { store: { system } });
    system.isCold = true;
    assert.equal(kernel.send(Op.READ, file, readArgs(0, BLOCK)).length, 0);
    assert.equal(kernel.send(Op.READ, file, readArgs(BLOCK, BLOCK)).length, 0);
    kernel.write(file, BLOCK, Buffer.from('newer'));
    const first = await kernel.finishDeferred();
    assert.equal(codeOf(first), 'OK');
    assert.equal(first.readBigUInt64LE(8), 1n, 'unique');
    assert.deepEqual(first.subarray(16), content.subarray(0, BLOCK));
    const second = (await kernel.finishDeferred()).subarray(16);
    assert.equal(second.subarray(0, 5).toString(), 'newer');
    assert.deepEqual(second.subarray(5), content.subarray(BLOCK + 5, 2 * BLOCK));
  });

  it('is answered even when the fetch before it failed', async (context) => {
    const system = new ColdSystem(createSystem());
    const { kernel, file } = await forkOf(context, { store: { system } });
    system.isCold = true;
    // The fetch fails, like one for which no descriptor is left.
    kernel.tree.stack.blobs.fetch = () => Promise.reject(new FsError('EMFILE'));
    assert.equal(kernel.send(Op.READ, file, readArgs(0, BLOCK)).length, 0);
    assert.deepEqual((await kernel.finishDeferred()).subarray(16), content.subarray(0, BLOCK));
  });

  it('fails with EIO when the disk fails, and the next may succeed', async (context) => {
    // Without memory maps every read is a call that can fail.
    const system = new ColdSystem(createBufferedSystem());
    const { kernel, file } = await forkOf(context, { store: { system } });
    system.isCold = true;
    system.plan = (operation) => (operation === 'pread' ? { kind: 'error', code: 'EIO' } : undefined);
    assert.equal(kernel.send(Op.READ, file, readArgs(0, BLOCK)).length, 0);
    assert.equal(codeOf(await kernel.finishDeferred()), 'EIO');
    system.plan = undefined;
    system.isCold = false;
    assert.deepEqual(kernel.read(file, 0, BLOCK), content.subarray(0, BLOCK));
  });

  it('does not stop the read-ahead of a walk', async (context) => {
    const system = new ColdSystem(createSystem());
    const fill = (tree: Tree) => {
      for (const name of ['one', 'two']) writeFile(tree, `/${name}`, patternBytes(BLOCK, name.length));
    };
    const { kernel } = await scratchKernel(context, fill, { store: { system } });
    const [first] = kernel.list(ROOT);
    system.isCold = true;
    assert.equal(kernel.send(Op.READ, first!.node, readArgs(0, BLOCK)).length, 0);
    await kernel.finishDeferred();
    assert.ok(kernel.session.readAhead.prepare(), 'the next file is prepared');
  });

  it('of an inode that is gone meanwhile fails with ESTALE', async (context) => {
    const system = new ColdSystem(createSystem());
    const { kernel, file } = await forkOf(context, { store: { system } });
    system.isCold = true;
    assert.equal(kernel.send(Op.READ, file, readArgs(0, BLOCK)).length, 0);
    kernel.ask(Op.UNLINK, ROOT, pack('file'));
    kernel.forget(file);
    assert.equal(codeOf(await kernel.finishDeferred()), 'ESTALE');
  });
});

describe('WRITE', () => {
  it('writes at a position, and returns how much', async (context) => {
    const { kernel, file } = await forkOf(context);
    const answer = kernel.ask(Op.WRITE, file, writeArgs(content.length + 10, Buffer.from('end')));
    // struct fuse_write_out: size, padding
    assert.deepEqual(answer, u32(3, 0));
    kernel.write(file, 2, Buffer.from('XY'));
    const expected = Buffer.concat([content, Buffer.alloc(10), Buffer.from('end')]);
    expected.write('XY', 2);
    assert.deepEqual(kernel.read(file, 0, 100_000), expected);
  });

  it('clears set-user-ID and set-group-ID where the kernel asks for it', async (context) => {
    const { kernel } = await forkOf(context);
    const node = kernel.create(ROOT, 'privileged', 0o106755);
    kernel.ask(Op.WRITE, node, writeArgs(0, Buffer.from('a')));
    assert.equal(kernel.attr(node).mode, 0o106755);
    const WRITE_KILL_SUIDGID = 4;
    kernel.ask(Op.WRITE, node, writeArgs(0, Buffer.from('a'), WRITE_KILL_SUIDGID));
    assert.equal(kernel.attr(node).mode, 0o100755);
  });

  it('fails for directories, unknown nodes, missing bytes, and too large files', async (context) => {
    const { kernel, file, directory } = await forkOf(context);
    const one = Buffer.from('1');
    assert.equal(kernel.fails(Op.WRITE, directory, writeArgs(0, one)), 'EISDIR');
    assert.equal(kernel.fails(Op.WRITE, 999, writeArgs(0, one)), 'ESTALE');
    assert.equal(kernel.fails(Op.WRITE, file, pack(u64(0, 0), u32(9, 0), u64(0), u32(0, 0), one)), 'EINVAL');
    assert.equal(kernel.fails(Op.WRITE, file, writeArgs(2n ** 52n, one)), 'EFBIG');
    assert.equal(kernel.fails(Op.WRITE, file, writeArgs(2n ** 64n - 1n, one)), 'EFBIG');
    assert.equal(kernel.attr(file).size, content.length);
  });

  it('on a snapshot fails with EROFS', async (context) => {
    const { kernel, file } = await forkOf(context, { isReadOnly: true });
    assert.equal(kernel.fails(Op.WRITE, file, writeArgs(0, Buffer.from('1'))), 'EROFS');
    assert.equal(kernel.fails(Op.FALLOCATE, file, pack(u64(0, 0, 10), u32(0, 0))), 'EROFS');
    const copy = u64(0, 0, file, 0, BLOCK, BLOCK, 0);
    assert.equal(kernel.fails(Op.COPY_FILE_RANGE, file, copy), 'EROFS');
    assert.deepEqual(kernel.read(file, 0, 100_000), content);
  });
});

describe('FSYNC, FSYNCDIR and SYNCFS', () => {
  it('write a commit mark', async (context) => {
    const { kernel, file } = await forkOf(context, { store: { commitMarkMs: Number.POSITIVE_INFINITY } });
    for (const [opcode, args] of [
      [Op.FSYNC, pack(u64(0), u32(0, 0))],
      [Op.FSYNCDIR, pack(u64(0), u32(0, 0))],
      [Op.SYNCFS, u64(0)],
    ] as const) {
      kernel.write(file, 0, Buffer.from('dirty'));
      assert.equal(kernel.tree.stack.upper?.isUnmarked, true);
      kernel.ask(opcode, file, args);
      assert.equal(kernel.tree.stack.upper?.isUnmarked, false, `opcode ${opcode}`);
    }
  });
});

const KEEP_SIZE = 1;
const PUNCH_HOLE = 2;
const COLLAPSE_RANGE = 8;
const ZERO_RANGE = 16;

/** fh, offset, length (64) · mode, padding. */
const fallocate = (position: number | bigint, length: number | bigint, mode: number) =>
  pack(u64(0, position, length), u32(mode, 0));

describe('FALLOCATE', () => {
  it('allocates, with the size kept or not', async (context) => {
    const { kernel } = await forkOf(context);
    const node = kernel.create(ROOT, 'made');
    kernel.ask(Op.FALLOCATE, node, fallocate(0, 3 * BLOCK, KEEP_SIZE));
    assert.equal(kernel.attr(node).size, 0);
    kernel.ask(Op.FALLOCATE, node, fallocate(100, 2 * BLOCK, 0));
    assert.equal(kernel.attr(node).size, 2 * BLOCK + 100);
    assert.equal(placesOf(kernel, node, 3).includes('hole'), false);
    assert.deepEqual(kernel.read(node, 0, 100_000), Buffer.alloc(2 * BLOCK + 100));
  });

  it('punches holes', async (context) => {
    const { kernel, file } = await forkOf(context);
    kernel.ask(Op.FALLOCATE, file, fallocate(BLOCK, 2 * BLOCK, PUNCH_HOLE | KEEP_SIZE));
    const expected = Buffer.from(content).fill(0, BLOCK, 3 * BLOCK);
    assert.deepEqual(kernel.read(file, 0, 100_000), expected);
    assert.deepEqual(
      placesOf(kernel, file, 4).map((place) => place === 'hole'),
      [false, true, true, false],
    );
    kernel.ask(Op.FALLOCATE, file, fallocate(10, 20, PUNCH_HOLE | KEEP_SIZE));
    assert.deepEqual(kernel.read(file, 0, 100), expected.subarray(0, 100).fill(0, 10, 30));
  });

  it('zeroes ranges, also after the end', async (context) => {
    const { kernel, file } = await forkOf(context);
    kernel.ask(Op.FALLOCATE, file, fallocate(10, BLOCK, ZERO_RANGE));
    const expected = Buffer.from(content).fill(0, 10, BLOCK + 10);
    assert.deepEqual(kernel.read(file, 0, 100_000), expected);
    kernel.ask(Op.FALLOCATE, file, fallocate(content.length - 5, 100, ZERO_RANGE | KEEP_SIZE));
    assert.equal(kernel.attr(file).size, content.length);
    kernel.ask(Op.FALLOCATE, file, fallocate(content.length - 5, 100, ZERO_RANGE));
    assert.equal(kernel.attr(file).size, content.length + 95);
  });

  it('fails for other modes, empty and absurd ranges, and anything but files', async (context) => {
    const { kernel, file, directory } = await forkOf(context);
    for (const mode of [
      PUNCH_HOLE,
      COLLAPSE_RANGE,
      COLLAPSE_RANGE | KEEP_SIZE,
      PUNCH_HOLE | ZERO_RANGE,
      0x40,
      0x80,
    ])
      assert.equal(kernel.fails(Op.FALLOCATE, file, fallocate(0, BLOCK, mode)), 'ENOTSUP', `mode ${mode}`);
    for (const mode of [0, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE]) {
      assert.equal(kernel.fails(Op.FALLOCATE, file, fallocate(0, 0, mode)), 'EINVAL', `mode ${mode}`);
      assert.equal(kernel.fails(Op.FALLOCATE, file, fallocate(0, 2n ** 62n, mode)), 'EFBIG', `mode ${mode}`);
      assert.equal(kernel.fails(Op.FALLOCATE, file, fallocate(2n ** 62n, 1, mode)), 'EFBIG', `mode ${mode}`);
    }
    assert.equal(kernel.fails(Op.FALLOCATE, directory, fallocate(0, BLOCK, 0)), 'EISDIR');
    assert.equal(kernel.fails(Op.FALLOCATE, 999, fallocate(0, BLOCK, 0)), 'ESTALE');
    assert.deepEqual(kernel.read(file, 0, 100_000), content);
  });
});

/** fh, offset (64) · whence, padding. */
const lseek = (position: number | bigint, whence: number) => pack(u64(0, position), u32(whence, 0));
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

describe('LSEEK', () => {
  it('finds data and holes', async (context) => {
    const { kernel, file } = await forkOf(context);
    kernel.ask(Op.FALLOCATE, file, fallocate(BLOCK, BLOCK, PUNCH_HOLE | KEEP_SIZE));
    const seek = (position: number, whence: number) =>
      Number(kernel.ask(Op.LSEEK, file, lseek(position, whence)).readBigUInt64LE(0));
    assert.deepEqual([seek(5, SEEK_DATA), seek(BLOCK + 5, SEEK_DATA)], [5, 2 * BLOCK]);
    assert.deepEqual([seek(5, SEEK_HOLE), seek(BLOCK + 5, SEEK_HOLE)], [BLOCK, BLOCK + 5]);
    assert.equal(seek(2 * BLOCK, SEEK_HOLE), content.length);
  });

  it('fails after the end, and for other kinds of inodes', async (context) => {
    const { kernel, file, directory } = await forkOf(context);
    for (const whence of [SEEK_DATA, SEEK_HOLE]) {
      assert.equal(kernel.fails(Op.LSEEK, file, lseek(content.length, whence)), 'ENXIO');
      assert.equal(kernel.fails(Op.LSEEK, file, lseek(2n ** 63n, whence)), 'ENXIO');
    }
    assert.equal(kernel.fails(Op.LSEEK, file, lseek(0, 0)), 'EINVAL');
    assert.equal(kernel.fails(Op.LSEEK, file, lseek(0, 5)), 'EINVAL');
    assert.equal(kernel.fails(Op.LSEEK, directory, lseek(0, SEEK_DATA)), 'EISDIR');
    assert.equal(kernel.fails(Op.LSEEK, 999, lseek(0, SEEK_DATA)), 'ESTALE');
  });
});

/** fh_in, off_in, nodeid_out, fh_out, off_out, len, flags (64 each). */
const copyArgs = (from: number, target: number, to: number | bigint, length: number | bigint, flags = 0) =>
  u64(0, from, target, 0, to, length, flags);

describe('COPY_FILE_RANGE', () => {
  it('shares whole blocks', async (context) => {
    const { kernel, file } = await forkOf(context);
    const copy = kernel.create(ROOT, 'copy');
    const answer = kernel.ask(Op.COPY_FILE_RANGE, file, copyArgs(0, copy, 0, content.length));
    assert.deepEqual(answer, u32(content.length, 0));
    assert.deepEqual(kernel.read(copy, 0, 100_000), content);
    assert.deepEqual(placesOf(kernel, copy, 5), placesOf(kernel, file, 5));
    // A write to one of them unshares that block.
    kernel.write(copy, BLOCK, Buffer.from('mine'));
    const same = placesOf(kernel, copy, 5).map((place, block) => place === placesOf(kernel, file, 5)[block]);
    assert.deepEqual(same, [true, false, true, true, true]);
    assert.deepEqual(kernel.read(file, 0, 100_000), content);
  });

  it('clears set-user-ID of the target, shared or copied, for all users but the superuser', async (context) => {
    const { kernel, file } = await forkOf(context);
    const copy = kernel.create(ROOT, 'copy');
    for (const from of [0, 1]) {
      // SETATTR of the mode alone.
      kernel.ask(Op.SETATTR, copy, pack(u32(1, 0), u64(0, 0, 0, 0, 0, 0), u32(0, 0, 0, 0o6777, 0, 0, 0, 0)));
      assert.equal(kernel.attr(copy).mode & 0o7777, 0o6777);
      kernel.ask(Op.COPY_FILE_RANGE, file, copyArgs(from, copy, 0, BLOCK));
      assert.equal(kernel.attr(copy).mode & 0o7777, 0o777, `from ${from}`);
    }
  });

  it('in its 64-bit form returns the length in 64 bits', async (context) => {
    const { kernel, file } = await forkOf(context);
    const copy = kernel.create(ROOT, 'copy');
    const answer = kernel.ask(Op.COPY_FILE_RANGE_64, file, copyArgs(0, copy, 2 * BLOCK, 2 * BLOCK));
    assert.deepEqual(answer, u64(2 * BLOCK));
    assert.deepEqual(placesOf(kernel, copy, 4), ['hole', 'hole', ...placesOf(kernel, file, 2)]);
  });

  it('copies no more than its answer can express', async (context) => {
    const { kernel, file } = await forkOf(context);
    const size = 5 * 2 ** 30;
    kernel.ask(Op.SETATTR, file, pack(u32(8, 0), u64(0, size, 0, 0, 0, 0), u32(...Array(8).fill(0))));
    const copy = kernel.create(ROOT, 'copy');
    const answer = kernel.ask(Op.COPY_FILE_RANGE, file, copyArgs(0, copy, 0, size));
    assert.equal(answer.readUInt32LE(0), kernel.attr(copy).size, 'the length is what was copied');
    const whole = kernel.ask(Op.COPY_FILE_RANGE_64, file, copyArgs(0, copy, 0, size));
    assert.deepEqual([whole.readBigUInt64LE(0), kernel.attr(copy).size], [BigInt(size), size]);
  });

  it('copies bytes that do not begin at whole blocks', async (context) => {
    const { kernel, file } = await forkOf(context);
    const copy = kernel.create(ROOT, 'copy');
    assert.deepEqual(
      kernel.ask(Op.COPY_FILE_RANGE, file, copyArgs(1, copy, 3, 2 * BLOCK)),
      u32(2 * BLOCK, 0),
    );
    assert.deepEqual(kernel.read(copy, 3, 100_000), content.subarray(1, 2 * BLOCK + 1));
    const sources = new Set(placesOf(kernel, file, 5));
    assert.equal(
      placesOf(kernel, copy, 3).some((place) => sources.has(place)),
      false,
    );
    // In the middle of the target only whole blocks are shared; the caller asks again for the rest.
    kernel.ask(Op.COPY_FILE_RANGE, copy, copyArgs(0, copy, 4 * BLOCK, BLOCK));
    assert.deepEqual(kernel.ask(Op.COPY_FILE_RANGE, file, copyArgs(0, copy, 0, BLOCK + 10)), u32(BLOCK, 0));
  });

  it('copies nothing after the end, and no more than there is', async (context) => {
    const { kernel, file } = await forkOf(context);
    const copy = kernel.create(ROOT, 'copy');
    assert.deepEqual(kernel.ask(Op.COPY_FILE_RANGE, file, copyArgs(content.length, copy, 0, 10)), u32(0, 0));
    assert.deepEqual(
      kernel.ask(Op.COPY_FILE_RANGE, file, copyArgs(4 * BLOCK, copy, 0, 10 * BLOCK)),
      u32(100, 0),
    );
    assert.deepEqual(kernel.read(copy, 0, 100_000), content.subarray(4 * BLOCK));
  });

  it('fails for ranges that overlap, flags, other kinds of inodes and unknown nodes', async (context) => {
    const { kernel, file, directory } = await forkOf(context);
    const fails = (source: number, args: Buffer) => kernel.fails(Op.COPY_FILE_RANGE, source, args);
    assert.equal(fails(file, copyArgs(0, file, BLOCK, 2 * BLOCK)), 'EINVAL');
    assert.equal(fails(file, copyArgs(0, file, 5, 10)), 'EINVAL');
    assert.equal(fails(file, copyArgs(0, file, 2 * BLOCK, BLOCK, 1)), 'EINVAL');
    assert.equal(fails(file, copyArgs(0, directory, 0, BLOCK)), 'EINVAL');
    assert.equal(fails(directory, copyArgs(0, file, 0, BLOCK)), 'EINVAL');
    assert.equal(fails(file, copyArgs(0, 999, 0, BLOCK)), 'ESTALE');
    assert.equal(fails(999, copyArgs(0, file, 0, BLOCK)), 'ESTALE');
    assert.equal(fails(file, copyArgs(0, file, 2n ** 62n, BLOCK)), 'EFBIG');
    assert.deepEqual(kernel.read(file, 0, 100_000), content);
  });
});
