/** Memory maps through libc: mmap(2), munmap(2), mincore(2), madvise(2). */
import { type Address, BLOCK_SIZE, blocksFor, FsError } from '../base/index.ts';
import { checked } from './errno.ts';
import type { Libc } from './libc.ts';
import { checkBlocks } from './spans.ts';
import type { System } from './system.ts';

const PROT_NONE = 0;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;

/** Maximum bytes of an ArrayBuffer: Node 20 aborts the process over a longer one. */
const BUFFER_BYTES_MAX = 2 ** 32;

/**
 * Finalizers watch only the buffer that was first made. A transferred buffer would outlive it, and lose its memory
 * while in use. Node-API marks external buffers so that postMessage and structuredClone refuse or copy them (checked by
 * a test). The method `transfer` of ES2024 needs a refusal of its own, because with `markAsUntransferable` Node 24
 * aborts at exit, when it detaches every external buffer.
 */
const UNTRANSFERABLE: PropertyDescriptorMap = {
  transfer: { value: refuseTransfer },
  transferToFixedLength: { value: refuseTransfer },
};

function refuseTransfer(): never {
  throw new TypeError('Cannot transfer a buffer over mapped memory: it stays with its mapping');
}

/** The memory calls. They need pages of 4,096 bytes: where the machine has larger ones, use `withoutMemory`. */
export function nativeMemory(libc: Libc) {
  function map(
    at: number,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    position: number,
  ): Address {
    checkBlocks(at, length);
    checkBlocks(position, length);
    return checked(libc, libc.mmap(at, length, protection, flags, fd, position), 'mmap');
  }

  const anonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  const writable = PROT_READ | PROT_WRITE;
  return {
    canMap: true,
    reserve: (length) => map(0, length, PROT_NONE, anonymous, -1, 0),
    mapWindow: (fd, position, length) => map(0, length, PROT_READ, MAP_SHARED, fd, position),
    mapView(at, fd, position, length) {
      map(at, length, writable, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd, position);
    },
    mapZeros(at, length) {
      map(at, length, writable, anonymous | MAP_FIXED, -1, 0);
    },
    ...rangeCalls(libc),
  } satisfies Partial<System>;
}

function rangeCalls(libc: Libc) {
  return {
    unmap(at, length) {
      checkBlocks(at, length);
      checked(libc, libc.munmap(at, length), 'munmap');
    },

    bufferAt(at, length) {
      // A buffer may end inside its last page, like a file.
      checkBlocks(at, blocksFor(length) * BLOCK_SIZE);
      if (length > BUFFER_BYTES_MAX)
        throw new FsError('EFBIG', { note: `one ArrayBuffer holds ${BUFFER_BYTES_MAX} bytes at most` });
      return Object.defineProperties(libc.view(at, length), UNTRANSFERABLE);
    },

    residency(at, length) {
      checkBlocks(at, length);
      const pages = new Uint8Array(length / BLOCK_SIZE);
      checked(libc, libc.mincore(at, length, pages), 'mincore');
      return pages;
    },

    advise(at, length, advice) {
      checkBlocks(at, length);
      checked(libc, libc.madvise(at, length, advice), 'madvise');
    },
  } satisfies Partial<System>;
}
