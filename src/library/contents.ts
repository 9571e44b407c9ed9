/** Whole files at once: readFile, writeFile, appendFile, copyFile. */
import { constants } from 'node:fs';
import { FsError, isDirectoryMode, isFileMode, isFsError } from '../base/index.ts';
import { O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } from '../sys/index.ts';
import type { TreeFile, TreeFiles } from '../vfs/index.ts';
import type { CommonOptions } from './arguments.ts';
import {
  bytesOf,
  checkBoolean,
  checkText,
  fileMode,
  isDescriptor,
  optionsOf,
  smallMode,
} from './arguments.ts';
import { Calls } from './calls.ts';
import { failAsNode, failureOf, withCode } from './errors.ts';
import { openFile } from './files.ts';
import { APPEND, openFlags, READ_ONLY, WRITE_NEW } from './flags.ts';
import { bytePath } from './paths.ts';

const { COPYFILE_EXCL } = constants;

/** The largest file that readFile takes, as in Node: read(2) cannot read more at once. */
export const READ_FILE_BYTES_MAX = 2 ** 31 - 1;
/** Files of unknown size are read in pieces of this size. */
const CHUNK_BYTES = 8192;
/** Text of up to this many bytes passes through one reused buffer instead of a new one. */
const SCRATCH_BYTES = 64 * 1024;

export function decode(bytes: Buffer, encoding: CommonOptions['encoding']): string | Buffer {
  return encoding && encoding !== 'buffer' ? bytes.toString(encoding) : bytes;
}

/** How many bytes to read: the size of a regular file; for everything else 0, which means "until the end". */
export function sizeToRead(fileSystem: TreeFiles, file: TreeFile): number {
  const attributes = fileSystem.statFile(file);
  return isFileMode(attributes.mode) ? attributes.size : 0;
}

/** ERR_FS_FILE_TOO_LARGE for more than `READ_FILE_BYTES_MAX`. */
export function checkReadableSize(sizeBytes: number): void {
  if (sizeBytes > READ_FILE_BYTES_MAX) {
    const error = new RangeError(`File size (${sizeBytes}) is greater than 2 GiB`);
    throw withCode(error, 'ERR_FS_FILE_TOO_LARGE');
  }
}

/** The data of a writeFile as bytes. */
export function dataBytes(data: unknown, encoding: CommonOptions['encoding']): Uint8Array {
  if (ArrayBuffer.isView(data)) return bytesOf(data);
  checkText(data, 'data');
  return Buffer.from(data, encoding && encoding !== 'buffer' ? encoding : 'utf8');
}

/** Whether writes through a file that was opened with these flags start at its first byte. */
function writesFromStart(flags: number): boolean {
  return (flags & O_APPEND) === 0 && (flags & (O_WRONLY | O_RDWR)) !== 0;
}

/**
 * Size of a slab, from which small buffers are cut. Node's own slabs have 8 KiB and serve only buffers below 4 KiB;
 * most files of a source tree are a little larger than that.
 */
const SLAB_BYTES = 32 * 1024;
const SLAB_PIECE_BYTES_MAX = 8 * 1024;
const ALIGNMENT = 8;

let slab = new ArrayBuffer(0);
let used = 0;

/** A Buffer of `sizeBytes`, not zeroed. A new ArrayBuffer would cost 1 µs; a piece of the slab costs 0.2 µs. */
function allocateForRead(sizeBytes: number): Buffer {
  if (sizeBytes > SLAB_PIECE_BYTES_MAX) return Buffer.allocUnsafe(sizeBytes);
  if (used + sizeBytes > slab.byteLength) {
    // The cast: a Buffer that was just made by allocUnsafeSlow has an ArrayBuffer of its own.
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES).buffer as ArrayBuffer;
    used = 0;
  }
  const piece = Buffer.from(slab, used, sizeBytes);
  used += Math.ceil(sizeBytes / ALIGNMENT) * ALIGNMENT;
  return piece;
}

/** All trees of the process share this buffer, because no call uses the buffer after the call has returned. */
const SCRATCH = Buffer.allocUnsafeSlow(SCRATCH_BYTES);

export class ContentCalls extends Calls {
  /** `path` is a path or a descriptor. Reads a descriptor from its position on. */
  readFileSync(path: unknown, options?: unknown): string | Buffer {
    const { encoding, flag } = optionsOf(options);
    if (isDescriptor(path)) {
      const isText = encoding === 'utf8' || encoding === 'utf-8';
      // Node does not ask for the size before it reads UTF-8 text, so its errors name `read`.
      return this.readAll(this.descriptors.get(path, isText ? 'read' : 'fstat'), encoding);
    }
    const file = openFile(this.fileSystem, path, openFlags(flag, READ_ONLY), 0o666);
    try {
      return this.readAll(file, encoding);
    } finally {
      this.fileSystem.close(file);
    }
  }

  private readAll(file: TreeFile, encoding: CommonOptions['encoding']): string | Buffer {
    const sizeBytes = sizeToRead(this.fileSystem, file);
    if (sizeBytes === 0) return decode(this.readUntilEnd(file), encoding);
    checkReadableSize(sizeBytes);
    const isText = encoding !== undefined && encoding !== null && encoding !== 'buffer';
    if (isText && sizeBytes <= SCRATCH_BYTES) {
      return SCRATCH.toString(encoding, 0, this.fill(file, SCRATCH, sizeBytes));
    }
    const bytes = allocateForRead(sizeBytes);
    const count = this.fill(file, bytes, sizeBytes);
    return decode(count === sizeBytes ? bytes : bytes.subarray(0, count), encoding);
  }

  private fill(file: TreeFile, target: Uint8Array, length: number): number {
    let count = 0;
    while (count < length) {
      const more = this.fileSystem.read(file, target, count, length - count, null);
      if (more === 0) break;
      count += more;
    }
    return count;
  }

  private readUntilEnd(file: TreeFile): Buffer {
    const pieces: Buffer[] = [];
    for (;;) {
      const piece = Buffer.allocUnsafe(CHUNK_BYTES);
      const count = this.fileSystem.read(file, piece, 0, CHUNK_BYTES, null);
      if (count === 0) return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
      pieces.push(piece.subarray(0, count));
    }
  }

  /** `path` is a path or a descriptor. Writes to a descriptor at its position, and never truncates it. */
  writeFileSync(path: unknown, data: unknown, options?: unknown): void {
    this.writeAll(path, data, optionsOf(options), WRITE_NEW);
  }

  appendFileSync(path: unknown, data: unknown, options?: unknown): void {
    this.writeAll(path, data, optionsOf(options), APPEND);
  }

  private writeAll(path: unknown, data: unknown, options: CommonOptions, defaultFlags: number): void {
    const flush = options.flush ?? false;
    checkBoolean(flush, 'options.flush');
    const flags = openFlags(options.flag || undefined, defaultFlags);
    const bytes = this.bytesToWrite(data, options.encoding);
    if (isDescriptor(path)) {
      this.writeOut(this.descriptors.get(path, 'write'), bytes, flush);
      return;
    }
    bytePath(path);
    // Not truncating a file that is overwritten from its start saves a change of the tree.
    const opened = bytes.length > 0 && writesFromStart(flags) ? flags & ~O_TRUNC : flags;
    const file = openFile(this.fileSystem, path, opened, fileMode(options.mode, 'mode', 0o666));
    try {
      if (opened !== flags) this.cutIfLonger(file, bytes.length);
      this.writeOut(file, bytes, flush);
    } finally {
      this.fileSystem.close(file);
    }
  }

  /** Truncates the file to 0 bytes, as O_TRUNC would have, but only if it is longer than the new content. */
  private cutIfLonger(file: TreeFile, lengthBytes: number): void {
    try {
      if (sizeToRead(this.fileSystem, file) > lengthBytes) this.fileSystem.truncateFile(file, 0);
    } catch (error) {
      throw failureOf(error, 'open', file.path);
    }
  }

  /** Like `dataBytes`, but encodes short UTF-8 text into the reused buffer. */
  private bytesToWrite(data: unknown, encoding: CommonOptions['encoding']): Uint8Array {
    // A UTF-16 unit takes three bytes of UTF-8 at most.
    if (typeof data === 'string' && data.length * 3 <= SCRATCH_BYTES) {
      if (!encoding || encoding === 'utf8' || encoding === 'utf-8') {
        return SCRATCH.subarray(0, SCRATCH.write(data));
      }
    }
    return dataBytes(data, encoding);
  }

  /**
   * The copy is a reflink: no data moves until somebody writes to one of the two files. Obeys COPYFILE_EXCL;
   * COPYFILE_FICLONE and COPYFILE_FICLONE_FORCE ask for what happens anyway.
   */
  copyFileSync(source: unknown, destination: unknown, mode?: unknown): void {
    const from = bytePath(source, 'src');
    const to = bytePath(destination, 'dest');
    const isExclusive = (smallMode(mode) & COPYFILE_EXCL) !== 0;
    this.copyBytes(from, to, isExclusive);
  }

  private copyBytes(from: string, to: string, isExclusive: boolean): void {
    const source = this.fileSystem.open(from, O_RDONLY, 0);
    try {
      const { mode, dev, ino } = this.fileSystem.statFile(source);
      const flags = O_WRONLY | O_CREAT | (isExclusive ? O_EXCL : 0);
      const existed = isExclusive ? false : this.fileSystem.tryStat(to, true) !== undefined;
      const target = this.fileSystem.open(to, flags, mode & 0o7777);
      try {
        const there = this.fileSystem.statFile(target);
        // A file copied over itself stays as it is.
        if (there.dev === dev && there.ino === ino) return;
        // Checked only now, so that errors of the destination come first.
        if (isDirectoryMode(mode)) throw new FsError('EISDIR');
        this.fileSystem.chmodFile(target, mode & 0o7777);
        this.fileSystem.truncateFile(target, 0);
        this.fileSystem.reflink(source, target);
      } catch (error) {
        if (!existed) this.removeQuietly(to);
        throw error;
      } finally {
        this.fileSystem.close(target);
      }
    } finally {
      this.fileSystem.close(source);
    }
  }

  /** Removes the file that a failed copy made. Ignores errors: the caller throws the error of the copy. */
  private removeQuietly(path: string): void {
    try {
      this.fileSystem.unlink(path);
    } catch (error) {
      if (!isFsError(error)) throw error;
    }
  }
}

failAsNode(ContentCalls.prototype, {
  readFileSync: ['read'],
  writeFileSync: ['write'],
  appendFileSync: ['write'],
  copyFileSync: ['copyfile', 2],
});
