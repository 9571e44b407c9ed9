/**
 * The kernel's side of a mount without a device: makes requests byte by byte, as include/uapi/linux/fuse.h draws them,
 * hands them to `dispatch`, and takes the answers apart. It shares no codec with what it tests.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { getSystemErrorName } from 'node:util';
import { dispatch, dispatchDeferred, type Unique } from '../../src/fuse/dispatch.ts';
import type { Deferred } from '../../src/fuse/handler.ts';
import type { IoMode } from '../../src/fuse/mount-server.ts';
import { CACHED_OPENS, DIRECT_OPENS } from '../../src/fuse/open-policy.ts';
import { Reply } from '../../src/fuse/reply.ts';
import { Request } from '../../src/fuse/request.ts';
import { Session, type SessionEvents } from '../../src/fuse/session.ts';
import { StoreEngine, type StoreOptions, type Tree } from '../../src/store/index.ts';
import { problemsOf } from '../stores/shared-store.ts';

/** enum fuse_opcode, copied from the header independently of src/fuse. */
export const Op = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  FLUSH: 25,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  GETLK: 31,
  ACCESS: 34,
  CREATE: 35,
  INTERRUPT: 36,
  BMAP: 37,
  DESTROY: 38,
  IOCTL: 39,
  POLL: 40,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const;

export const ROOT = 1;
/** Every flag that Linux 6.18 offers, and INIT_EXT. */
const INIT_FLAGS = 0xffff_ffff;
const HEADER_BYTES = 40;
const ESTALE = 116;

export function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  for (const [index, value] of values.entries()) bytes.writeUInt32LE(value >>> 0, index * 4);
  return bytes;
}

export function u64(...values: readonly (number | bigint)[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  for (const [index, value] of values.entries())
    bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(value)), index * 8);
  return bytes;
}

/** Joins the parts. A string is a name: its bytes, and a zero byte. */
export function pack(...parts: readonly (Uint8Array | string)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => (typeof part === 'string' ? Buffer.from(`${part}\0`, 'latin1') : part)),
  );
}

/** len · opcode · unique (64) · nodeid (64) · uid · gid · pid · total_extlen (16), padding. */
export function requestBytes(opcode: number, node: number | bigint, args: Uint8Array, unique = 1n): Buffer {
  const head = [u32(HEADER_BYTES + args.length, opcode), u64(unique, node), u32(1000, 1001, 77, 0)];
  return Buffer.concat([...head, args]);
}

/** The fields of struct fuse_attr that tests look at. */
export interface Attr {
  readonly ino: number;
  readonly size: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly mtimeSeconds: bigint;
  readonly mtimeNanoseconds: number;
}

/** Decodes the struct fuse_attr at offset `at`. */
export function attrOf(bytes: Buffer, at: number): Attr {
  const [mode, nlink, uid, gid, rdev] = [60, 64, 68, 72, 76].map((field) => bytes.readUInt32LE(at + field));
  return {
    ino: Number(bytes.readBigUInt64LE(at)),
    size: Number(bytes.readBigUInt64LE(at + 8)),
    mode: mode!,
    nlink: nlink!,
    uid: uid!,
    gid: gid!,
    rdev: rdev!,
    mtimeSeconds: bytes.readBigInt64LE(at + 32),
    mtimeNanoseconds: bytes.readUInt32LE(at + 52),
  };
}

/** One entry of an answer to READDIR or READDIRPLUS. */
export interface DirectoryEntry {
  readonly name: string;
  readonly ino: number;
  readonly cookie: number;
  readonly kind: number;
  /** The node that READDIRPLUS has looked up for the kernel; 0 from READDIR. */
  readonly node: number;
}

/** Each entry is a header of 24 bytes and the name; READDIRPLUS puts a struct fuse_entry_out of 128 bytes before it. */
function directoryEntries(bytes: Buffer, isPlus: boolean): DirectoryEntry[] {
  const entries: DirectoryEntry[] = [];
  for (let at = 0; at < bytes.length; ) {
    const dirent = isPlus ? at + 128 : at;
    // ino, off (64) · namelen, type · name, padded to a multiple of 8
    const nameBytes = bytes.readUInt32LE(dirent + 16);
    entries.push({
      node: isPlus ? Number(bytes.readBigUInt64LE(at)) : 0,
      ino: Number(bytes.readBigUInt64LE(dirent)),
      cookie: Number(bytes.readBigUInt64LE(dirent + 8)),
      kind: bytes.readUInt32LE(dirent + 20),
      name: bytes.toString('latin1', dirent + 24, dirent + 24 + nameBytes),
    });
    at = dirent + Math.ceil((24 + nameBytes) / 8) * 8;
    assert.ok(at <= bytes.length, 'an entry is whole');
  }
  return entries;
}

export interface FuseKernelOptions {
  readonly io?: IoMode;
  readonly events?: SessionEvents;
}

export class FuseKernel {
  readonly tree: Tree;
  readonly session: Session;
  /** Exceptions that `dispatch` reported as defects. */
  readonly defects: unknown[] = [];
  readonly deferred: { readonly deferred: Deferred; readonly unique: Unique }[] = [];
  private readonly fetches: Promise<void>[] = [];
  readonly request = new Request(Buffer.alloc(1024 * 1024 + 4096));
  readonly reply = new Reply(Buffer.alloc(1024 * 1024 + 4096));

  constructor(tree: Tree, { io = 'cached', events = {} }: FuseKernelOptions = {}) {
    this.tree = tree;
    const opens = io === 'direct' ? DIRECT_OPENS : CACHED_OPENS;
    const space = () => ({ type: 0, bsize: 4096, blocks: 2 ** 40, bfree: 7, bavail: 6, files: 5, ffree: 4 });
    this.session = new Session(tree, { io, opens, space, events });
    this.ask(Op.INIT, 0, u32(7, 45, 1024 * 1024, INIT_FLAGS, INIT_FLAGS, ...Array(11).fill(0)));
  }

  /** Sends these bytes as one request. Returns the whole answer; empty if there is none. */
  sendBytes(bytes: Uint8Array): Buffer {
    this.request.bytes.set(bytes);
    if (!this.request.begin(bytes.length)) return Buffer.alloc(0);
    const length = dispatch(
      this.session,
      this.request,
      this.reply,
      (deferred, unique) => {
        this.deferred.push({ deferred, unique });
        this.fetches.push(deferred.until);
      },
      (defect) => this.defects.push(defect),
    );
    return Buffer.from(this.reply.bytes.subarray(0, length));
  }

  send(opcode: number, node: number | bigint, args: Uint8Array = u32()): Buffer {
    return this.sendBytes(requestBytes(opcode, node, args));
  }

  /** Sends a request that must succeed; returns the answer without its header. */
  ask(opcode: number, node: number | bigint, args?: Uint8Array): Buffer {
    const answer = this.send(opcode, node, args);
    assert.equal(codeOf(answer), 'OK', `opcode ${opcode}`);
    return answer.subarray(16);
  }

  /** Sends a request; returns the name of its error, or 'OK'. */
  fails(opcode: number, node: number | bigint, args?: Uint8Array): string {
    return codeOf(this.send(opcode, node, args));
  }

  /** Waits for all reads from disk for deferred answers. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.fetches);
  }

  /** Waits for the oldest deferred request, and returns the whole answer to it. */
  async finishDeferred(): Promise<Buffer> {
    await this.deferred[0]!.deferred.until;
    return this.answerDeferred();
  }

  private answerDeferred(): Buffer {
    const { deferred, unique } = this.deferred.shift()!;
    const length = dispatchDeferred(deferred, unique, this.reply, (defect) => this.defects.push(defect));
    return Buffer.from(this.reply.bytes.subarray(0, length));
  }

  // Short forms.

  /** The node of a name; 0 when there is none. */
  lookup(directory: number, name: string): number {
    return Number(this.ask(Op.LOOKUP, directory, pack(name)).readBigUInt64LE(0));
  }

  forget(node: number, count = 1): void {
    assert.equal(this.send(Op.FORGET, node, u64(count)).length, 0);
  }

  attr(node: number): Attr {
    return attrOf(this.ask(Op.GETATTR, node, u32(0, 0, 0, 0)), 16);
  }

  /** flags, mode, umask, open_flags · name. Returns the node. */
  create(directory: number, name: string, mode = 0o100644): number {
    return Number(this.ask(Op.CREATE, directory, pack(u32(0o102, mode, 0, 0), name)).readBigUInt64LE(0));
  }

  mkdir(directory: number, name: string, mode = 0o755): number {
    return Number(this.ask(Op.MKDIR, directory, pack(u32(mode, 0), name)).readBigUInt64LE(0));
  }

  write(node: number, position: number, bytes: Uint8Array): number {
    return this.ask(Op.WRITE, node, writeArgs(position, bytes)).readUInt32LE(0);
  }

  /** Sends one request; returns the entries after `cookie` that fit into `size` bytes. */
  readDirectory(directory: number, cookie: number, size: number, isPlus: boolean): DirectoryEntry[] {
    const args = pack(u64(0, cookie), u32(size, 0), u64(0), u32(0, 0));
    const bytes = this.ask(isPlus ? Op.READDIRPLUS : Op.READDIR, directory, args);
    assert.ok(bytes.length <= size);
    return directoryEntries(bytes, isPlus);
  }

  /** All entries with attributes, except `.` and `..`. Sends requests, like the kernel, until an answer is empty. */
  list(directory: number): DirectoryEntry[] {
    const entries: DirectoryEntry[] = [];
    for (;;) {
      const piece = this.readDirectory(directory, entries.at(-1)?.cookie ?? 0, 32_768, true);
      if (piece.length === 0) return entries.filter(({ name }) => name !== '.' && name !== '..');
      entries.push(...piece);
    }
  }

  /** Reads; waits for the disk if the bytes are not in the host's page cache. */
  read(node: number, position: number, size: number): Buffer {
    const answer = this.send(Op.READ, node, readArgs(position, size));
    const whole = answer.length === 0 ? this.answerDeferred() : answer;
    assert.equal(codeOf(whole), 'OK');
    return whole.subarray(16);
  }
}

/** fh, offset (64) · size, write_flags · lock_owner (64) · flags, padding · the bytes. */
export function writeArgs(position: number | bigint, bytes: Uint8Array, writeFlags = 0): Buffer {
  return pack(u64(0, position), u32(bytes.length, writeFlags), u64(0), u32(1, 0), bytes);
}

/** fh, offset (64) · size, read_flags · lock_owner (64) · flags, padding. */
export function readArgs(position: number | bigint, size: number): Buffer {
  return pack(u64(0, position), u32(size, 0), u64(0), u32(0, 0));
}

/** 'OK', or the name of the error in the header of an answer. Asserts that the answer has the length in its header. */
export function codeOf(answer: Buffer): string {
  assert.ok(answer.length >= 16, 'there is an answer');
  assert.equal(answer.readUInt32LE(0), answer.length);
  const error = answer.readInt32LE(4);
  if (error !== 0) assert.equal(answer.length, 16, 'an error has no payload');
  // libuv has no name for ESTALE.
  return error === 0 ? 'OK' : error === -ESTALE ? 'ESTALE' : getSystemErrorName(error);
}

export interface ScratchOptions extends FuseKernelOptions {
  /** Serves the snapshot itself instead of a fork of it. */
  readonly isReadOnly?: boolean;
  readonly store?: StoreOptions;
}

/**
 * A kernel that has a fork (`fork`) mounted, made of a snapshot (`base`) of the files that `fill` makes. When the test
 * ends, the mount ends too, and neither `dispatch` may have reported a defect nor fsck find a problem.
 */
export async function scratchKernel(
  context: TestContext,
  fill: (tree: Tree) => void,
  options: ScratchOptions = {},
): Promise<{ readonly kernel: FuseKernel; readonly engine: StoreEngine }> {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-test-'));
  const engine = await StoreEngine.open(join(directory, 'store'), { ...options.store, create: true });
  const first = engine.createEmpty('first');
  fill(first);
  engine.snapshot('first', 'base');
  first.close();
  const tree = options.isReadOnly ? engine.openTree('base') : engine.fork('base', 'fork');
  const kernel = new FuseKernel(tree, options);
  context.after(async () => {
    try {
      await kernel.settle();
      kernel.session.end();
      assert.deepEqual(kernel.defects, []);
      assert.deepEqual(problemsOf(engine), []);
    } finally {
      await engine.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });
  return { kernel, engine };
}
