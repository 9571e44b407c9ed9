/** Unknown and broken requests, and random bytes. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import fc from 'fast-check';
import {
  codeOf,
  type FuseKernel,
  Op,
  pack,
  ROOT,
  requestBytes,
  scratchKernel,
  u32,
  u64,
} from '../../testing/fuse/fuse-kernel.ts';
import { swept } from '../../testing/pace/sweep.ts';
import { problemsOf, writeFile } from '../../testing/stores/shared-store.ts';
import type { StoreEngine, Tree } from '../store/index.ts';

function forkOf(
  context: TestContext,
): Promise<{ readonly kernel: FuseKernel; readonly engine: StoreEngine }> {
  return scratchKernel(context, (tree: Tree) => {
    writeFile(tree, '/a', Buffer.alloc(10_000, 'a'));
    tree.fileSystem.makeDirectory('/d', 0o755);
    writeFile(tree, '/d/b', Buffer.from('b'));
  });
}

describe('dispatch', () => {
  it('answers unknown requests with ENOSYS, under their own number', async (context) => {
    const { kernel } = await forkOf(context);
    const unknown = [0, 7, 19, 33, 49, 54, 1000, 4096, 0x7fff_ffff, 0xffff_ffff];
    const refused = [Op.FLUSH, Op.GETLK, Op.ACCESS, Op.BMAP, Op.IOCTL, Op.POLL];
    for (const opcode of [...unknown, ...refused]) {
      const answer = kernel.sendBytes(requestBytes(opcode, ROOT, Buffer.alloc(64), 0xffee_ddcc_bbaa_9988n));
      assert.equal(codeOf(answer), 'ENOSYS', `opcode ${opcode}`);
      assert.equal(answer.readBigUInt64LE(8), 0xffee_ddcc_bbaa_9988n);
    }
  });

  it('answers INTERRUPT, FORGET and BATCH_FORGET with nothing', async (context) => {
    const { kernel } = await forkOf(context);
    assert.equal(kernel.send(Op.INTERRUPT, 0, u64(5)).length, 0);
    assert.equal(kernel.send(Op.FORGET, ROOT, u64(1)).length, 0);
    assert.equal(kernel.send(Op.BATCH_FORGET, 0, u32(0, 0)).length, 0);
    assert.equal(codeOf(kernel.send(Op.DESTROY, 0)), 'OK');
  });

  it('counts only requests that somebody waits for', async (context) => {
    const { kernel } = await forkOf(context);
    const { requestCount } = kernel.session;
    kernel.forget(kernel.lookup(ROOT, 'a'));
    assert.equal(kernel.session.requestCount, requestCount + 1);
  });

  it('answers EIO when an operation throws anything but an FsError, and reports it', async (context) => {
    const { kernel } = await forkOf(context);
    const defect = new TypeError('a defect');
    kernel.session.calls.attributesOf = () => {
      throw defect;
    };
    assert.equal(kernel.fails(Op.GETATTR, ROOT, u32(0, 0, 0, 0)), 'EIO');
    assert.deepEqual(kernel.defects.splice(0), [defect]);
  });

  it('refuses every operation whose arguments are missing', async (context) => {
    const { kernel } = await forkOf(context);
    const file = kernel.lookup(ROOT, 'a');
    const withArguments = Object.entries(Op).filter(
      ([name]) =>
        !/^(GETATTR|STATX|READLINK|STATFS|.*SYNC.*|OPENDIR|RELEASEDIR|INTERRUPT|DESTROY|.*FORGET)$/.test(
          name,
        ),
    );
    for (const [name, opcode] of withArguments) {
      const code = kernel.fails(opcode, /MK|CREATE|TMP|LOOKUP/.test(name) ? ROOT : file, Buffer.alloc(0));
      assert.ok(code === 'EINVAL' || code === 'ENOSYS', `${name}: ${code}`);
    }
  });
});

/** 64-bit numbers: small ones, which hit inodes and sizes; limits; and any others. */
const number64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 70_000n }),
  fc.constantFrom(
    2n ** 31n,
    2n ** 32n,
    2n ** 40n,
    2n ** 52n,
    2n ** 53n,
    2n ** 63n - 1n,
    2n ** 63n,
    2n ** 64n - 1n,
  ),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const name = fc.constantFrom('a', 'b', 'd', 'c', '.', '..', '', 'x/y', 'user.x', '\u00ff', 'n'.repeat(256));
const part = fc.oneof(
  number64.map((value) => u64(value)),
  fc.nat(9).map((value) => u32(value, value)),
  name.map((text) => pack(text)),
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
);
/** Mostly nodes that exist. */
const node = fc.oneof(fc.bigInt({ min: 0n, max: 12n }), number64);
const opcode = fc.oneof(fc.constantFrom(...Object.values(Op)), fc.nat(70));
const request = fc.record({ opcode, node, parts: fc.array(part, { maxLength: 8 }), cut: fc.nat(100) });

/** Arguments of the right form with random values: fewer of them are refused at once than of random bytes. */
const likely = fc.oneof(
  fc
    .tuple(number64, number64, fc.nat(1 << 18))
    .map(([fh, at, size]) => [Op.READ, u64(fh, at, size, 0, 0)] as const),
  fc
    .tuple(number64, fc.uint8Array({ maxLength: 9000 }))
    .map(([at, bytes]) => [Op.WRITE, pack(u64(0, at), u32(bytes.length, 4), u64(0, 0), bytes)] as const),
  fc
    .tuple(number64, number64, fc.nat(31))
    .map(([at, length, mode]) => [Op.FALLOCATE, pack(u64(0, at, length), u32(mode, 0))] as const),
  fc
    .tuple(fc.nat(0xfff), fc.array(number64, { minLength: 10, maxLength: 10 }))
    .map(([valid, words]) => [Op.SETATTR, pack(u32(valid, 0), u64(...words))] as const),
  fc
    .tuple(node, number64, number64, number64)
    .map(([to, from, at, length]) => [Op.COPY_FILE_RANGE_64, u64(0, from, to, 0, at, length, 0)] as const),
  fc
    .tuple(node, name, name)
    .map(([to, from, name2]) => [Op.RENAME2, pack(u64(to), u32(0, 0), from, name2)] as const),
  fc.tuple(node, name).map(([from, to]) => [Op.LINK, pack(u64(from), to)] as const),
  fc.tuple(fc.nat(0xffff), name).map(([mode, to]) => [Op.MKNOD, pack(u32(mode, 5, 0, 0), to)] as const),
  fc.tuple(fc.nat(0xffff), name).map(([mode, to]) => [Op.TMPFILE, pack(u32(2, mode, 0, 0), to)] as const),
  fc.tuple(fc.nat(0xffff), name).map(([mode, to]) => [Op.MKDIR, pack(u32(mode, 0), to)] as const),
  name.map((text) => [Op.UNLINK, pack(text)] as const),
  name.map((text) => [Op.RMDIR, pack(text)] as const),
  name.map((text) => [Op.LOOKUP, pack(text)] as const),
  fc.tuple(number64, fc.nat(9000)).map(([at, size]) => [Op.READDIRPLUS, u64(0, at, size, 0, 0)] as const),
);

describe('dispatch, given any bytes', () => {
  it('never throws or reports a defect, and leaves a clean tree', {
    timeout: swept({ sample: 120_000, long: 300_000, all: 3_600_000 }),
  }, async (context) => {
    const { kernel, engine } = await forkOf(context);
    const [file, directory] = [kernel.lookup(ROOT, 'a'), kernel.lookup(ROOT, 'd')];
    const nodes = [ROOT, file, directory, kernel.lookup(directory, 'b'), kernel.tree.stack.rootIno];
    const nodeOf = (wanted: bigint): bigint => (wanted < 10n ? BigInt(nodes[Number(wanted) % 5]!) : wanted);
    const anything = fc.oneof(
      request.map((one) => {
        const bytes = requestBytes(one.opcode, nodeOf(one.node), pack(...one.parts));
        const length = one.cut < 70 ? bytes.length : Math.max(0, bytes.length - one.cut);
        if (length >= 4) bytes.writeUInt32LE(length, 0);
        return bytes.subarray(0, length);
      }),
      fc.tuple(likely, node).map(([[code, args], to]) => requestBytes(code, nodeOf(to), args)),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    );
    let count = 0;
    fc.assert(
      fc.property(fc.array(anything, { maxLength: 30 }), (requests) => {
        for (const bytes of requests) {
          kernel.sendBytes(bytes);
          // One of the requests may have been an INIT that made the session unready.
          kernel.session.isReady = true;
          assert.deepEqual(kernel.defects, []);
        }
        if (count++ % 20 !== 0) return;
        kernel.tree.checkpoint();
        assert.deepEqual(problemsOf(engine), []);
      }),
      { numRuns: swept({ sample: 300, long: 1500, all: 30_000 }) },
    );
    while (kernel.deferred.length > 0) await kernel.finishDeferred();
  });
});
