/** Operations on names: the bytes of their requests and answers. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import {
  attrOf,
  codeOf,
  type FuseKernel,
  Op,
  pack,
  ROOT,
  scratchKernel,
  u32,
  u64,
} from '../../testing/fuse/fuse-kernel.ts';
import { writeFile } from '../../testing/stores/shared-store.ts';
import type { Name } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import type { Tree } from '../store/index.ts';

const NOREPLACE = 1;
const EXCHANGE = 2;
const WHITEOUT = 4;
const LONG = 'n'.repeat(256);

/** A fork with a file `file`, a directory `directory` and a file `inner` in it. */
async function forkOf(context: TestContext, isReadOnly = false): Promise<FuseKernel> {
  const fill = (tree: Tree) => {
    writeFile(tree, '/file', Buffer.from('content'));
    tree.fileSystem.makeDirectory('/directory', 0o755);
    writeFile(tree, '/directory/inner', Buffer.from('inner'));
  };
  return (await scratchKernel(context, fill, { isReadOnly })).kernel;
}

/** True if the session counts the inode as known to the kernel. */
function isKnown({ session }: FuseKernel, ino: number): boolean {
  return [...session.known].some((known) => known === ino);
}

const rename2 = (to: number, flags: number, name: string, newName: string) =>
  pack(u64(to), u32(flags, 0), name, newName);

describe('LOOKUP', () => {
  it('finds a name, and answers a node of 0 for one that is missing', async (context) => {
    const kernel = await forkOf(context);
    const bytes = kernel.ask(Op.LOOKUP, ROOT, pack('file'));
    assert.equal(bytes.length, 128);
    const { ino, size, mode } = attrOf(bytes, 40);
    assert.deepEqual([ino, size, mode & 0o170000], [Number(bytes.readBigUInt64LE(0)), 7, 0o100000]);
    assert.equal(kernel.lookup(ROOT, 'missing'), 0);
    assert.equal(kernel.session.knownCount, 1, 'a missing name is not counted');
  });

  it('fails for a name that is too long, a node that is no directory, and an unknown node', async (context) => {
    const kernel = await forkOf(context);
    assert.equal(kernel.fails(Op.LOOKUP, ROOT, pack(LONG)), 'ENAMETOOLONG');
    assert.equal(kernel.lookup(ROOT, LONG.slice(1)), 0, '255 bytes are a name');
    assert.equal(kernel.fails(Op.LOOKUP, kernel.lookup(ROOT, 'file'), pack('x')), 'ENOTDIR');
    for (const node of [0, 12_345, 2 ** 52, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n])
      assert.equal(kernel.fails(Op.LOOKUP, node, pack('x')), 'ESTALE', `node ${node}`);
    assert.equal(kernel.fails(Op.LOOKUP, ROOT, Buffer.from('x')), 'EINVAL', 'a name without an end');
  });

  it('finds `.` and `..` by handle, also of an inode that was never looked up', async (context) => {
    const kernel = await forkOf(context);
    const { fileSystem } = kernel.tree;
    const [file, directory, inner] = ['/file', '/directory', '/directory/inner'].map(
      (path) => fileSystem.stat(path, true).ino,
    ) as [number, number, number];
    fileSystem.stack.dropInodes(Number.POSITIVE_INFINITY);
    for (const ino of [file, directory, inner]) {
      assert.equal(isKnown(kernel, ino), false);
      assert.equal(kernel.lookup(ino, '.'), ino);
      assert.equal(isKnown(kernel, ino), true);
    }
    assert.equal(kernel.lookup(directory, '..'), ROOT);
    assert.equal(kernel.lookup(ROOT, '..'), ROOT);
    assert.equal(kernel.lookup(ROOT, '.'), ROOT);
    assert.equal(kernel.session.knownCount, 3, 'the root is not counted');
    assert.equal(kernel.fails(Op.LOOKUP, file, pack('..')), 'ENOTDIR');
    assert.equal(kernel.fails(Op.LOOKUP, 2n ** 60n, pack('.')), 'ESTALE', 'a handle of rubbish');
  });

  it('answers a handle after the kernel had time to find a name for it', async (context) => {
    const asked: number[] = [];
    let found: () => void = () => undefined;
    const onHandle = ({ ino }: Inode) => {
      asked.push(ino);
      return new Promise<void>((resolve) => {
        found = resolve;
      });
    };
    const fill = (tree: Tree) => writeFile(tree, '/file', Buffer.from('content'));
    const { kernel } = await scratchKernel(context, fill, { events: { onHandle } });
    const { ino } = kernel.tree.fileSystem.stat('/file', true);
    assert.equal(kernel.send(Op.LOOKUP, ino, pack('.')).length, 0, 'later');
    assert.deepEqual(asked, [ino]);
    found();
    const answer = await kernel.finishDeferred();
    assert.deepEqual([codeOf(answer), Number(answer.readBigUInt64LE(16))], ['OK', ino]);
    assert.equal(kernel.send(Op.LOOKUP, ino, pack('.')).length, 0);
    kernel.forget(ino);
    kernel.tree.fileSystem.unlink('/file');
    found();
    assert.equal(codeOf(await kernel.finishDeferred()), 'ESTALE', 'it was removed meanwhile');
  });

  it('finds the root also by its inode number', async (context) => {
    const kernel = await forkOf(context);
    assert.equal(kernel.lookup(kernel.tree.stack.rootIno, '.'), ROOT);
    assert.equal(kernel.attr(ROOT).ino, kernel.tree.stack.rootIno);
  });
});

describe('MKNOD, MKDIR and SYMLINK', () => {
  it('make inodes that belong to the caller, under the umask', async (context) => {
    const kernel = await forkOf(context);
    // mode, rdev, umask, padding · name
    const fifo = kernel.ask(Op.MKNOD, ROOT, pack(u32(0o010666, 0, 0o022, 0), 'fifo'));
    assert.deepEqual(pick(attrOf(fifo, 40)), { mode: 0o010644, uid: 1000, gid: 1001, nlink: 1, rdev: 0 });
    const device = kernel.ask(Op.MKNOD, ROOT, pack(u32(0o020600, 0x103, 0, 0), 'device'));
    assert.deepEqual(pick(attrOf(device, 40)), {
      mode: 0o020600,
      uid: 1000,
      gid: 1001,
      nlink: 1,
      rdev: 0x103,
    });
    // mode, umask · name
    const directory = kernel.ask(Op.MKDIR, ROOT, pack(u32(0o777, 0o027), 'made'));
    assert.deepEqual(pick(attrOf(directory, 40)), {
      mode: 0o040750,
      uid: 1000,
      gid: 1001,
      nlink: 2,
      rdev: 0,
    });
    const link = kernel.ask(Op.SYMLINK, ROOT, pack('link', 'to/where'));
    assert.deepEqual(pick(attrOf(link, 40)), { mode: 0o120777, uid: 1000, gid: 1001, nlink: 1, rdev: 0 });
    assert.equal(kernel.ask(Op.READLINK, kernel.lookup(ROOT, 'link')).toString(), 'to/where');
    assert.equal(kernel.attr(ROOT).nlink, 4);
  });

  it('fail where the name is taken or too long, or the parent is no directory', async (context) => {
    const kernel = await forkOf(context);
    const file = kernel.lookup(ROOT, 'file');
    const requests: [number, (name: string) => Buffer][] = [
      [Op.MKNOD, (name) => pack(u32(0o100644, 0, 0, 0), name)],
      [Op.MKDIR, (name) => pack(u32(0o755, 0), name)],
      [Op.SYMLINK, (name) => pack(name, 'target')],
      [Op.CREATE, (name) => pack(u32(0o102, 0o100644, 0, 0), name)],
      [Op.LINK, (name) => pack(u64(file), name)],
    ];
    for (const [opcode, args] of requests) {
      assert.equal(kernel.fails(opcode, ROOT, args('file')), 'EEXIST', `opcode ${opcode}`);
      assert.equal(kernel.fails(opcode, ROOT, args(LONG)), 'ENAMETOOLONG', `opcode ${opcode}`);
      assert.equal(kernel.fails(opcode, file, args('x')), 'ENOTDIR', `opcode ${opcode}`);
      assert.equal(kernel.fails(opcode, 999, args('x')), 'ESTALE', `opcode ${opcode}`);
      assert.equal(kernel.fails(opcode, ROOT, args('a/b')), 'EINVAL', `opcode ${opcode}`);
    }
    assert.equal(kernel.fails(Op.MKNOD, ROOT, pack(u32(0o040755, 0, 0, 0), 'x')), 'EINVAL', 'a directory');
    assert.equal(kernel.fails(Op.MKNOD, ROOT, pack(u32(0o170644, 0, 0, 0), 'x')), 'EINVAL', 'no type at all');
    assert.equal(kernel.fails(Op.SYMLINK, ROOT, pack('x', '')), 'ENOENT');
    assert.equal(kernel.fails(Op.SYMLINK, ROOT, pack('x', 'y'.repeat(4096))), 'ENAMETOOLONG');
    assert.equal(kernel.lookup(ROOT, 'x'), 0);
  });

  it('fail in a directory that was removed and is still known', async (context) => {
    const kernel = await forkOf(context);
    const gone = kernel.mkdir(ROOT, 'gone');
    kernel.ask(Op.RMDIR, ROOT, pack('gone'));
    assert.equal(kernel.fails(Op.MKDIR, gone, pack(u32(0o755, 0), 'x')), 'ENOENT');
    assert.equal(kernel.fails(Op.CREATE, gone, pack(u32(0o102, 0o100644, 0, 0), 'x')), 'ENOENT');
    assert.equal(kernel.lookup(gone, 'x'), 0);
    kernel.forget(gone);
    assert.equal(kernel.fails(Op.GETATTR, gone, u32(0, 0, 0, 0)), 'ESTALE');
  });
});

/** The attributes of a new inode that do not depend on when it was made. */
function pick({ mode, uid, gid, nlink, rdev }: ReturnType<typeof attrOf>): object {
  return { mode, uid, gid, nlink, rdev };
}

describe('CREATE', () => {
  it('makes a file and opens it: an entry, then a struct fuse_open_out', async (context) => {
    const kernel = await forkOf(context);
    // flags, mode, umask, open_flags · name
    const bytes = kernel.ask(Op.CREATE, ROOT, pack(u32(0o102, 0o104666, 0o022, 0), 'made'));
    assert.equal(bytes.length, 144);
    assert.deepEqual(pick(attrOf(bytes, 40)), { mode: 0o104644, uid: 1000, gid: 1001, nlink: 1, rdev: 0 });
    // fh (64) · open_flags: FOPEN_KEEP_CACHE · backing_id
    assert.deepEqual(
      [bytes.readBigUInt64LE(128), bytes.readUInt32LE(136), bytes.readUInt32LE(140)],
      [0n, 2, 0],
    );
    assert.equal(kernel.lookup(ROOT, 'made'), Number(bytes.readBigUInt64LE(0)));
  });
});

describe('TMPFILE and LINK', () => {
  it('make a file without a name, and give it one', async (context) => {
    const kernel = await forkOf(context);
    const made = kernel.ask(Op.TMPFILE, ROOT, pack(u32(0o20000002, 0o100600, 0, 0), 'ignored'));
    const node = Number(made.readBigUInt64LE(0));
    assert.equal(attrOf(made, 40).nlink, 0);
    kernel.write(node, 0, Buffer.from('unnamed'));
    const linked = kernel.ask(Op.LINK, ROOT, pack(u64(node), 'named'));
    assert.deepEqual([Number(linked.readBigUInt64LE(0)), attrOf(linked, 40).nlink], [node, 1]);
    assert.equal(kernel.lookup(ROOT, 'named'), node);
    // Three replies named the node.
    kernel.forget(node, 3);
    assert.equal(isKnown(kernel, node), false);
    assert.equal(kernel.read(kernel.lookup(ROOT, 'named'), 0, 100).toString(), 'unnamed');
  });

  it('keep the type of a file whatever the umask is, and need a directory', async (context) => {
    const kernel = await forkOf(context);
    const file = kernel.lookup(ROOT, 'file');
    const made = kernel.ask(Op.TMPFILE, ROOT, pack(u32(2, 0o100600, 0xffff_ffff, 0), ''));
    assert.equal(attrOf(made, 40).mode, 0o100000);
    assert.equal(kernel.fails(Op.TMPFILE, file, pack(u32(2, 0o100600, 0, 0), '')), 'ENOTDIR');
    kernel.tree.checkpoint();
  });

  it('drop a file that never got a name when it is forgotten', async (context) => {
    const kernel = await forkOf(context);
    const made = kernel.ask(Op.TMPFILE, ROOT, pack(u32(0o20000002, 0o100600, 0, 0), ''));
    const node = Number(made.readBigUInt64LE(0));
    kernel.write(node, 0, Buffer.alloc(8192, 1));
    kernel.forget(node);
    assert.equal(kernel.fails(Op.GETATTR, node, u32(0, 0, 0, 0)), 'ESTALE');
  });

  it('link any inode that has a name, except directories', async (context) => {
    const kernel = await forkOf(context);
    const [file, directory] = [kernel.lookup(ROOT, 'file'), kernel.lookup(ROOT, 'directory')];
    const linked = kernel.ask(Op.LINK, directory, pack(u64(file), 'second'));
    assert.equal(attrOf(linked, 40).nlink, 2);
    assert.equal(kernel.attr(file).nlink, 2);
    assert.equal(kernel.fails(Op.LINK, ROOT, pack(u64(directory), 'x')), 'EPERM');
    assert.equal(kernel.fails(Op.LINK, ROOT, pack(u64(999), 'x')), 'ESTALE');
  });
});

describe('UNLINK and RMDIR', () => {
  it('remove a name', async (context) => {
    const kernel = await forkOf(context);
    kernel.ask(Op.UNLINK, ROOT, pack('file'));
    assert.equal(kernel.lookup(ROOT, 'file'), 0);
    const directory = kernel.lookup(ROOT, 'directory');
    kernel.ask(Op.UNLINK, directory, pack('inner'));
    kernel.ask(Op.RMDIR, ROOT, pack('directory'));
    assert.equal(kernel.lookup(ROOT, 'directory'), 0);
    assert.equal(kernel.attr(ROOT).nlink, 2);
  });

  it('fail for names that are missing, of the other kind, not empty, or too long', async (context) => {
    const kernel = await forkOf(context);
    const file = kernel.lookup(ROOT, 'file');
    for (const opcode of [Op.UNLINK, Op.RMDIR]) {
      assert.equal(kernel.fails(opcode, ROOT, pack('missing')), 'ENOENT');
      assert.equal(kernel.fails(opcode, ROOT, pack(LONG)), 'ENAMETOOLONG');
      assert.equal(kernel.fails(opcode, file, pack('x')), 'ENOTDIR');
      assert.equal(kernel.fails(opcode, 999, pack('x')), 'ESTALE');
    }
    assert.equal(kernel.fails(Op.UNLINK, ROOT, pack('directory')), 'EISDIR');
    assert.equal(kernel.fails(Op.RMDIR, ROOT, pack('file')), 'ENOTDIR');
    assert.equal(kernel.fails(Op.RMDIR, ROOT, pack('directory')), 'ENOTEMPTY');
  });
});

describe('RENAME and RENAME2', () => {
  it('move a name, over another and into another directory', async (context) => {
    const kernel = await forkOf(context);
    const [file, directory] = [kernel.lookup(ROOT, 'file'), kernel.lookup(ROOT, 'directory')];
    kernel.ask(Op.RENAME, ROOT, pack(u64(directory), 'file', 'inner'));
    assert.equal(kernel.lookup(ROOT, 'file'), 0);
    assert.equal(kernel.lookup(directory, 'inner'), file);
    kernel.ask(Op.RENAME2, directory, rename2(ROOT, 0, 'inner', 'file'));
    assert.equal(kernel.lookup(ROOT, 'file'), file);
  });

  it('do not replace with NOREPLACE', async (context) => {
    const kernel = await forkOf(context);
    const other = kernel.create(ROOT, 'other');
    assert.equal(kernel.fails(Op.RENAME2, ROOT, rename2(ROOT, NOREPLACE, 'other', 'file')), 'EEXIST');
    kernel.ask(Op.RENAME2, ROOT, rename2(ROOT, NOREPLACE, 'other', 'free'));
    assert.equal(kernel.lookup(ROOT, 'free'), other);
  });

  it('exchange two names, also those of a file and a directory', async (context) => {
    const kernel = await forkOf(context);
    const [file, directory] = [kernel.lookup(ROOT, 'file'), kernel.lookup(ROOT, 'directory')];
    kernel.ask(Op.RENAME2, ROOT, rename2(ROOT, EXCHANGE, 'file', 'directory'));
    assert.deepEqual([kernel.lookup(ROOT, 'directory'), kernel.lookup(ROOT, 'file')], [file, directory]);
    assert.equal(kernel.lookup(directory, '..'), ROOT);
    assert.equal(kernel.fails(Op.RENAME2, ROOT, rename2(ROOT, EXCHANGE, 'file', 'missing')), 'ENOENT');
    const both = rename2(ROOT, EXCHANGE | NOREPLACE, 'file', 'directory');
    assert.equal(kernel.fails(Op.RENAME2, ROOT, both), 'EINVAL');
  });

  it('leave a whiteout that belongs to the caller, in one record of the journal', async (context) => {
    const kernel = await forkOf(context);
    const file = kernel.lookup(ROOT, 'file');
    const recordCount = () => kernel.tree.stack.writable().journal.recordCount;
    const before = recordCount();
    kernel.ask(Op.RENAME2, ROOT, rename2(ROOT, WHITEOUT, 'file', 'moved'));
    assert.equal(recordCount(), before + 1);
    assert.equal(kernel.lookup(ROOT, 'moved'), file);
    const left = kernel.attr(kernel.lookup(ROOT, 'file'));
    const { mode, uid, gid, nlink, rdev, size } = left;
    assert.deepEqual([mode, uid, gid, nlink, rdev, size], [0o020000, 1000, 1001, 1, 0, 0]);
    assert.equal(
      kernel.fails(Op.RENAME2, ROOT, rename2(ROOT, WHITEOUT | NOREPLACE, 'moved', 'file')),
      'EEXIST',
    );
    kernel.ask(Op.RENAME2, ROOT, rename2(ROOT, WHITEOUT | NOREPLACE, 'moved', 'free'));
    assert.equal(kernel.lookup(ROOT, 'free'), file);
    kernel.tree.checkpoint();
    assert.equal(kernel.attr(kernel.lookup(ROOT, 'moved')).mode, 0o020000);
  });

  it('refuse other flags', async (context) => {
    const kernel = await forkOf(context);
    for (const flags of [WHITEOUT | EXCHANGE, 8, 0x8000_0000])
      assert.equal(kernel.fails(Op.RENAME2, ROOT, rename2(ROOT, flags, 'file', 'directory')), 'EINVAL');
    assert.notEqual(kernel.lookup(ROOT, 'file'), 0);
  });

  it('fail as rename(2) does', async (context) => {
    const kernel = await forkOf(context);
    const directory = kernel.lookup(ROOT, 'directory');
    kernel.mkdir(ROOT, 'empty');
    const fails = (name: string, newName: string, to = ROOT) =>
      kernel.fails(Op.RENAME, ROOT, pack(u64(to), name, newName));
    assert.equal(fails('missing', 'x'), 'ENOENT');
    assert.equal(fails('file', LONG), 'ENAMETOOLONG');
    assert.equal(fails(LONG, 'x'), 'ENAMETOOLONG');
    assert.equal(fails('file', 'directory'), 'EISDIR');
    assert.equal(fails('directory', 'file'), 'ENOTDIR');
    assert.equal(fails('empty', 'directory'), 'ENOTEMPTY');
    assert.equal(fails('directory', 'x', directory), 'EINVAL', 'into itself');
    assert.equal(fails('file', 'x', 999), 'ESTALE');
    assert.equal(fails('file', 'x', kernel.lookup(ROOT, 'file')), 'ENOTDIR');
    assert.equal(kernel.fails(Op.RENAME, ROOT, pack(u64(ROOT), 'file')), 'EINVAL', 'one name only');
    assert.equal(kernel.fails(Op.RENAME2, ROOT, u64(ROOT)), 'EINVAL', 'too short');
  });
});

describe('a snapshot', () => {
  it('refuses every change of a name with EROFS', async (context) => {
    const kernel = await forkOf(context, true);
    const file = kernel.lookup(ROOT, 'file');
    const requests: [number, Buffer][] = [
      [Op.MKNOD, pack(u32(0o100644, 0, 0, 0), 'x')],
      [Op.MKDIR, pack(u32(0o755, 0), 'x')],
      [Op.SYMLINK, pack('x', 'y')],
      [Op.LINK, pack(u64(file), 'x')],
      [Op.CREATE, pack(u32(0o102, 0o100644, 0, 0), 'x')],
      [Op.TMPFILE, pack(u32(0o102, 0o100644, 0, 0), 'x')],
      [Op.UNLINK, pack('file')],
      [Op.RMDIR, pack('directory')],
      [Op.RENAME, pack(u64(ROOT), 'file', 'x')],
      [Op.RENAME2, rename2(ROOT, 0, 'file', 'x')],
      [Op.RENAME2, rename2(ROOT, WHITEOUT, 'file', 'x')],
    ];
    for (const [opcode, args] of requests)
      assert.equal(kernel.fails(opcode, ROOT, args), 'EROFS', `opcode ${opcode}`);
    assert.deepEqual([...kernel.tree.stack.list(kernel.tree.stack.root).keys()].sort(), [
      'directory',
      'file',
    ] as Name[]);
  });
});
