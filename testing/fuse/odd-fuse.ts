/**
 * For tests: a FUSE server that is not Ramet's. It serves one directory, whose files a control file describes at every
 * moment. The server has no birth times, gives files any inode numbers, and answers nothing while the control file
 * says so. Arguments: the directory to mount at, the control file. Prints a line when the directory is mounted; ends
 * when it is unmounted.
 *
 * It encodes the structures of include/uapi/linux/fuse.h without the codecs of src/fuse.
 */
import { openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { createKernel } from '../../src/sys/index.ts';
import { Op, pack, u32, u64 } from './fuse-kernel.ts';

/** The content of the control file, as JSON. */
export interface OddDirectory {
  readonly files: Readonly<
    Record<string, { readonly ino: number; readonly text: string; readonly nlink?: number }>
  >;
  /** While true, requests wait for their answers. */
  readonly isStalled?: boolean;
}

const ENOENT = 2;
const ENOSYS = 38;
const ROOT = 1n;
const S_IFDIR = 0o40000;
const S_IFREG = 0o100000;

const [, , directory = '', control = ''] = process.argv;
/** Names that were looked up: node n + 2 stands for entry n forever. */
const names: string[] = [];

function wanted(): OddDirectory {
  for (;;) {
    const state = JSON.parse(readFileSync(control, 'utf8')) as OddDirectory;
    if (state.isStalled !== true) return state;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
  }
}

/** struct fuse_attr; the file's inode number also serves as its times, in seconds. */
function attr({ files }: OddDirectory, name: string | undefined): Buffer | undefined {
  const file = name === undefined ? { ino: 1, text: '' } : files[name];
  if (file === undefined) return undefined;
  const mode = name === undefined ? S_IFDIR | 0o755 : S_IFREG | 0o644;
  const { ino, text, nlink = 1 } = file;
  return pack(u64(ino, text.length, 1, ino, ino, ino), u32(0, 0, 0, mode, nlink, 0, 0, 0, 4096, 0));
}

function entry(state: OddDirectory, name: string): Buffer | undefined {
  const attributes = attr(state, name);
  if (attributes === undefined) return undefined;
  if (!names.includes(name)) names.push(name);
  return pack(u64(names.indexOf(name) + 2, 0, 0, 0), u32(0, 0), attributes);
}

function listing({ files }: OddDirectory, offset: number): Buffer {
  const entries = Object.entries(files).map(([name, { ino }], index) => {
    const bytes = Buffer.from(name);
    const padding = Buffer.alloc((8 - (bytes.length % 8)) % 8);
    return pack(u64(ino, index + 1), u32(bytes.length, S_IFREG >> 12), bytes, padding);
  });
  return pack(...entries.slice(offset));
}

/** The answer, or an errno; undefined for requests that get no answer. */
function answer(opcode: number, node: bigint, args: Buffer): Buffer | number | undefined {
  if (opcode === Op.INIT)
    return pack(u32(7, 31, 65536, 0), Buffer.from([16, 0, 12, 0]), u32(65536, 1), Buffer.alloc(36));
  if (opcode === Op.FORGET || opcode === Op.BATCH_FORGET) return undefined;
  const state = wanted();
  const name = node === ROOT ? undefined : names[Number(node) - 2];
  const text = Buffer.from(state.files[name ?? '']?.text ?? '');
  switch (opcode) {
    case Op.LOOKUP:
      return entry(state, args.toString('utf8', 0, args.indexOf(0))) ?? ENOENT;
    case Op.GETATTR: {
      const attributes = attr(state, name);
      return attributes === undefined ? ENOENT : pack(u64(0), u32(0, 0), attributes);
    }
    case Op.OPEN:
    case Op.OPENDIR:
      return pack(u64(0), u32(0, 0));
    case Op.READDIR:
      return listing(state, Number(args.readBigUInt64LE(8)));
    case Op.READ: {
      const at = Number(args.readBigUInt64LE(8));
      return text.subarray(at, at + args.readUInt32LE(16));
    }
    case Op.RELEASE:
    case Op.RELEASEDIR:
    case Op.FLUSH:
      return Buffer.alloc(0);
    default:
      return ENOSYS;
  }
}

function serve(device: number): void {
  const request = Buffer.alloc(1024 * 1024);
  for (;;) {
    let length: number;
    try {
      length = readSync(device, request, 0, request.length, null);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENODEV') return;
      throw error;
    }
    const given = answer(request.readUInt32LE(4), request.readBigUInt64LE(16), request.subarray(40, length));
    if (given === undefined) continue;
    const [errno, body] = typeof given === 'number' ? [given, Buffer.alloc(0)] : [0, given];
    try {
      writeSync(device, pack(u32(16 + body.length, -errno), u64(request.readBigUInt64LE(8)), body));
    } catch (error) {
      // The caller was interrupted meanwhile.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

const kernel = createKernel();
if (kernel instanceof Error) throw kernel;
const device = openSync('/dev/fuse', 'r+');
kernel.mount('odd', directory, 'fuse.odd', 0, `fd=${device},rootmode=40000,user_id=0,group_id=0,allow_other`);
process.stdout.write('mounted\n');
serve(device);
