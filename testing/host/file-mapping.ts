/**
 * A memory map of a file for tests. System calls copy between the map and a file in memory, so that a page that cannot
 * be read is an EFAULT and not a SIGBUS that ends the process.
 */
import { closeSync, readSync, writeSync } from 'node:fs';
import { allocateFixed, check, libc } from './libc.ts';

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
const MS_SYNC = 4;
const MFD_CLOEXEC = 1;
const PAGE_BYTES = 4096;

export class FileMapping implements Disposable {
  /** Address of the map in this process. */
  readonly address: number;
  readonly lengthBytes: number;
  /** Descriptor of the file in memory that all bytes pass through. */
  private readonly between: number;
  private isOpen = true;

  /** Maps the file from its beginning, shared; for reading unless `isWritable`. The descriptor may be closed. */
  constructor(fd: number, lengthBytes: number, isWritable = false) {
    const protection = isWritable ? PROT_READ | PROT_WRITE : PROT_READ;
    this.lengthBytes = lengthBytes;
    this.address = check(libc().mmap(0, lengthBytes, protection, MAP_SHARED, fd, 0), 'mmap');
    this.between = check(libc().memfd_create('between', MFD_CLOEXEC), 'memfd_create');
  }

  /** Reads through the map. EFAULT for a page beyond the end of the file, or one that could not be read from disk. */
  read(position = 0, length = this.lengthBytes - position): Buffer {
    this.copy('pwrite', position, length);
    const bytes = Buffer.alloc(length);
    readSync(this.between, bytes, 0, length, 0);
    return bytes;
  }

  /** Stores bytes through the map. */
  write(bytes: Uint8Array, position: number): void {
    writeSync(this.between, bytes, 0, bytes.length, 0);
    this.copy('pread', position, bytes.length);
  }

  /** msync(2): writes stored bytes to the file and its disk. */
  sync(): void {
    check(libc().msync(this.address, this.lengthBytes, MS_SYNC), 'msync');
  }

  private copy(call: 'pread' | 'pwrite', position: number, length: number): void {
    if (!this.isOpen || position + length > this.lengthBytes) throw new RangeError('outside of the map');
    for (let done = 0; done < length; ) {
      const count = libc()[call](this.between, this.address + position + done, length - done, done);
      check(count, call);
      if (count === 0) throw new Error(`${call} moved nothing`);
      done += count;
    }
  }

  [Symbol.dispose](): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    check(libc().munmap(this.address, this.lengthBytes), 'munmap');
    closeSync(this.between);
  }
}

/** Reads through a descriptor opened with O_DIRECT, which needs memory at a page boundary. */
export function readDirect(fd: number, position: number, length: number): Buffer {
  const whole = Math.ceil(length / PAGE_BYTES) * PAGE_BYTES;
  const flags = MAP_PRIVATE | MAP_ANONYMOUS;
  const address = check(libc().mmap(0, whole, PROT_READ | PROT_WRITE, flags, -1, 0), 'mmap');
  try {
    const count = check(libc().pread(fd, address, whole, position), 'pread');
    return copyOut(address, Math.min(count, length));
  } finally {
    check(libc().munmap(address, whole), 'munmap');
  }
}

function copyOut(address: number, length: number): Buffer {
  const between = check(libc().memfd_create('between', MFD_CLOEXEC), 'memfd_create');
  try {
    const bytes = allocateFixed(length);
    if (length === 0) return bytes;
    check(libc().pwrite(between, address, length, 0), 'pwrite');
    readSync(between, bytes, 0, length, 0);
    return bytes;
  } finally {
    closeSync(between);
  }
}
