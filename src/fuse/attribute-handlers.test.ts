/** Attributes and extended attributes, as bytes of requests and answers. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  attrOf,
  type FuseKernel,
  Op,
  pack,
  ROOT,
  scratchKernel,
  u32,
  u64,
} from '../../testing/fuse/fuse-kernel.ts';
import { writeFile } from '../../testing/stores/shared-store.ts';
import type { Tree } from '../store/index.ts';

const MODE = 1;
const UID = 2;
const GID = 4;
const SIZE = 8;
const ATIME = 16;
const MTIME = 32;
const ATIME_NOW = 128;
const MTIME_NOW = 256;
const KILL_SUIDGID = 2048;

interface SetAttr {
  readonly valid: number;
  readonly size?: number | bigint;
  readonly atime?: number | bigint;
  readonly mtime?: number | bigint;
  readonly atimeNanoseconds?: number;
  readonly mtimeNanoseconds?: number;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * struct fuse_setattr_in: valid, padding · fh, size, lock_owner, atime, mtime, ctime (64) · atimensec, mtimensec,
 * ctimensec, mode, unused, uid, gid, unused.
 */
function setAttrArgs(of: SetAttr): Buffer {
  const { size = 0, atime = 0, mtime = 0, atimeNanoseconds = 0, mtimeNanoseconds = 0 } = of;
  const narrow = u32(atimeNanoseconds, mtimeNanoseconds, 0, of.mode ?? 0, 0, of.uid ?? 0, of.gid ?? 0, 0);
  return pack(u32(of.valid, 0), u64(0, size, 0, atime, mtime, 0), narrow);
}

async function forkOf(
  context: TestContext,
  isReadOnly = false,
): Promise<{ readonly kernel: FuseKernel; readonly file: number }> {
  const fill = (tree: Tree) => writeFile(tree, '/file', Buffer.from('content'));
  const { kernel } = await scratchKernel(context, fill, { isReadOnly });
  return { kernel, file: kernel.lookup(ROOT, 'file') };
}

describe('GETATTR, STATX and READLINK', () => {
  it('return the attributes of an inode', async (context) => {
    const { kernel, file } = await forkOf(context);
    assert.deepEqual([kernel.attr(file).size, kernel.attr(file).ino], [7, file]);
    const statx = kernel.ask(Op.STATX, file, Buffer.alloc(40));
    assert.equal(statx.length, 288);
    assert.deepEqual([statx.readBigUInt64LE(32 + 32), statx.readBigUInt64LE(32 + 40)], [BigInt(file), 7n]);
    assert.equal(kernel.fails(Op.GETATTR, 999, u32(0, 0, 0, 0)), 'ESTALE');
    assert.equal(kernel.fails(Op.STATX, 999, Buffer.alloc(40)), 'ESTALE');
    assert.equal(kernel.fails(Op.READLINK, file), 'EINVAL');
    assert.equal(kernel.fails(Op.READLINK, 999), 'ESTALE');
  });
});

describe('SETATTR', () => {
  it('sets mode, owner and size, each alone, and returns the new attributes', async (context) => {
    const { kernel, file } = await forkOf(context);
    const set = (args: SetAttr) => attrOf(kernel.ask(Op.SETATTR, file, setAttrArgs(args)), 16);
    assert.equal(set({ valid: MODE, mode: 0o106755, uid: 9, gid: 9, size: 99 }).mode, 0o106755);
    const owned = set({ valid: UID, uid: 7, gid: 9 });
    assert.deepEqual([owned.uid, owned.gid === 9], [7, false]);
    assert.equal(set({ valid: GID, uid: 9, gid: 8 }).gid, 8);
    assert.equal(kernel.attr(file).uid, 7);
    assert.equal(set({ valid: SIZE, size: 3 }).size, 3);
    assert.equal(kernel.read(file, 0, 100).toString(), 'con');
    assert.equal(set({ valid: SIZE, size: 2 ** 40 }).size, 2 ** 40);
    assert.equal(set({ valid: 0 }).size, 2 ** 40, 'no field is set');
  });

  it('sets times, also before 1970, and the current time', async (context) => {
    const { kernel, file } = await forkOf(context);
    const set = (args: SetAttr) => kernel.ask(Op.SETATTR, file, setAttrArgs(args)).subarray(16);
    const past = { mtime: -2n, mtimeNanoseconds: 999_999_999, atime: -(2n ** 33n), atimeNanoseconds: 1 };
    const bytes = set({ valid: ATIME | MTIME, ...past });
    // 24 atime · 32 mtime (64 each) · 48 atimensec · 52 mtimensec
    assert.deepEqual([bytes.readBigInt64LE(24), bytes.readBigInt64LE(32)], [-(2n ** 33n), -2n]);
    assert.deepEqual([bytes.readUInt32LE(48), bytes.readUInt32LE(52)], [1, 999_999_999]);
    const before = BigInt(Math.floor(Date.now() / 1000));
    const present = set({ valid: ATIME | ATIME_NOW | MTIME | MTIME_NOW, mtime: 5, atime: 5 });
    assert.ok(present.readBigInt64LE(24) >= before);
    assert.ok(present.readBigInt64LE(32) >= before);
    const alone = set({ valid: ATIME, atime: 6 });
    assert.deepEqual([alone.readBigInt64LE(24), alone.readBigInt64LE(32) >= before], [6n, true]);
  });

  it('keeps set-user-ID and capabilities of a file without a name when its owner changes it', async (context) => {
    const { kernel } = await forkOf(context);
    const make = () =>
      Number(kernel.ask(Op.TMPFILE, ROOT, pack(u32(2, 0o100600, 0, 0), '')).readBigUInt64LE(0));
    const set = (node: number, args: SetAttr) => attrOf(kernel.ask(Op.SETATTR, node, setAttrArgs(args)), 16);
    const capability = () => pack(u32(20, 0, 0, 0), 'security.capability', Buffer.alloc(20, 1));
    const capabilityBytes = (node: number) =>
      kernel.send(Op.GETXATTR, node, pack(u32(100, 0), 'security.capability')).length - 16;
    const own = make();
    kernel.ask(Op.SETXATTR, own, capability());
    set(own, { valid: SIZE, size: 100 });
    set(own, { valid: MODE, mode: 0o106755 });
    const given = set(own, { valid: UID | GID | KILL_SUIDGID, uid: 5, gid: 6 });
    assert.deepEqual([given.uid, given.gid, given.mode], [5, 6, 0o106755]);
    assert.equal(capabilityBytes(own), 20);
    // Now the file belongs to another user.
    assert.equal(set(own, { valid: UID | KILL_SUIDGID, uid: 7 }).mode, 0o100755);
    assert.equal(capabilityBytes(own), 0);
    const named = make();
    kernel.ask(Op.LINK, ROOT, pack(u64(named), 'named'));
    kernel.ask(Op.SETXATTR, named, capability());
    set(named, { valid: MODE, mode: 0o104755 });
    assert.equal(set(named, { valid: UID | KILL_SUIDGID, uid: 1000 }).mode, 0o100755);
    assert.equal(capabilityBytes(named), 0);
  });

  it('fails for fields that cannot be set', async (context) => {
    const { kernel, file } = await forkOf(context);
    const fails = (node: number, args: SetAttr) => kernel.fails(Op.SETATTR, node, setAttrArgs(args));
    assert.equal(fails(ROOT, { valid: SIZE, size: 0 }), 'EISDIR');
    assert.equal(fails(999, { valid: MODE }), 'ESTALE');
    assert.equal(fails(file, { valid: SIZE, size: 2n ** 52n + 4096n }), 'EFBIG');
    assert.equal(fails(file, { valid: SIZE, size: 2n ** 63n - 1n }), 'EFBIG');
    assert.equal(fails(file, { valid: SIZE, size: 2n ** 64n - 1n }), 'EINVAL');
    assert.equal(kernel.fails(Op.SETATTR, file, setAttrArgs({ valid: MODE }).subarray(1)), 'EINVAL');
    assert.equal(kernel.attr(file).size, 7);
  });
});

/** size, flags, setxattr_flags, padding · name · value. */
const setXattr = (name: string, value: Uint8Array, flags = 0) =>
  pack(u32(value.length, flags, 0, 0), name, value);
/** size, padding · name. */
const getXattr = (name: string, size: number) => pack(u32(size, 0), name);

describe('SETXATTR, GETXATTR, LISTXATTR and REMOVEXATTR', () => {
  it('keep values of any bytes, and return lengths for a size of 0', async (context) => {
    const { kernel, file } = await forkOf(context);
    const value = Buffer.from([0, 1, 255, 0]);
    kernel.ask(Op.SETXATTR, file, setXattr('user.bytes', value));
    kernel.ask(Op.SETXATTR, file, setXattr('user.none', Buffer.alloc(0)));
    assert.deepEqual(kernel.ask(Op.GETXATTR, file, getXattr('user.bytes', 100)), value);
    assert.deepEqual(kernel.ask(Op.GETXATTR, file, getXattr('user.bytes', 4)), value);
    // struct fuse_getxattr_out: size, padding
    assert.deepEqual(kernel.ask(Op.GETXATTR, file, getXattr('user.bytes', 0)), u32(4, 0));
    assert.deepEqual(kernel.ask(Op.GETXATTR, file, getXattr('user.none', 0)), u32(0, 0));
    assert.deepEqual(kernel.ask(Op.GETXATTR, file, getXattr('user.none', 10)), Buffer.alloc(0));
    const names = 'user.bytes\0user.none\0';
    assert.equal(kernel.ask(Op.LISTXATTR, file, u32(100, 0)).toString(), names);
    assert.deepEqual(kernel.ask(Op.LISTXATTR, file, u32(0, 0)), u32(names.length, 0));
    kernel.ask(Op.REMOVEXATTR, file, pack('user.bytes'));
    assert.equal(kernel.ask(Op.LISTXATTR, file, u32(100, 0)).toString(), 'user.none\0');
  });

  it('accept the shorter arguments of older kernels, if negotiated', async (context) => {
    const { kernel, file } = await forkOf(context);
    kernel.session.hasLongSetXattr = false;
    kernel.ask(Op.SETXATTR, file, pack(u32(3, 0), 'user.old', Buffer.from('old')));
    assert.equal(kernel.ask(Op.GETXATTR, file, getXattr('user.old', 10)).toString(), 'old');
  });

  it('report no capabilities, which the kernel asks for before first writes, until some are set', async (context) => {
    const { kernel, file } = await forkOf(context);
    const asked = getXattr('security.capability', 0);
    assert.equal(kernel.fails(Op.GETXATTR, file, asked), 'ENODATA');
    kernel.ask(Op.SETXATTR, file, setXattr('user.a', Buffer.alloc(8)));
    assert.equal(kernel.fails(Op.GETXATTR, file, asked), 'ENODATA');
    kernel.ask(Op.SETXATTR, file, setXattr('security.capability', Buffer.alloc(20)));
    assert.deepEqual(kernel.ask(Op.GETXATTR, file, asked), u32(20, 0));
  });

  it('fail with ERANGE, ENODATA, EEXIST, ENOTSUP, EINVAL and ESTALE', async (context) => {
    const { kernel, file } = await forkOf(context);
    kernel.ask(Op.SETXATTR, file, setXattr('user.a', Buffer.alloc(8)));
    const [CREATE, REPLACE] = [1, 2];
    assert.equal(kernel.fails(Op.GETXATTR, file, getXattr('user.a', 7)), 'ERANGE');
    assert.equal(kernel.fails(Op.LISTXATTR, file, u32(6, 0)), 'ERANGE');
    assert.equal(kernel.fails(Op.GETXATTR, file, getXattr('user.b', 7)), 'ENODATA');
    assert.equal(kernel.fails(Op.REMOVEXATTR, file, pack('user.b')), 'ENODATA');
    assert.equal(kernel.fails(Op.SETXATTR, file, setXattr('user.a', Buffer.alloc(1), CREATE)), 'EEXIST');
    assert.equal(kernel.fails(Op.SETXATTR, file, setXattr('user.b', Buffer.alloc(1), REPLACE)), 'ENODATA');
    assert.equal(kernel.fails(Op.SETXATTR, file, setXattr('other.b', Buffer.alloc(1))), 'ENOTSUP');
    assert.equal(kernel.fails(Op.SETXATTR, file, setXattr('user.b', Buffer.alloc(65_537))), 'E2BIG');
    assert.equal(kernel.fails(Op.SETXATTR, file, pack(u32(9, 0, 0, 0), 'user.b', 'short')), 'EINVAL');
    assert.equal(kernel.fails(Op.GETXATTR, file, pack(u32(9))), 'EINVAL');
    for (const [opcode, args] of [
      [Op.SETXATTR, setXattr('user.b', Buffer.alloc(1))],
      [Op.GETXATTR, getXattr('user.b', 7)],
      [Op.LISTXATTR, u32(6, 0)],
      [Op.REMOVEXATTR, pack('user.b')],
    ] as const)
      assert.equal(kernel.fails(opcode, 999, args), 'ESTALE', `opcode ${opcode}`);
    assert.equal(kernel.ask(Op.LISTXATTR, file, u32(100, 0)).toString(), 'user.a\0');
  });
});

describe('a snapshot', () => {
  it('refuses every change of attributes with EROFS', async (context) => {
    const { kernel, file } = await forkOf(context, true);
    for (const valid of [MODE, UID, SIZE, MTIME])
      assert.equal(kernel.fails(Op.SETATTR, file, setAttrArgs({ valid })), 'EROFS');
    assert.equal(kernel.fails(Op.SETXATTR, file, setXattr('user.b', Buffer.alloc(1))), 'EROFS');
    assert.equal(kernel.fails(Op.REMOVEXATTR, file, pack('user.b')), 'EROFS');
    assert.equal(kernel.read(file, 0, 100).toString(), 'content');
  });
});
