/** INIT and STATFS, byte by byte. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { codeOf, FuseKernel, Op, requestBytes, u32 } from '../../testing/fuse/fuse-kernel.ts';
import { scratchStore } from '../../testing/stores/scratch-store.ts';
import type { IoMode } from './mount-server.ts';

async function kernelOf(context: TestContext, io: IoMode = 'cached'): Promise<FuseKernel> {
  const engine = await scratchStore(context);
  return new FuseKernel(engine.createEmpty('tree'), { io });
}

/** struct fuse_init_in: major, minor, max_readahead, flags, flags2, unused (11 × 32). */
const initArgs = (major: number, minor: number, flags: number, flags2: number) =>
  u32(major, minor, 65_536, flags, flags2, ...Array(11).fill(0));

const ALL = 0xffff_ffff;
const ATOMIC_O_TRUNC = 1 << 3;
const POSIX_LOCKS = 1 << 1;
const FLOCK_LOCKS = 1 << 10;
const WRITEBACK_CACHE = 1 << 16;
const NO_OPEN_SUPPORT = 1 << 17;
const NO_OPENDIR_SUPPORT = 1 << 24;
const EXPORT_SUPPORT = 1 << 4;
const MAX_PAGES = 1 << 22;
const SETXATTR_EXT = 1 << 29;
const INIT_EXT = 1 << 30;
const DIRECT_IO_ALLOW_MMAP = 1 << 4;
const PASSTHROUGH = 1 << 5;

describe('INIT', () => {
  it('is answered with a struct fuse_init_out', async (context) => {
    const kernel = await kernelOf(context);
    const bytes = kernel.ask(Op.INIT, 0, initArgs(7, 45, ALL, ALL));
    assert.equal(bytes.length, 64);
    // 0 major · 4 minor · 8 max_readahead · 12 flags
    assert.deepEqual(
      [0, 4, 8].map((at) => bytes.readUInt32LE(at)),
      [7, 45, 65_536],
    );
    const flags = bytes.readUInt32LE(12);
    for (const wanted of [
      EXPORT_SUPPORT,
      MAX_PAGES,
      NO_OPEN_SUPPORT,
      NO_OPENDIR_SUPPORT,
      SETXATTR_EXT,
      INIT_EXT,
    ])
      assert.ok((flags & wanted) !== 0, `flag ${wanted}`);
    for (const unwanted of [ATOMIC_O_TRUNC, POSIX_LOCKS, FLOCK_LOCKS, WRITEBACK_CACHE])
      assert.ok((flags & unwanted) === 0, `flag ${unwanted}`);
    // 16 max_background · 18 congestion_threshold (16 each) · 20 max_write · 24 time_gran
    assert.ok(bytes.readUInt16LE(16) > bytes.readUInt16LE(18));
    assert.equal(bytes.readUInt32LE(20), 1_048_576);
    assert.equal(bytes.readUInt32LE(24), 1);
    // 28 max_pages · 30 map_alignment (16 each) · 32 flags2 · 36 max_stack_depth · 40 request_timeout and unused
    assert.equal(bytes.readUInt16LE(28), 256);
    assert.deepEqual(bytes.subarray(30), Buffer.alloc(34));
  });

  it('agrees only on flags that were offered', async (context) => {
    const kernel = await kernelOf(context, 'shared');
    const bytes = kernel.ask(Op.INIT, 0, initArgs(7, 36, EXPORT_SUPPORT | MAX_PAGES | INIT_EXT, 0));
    assert.equal(bytes.readUInt32LE(12), EXPORT_SUPPORT | MAX_PAGES | INIT_EXT);
    assert.equal(bytes.readUInt32LE(32), 0);
    assert.equal(bytes.readUInt32LE(36), 0, 'max_stack_depth');
    assert.equal(kernel.session.hasLongSetXattr, false);
  });

  it('asks for the flags that the mode needs', async (context) => {
    const direct = await kernelOf(context, 'direct');
    const answer = direct.ask(Op.INIT, 0, initArgs(7, 45, ALL, ALL));
    assert.equal(answer.readUInt32LE(12) & (NO_OPEN_SUPPORT | NO_OPENDIR_SUPPORT), 0);
    assert.equal(answer.readUInt32LE(32), DIRECT_IO_ALLOW_MMAP);
    assert.equal(answer.readUInt32LE(36), 0);
    const shared = await kernelOf(context, 'shared');
    const other = shared.ask(Op.INIT, 0, initArgs(7, 45, ALL, ALL));
    assert.equal(other.readUInt32LE(32), PASSTHROUGH);
    assert.equal(other.readUInt32LE(36), 1, 'max_stack_depth');
  });

  it('fails with EINVAL for a protocol that is too old, and without its arguments', async (context) => {
    const kernel = await kernelOf(context);
    assert.equal(kernel.fails(Op.INIT, 0, initArgs(7, 27, ALL, 0)), 'EINVAL');
    assert.equal(kernel.fails(Op.INIT, 0, initArgs(6, 45, ALL, 0)), 'EINVAL');
    assert.equal(kernel.fails(Op.INIT, 0, u32(7, 45, 0)), 'EINVAL');
  });

  it('does not read flags that an older, shorter request lacks', async (context) => {
    const kernel = await kernelOf(context, 'shared');
    kernel.ask(Op.INIT, 0, initArgs(7, 45, ALL, ALL));
    // Linux before 5.17 sends 16 bytes, and does not offer INIT_EXT.
    assert.equal(kernel.ask(Op.INIT, 0, u32(7, 31, 65_536, MAX_PAGES)).readUInt32LE(32), 0);
    assert.equal(kernel.fails(Op.INIT, 0, u32(7, 36, 65_536, MAX_PAGES | INIT_EXT)), 'EINVAL');
  });

  it('of a later major version is answered with ours, and must be sent again', async (context) => {
    const engine = await scratchStore(context);
    const kernel = new FuseKernel(engine.createEmpty('tree'));
    kernel.session.isReady = false;
    const bytes = kernel.ask(Op.INIT, 0, initArgs(8, 0, ALL, ALL));
    assert.equal(bytes.readUInt32LE(0), 7);
    assert.equal(kernel.session.isReady, false);
  });

  it('comes first: anything before it gets ENOSYS', async (context) => {
    const kernel = await kernelOf(context);
    kernel.session.isReady = false;
    assert.equal(codeOf(kernel.sendBytes(requestBytes(Op.GETATTR, 1, u32(0, 0, 0, 0)))), 'ENOSYS');
    kernel.ask(Op.INIT, 0, initArgs(7, 45, ALL, ALL));
    assert.equal(kernel.attr(1).mode, 0o40755);
  });
});

describe('STATFS', () => {
  it('is answered with a struct fuse_kstatfs', async (context) => {
    const kernel = await kernelOf(context);
    const bytes = kernel.ask(Op.STATFS, 1);
    assert.equal(bytes.length, 80);
    // 0 blocks · 8 bfree · 16 bavail · 24 files · 32 ffree (64 each) · 40 bsize · 44 namelen · 48 frsize · 52 padding
    assert.deepEqual(
      [0, 8, 16, 24, 32].map((at) => bytes.readBigUInt64LE(at)),
      [2n ** 40n, 7n, 6n, 5n, 4n],
    );
    assert.deepEqual(
      [40, 44, 48].map((at) => bytes.readUInt32LE(at)),
      [4096, 255, 4096],
    );
    assert.deepEqual(bytes.subarray(52), Buffer.alloc(28));
  });
});
