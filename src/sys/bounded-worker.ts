/**
 * The thread of `BoundedCalls`: makes the calls of the native system, and `readBytes` and `readOpened` below, one after
 * the other.
 *
 * The thread has a descriptor table of its own; other threads know its descriptors only as numbers. A thread in a call
 * that never returns outlives its killed process, and with a shared table it would keep the descriptors of the process
 * open: locks, connections, and the devices of mounts, so that programs in these mounts would wait for ever.
 */
import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { isFsError } from '../base/index.ts';
import type { BoundedAnswer, BoundedCall, BoundedThread } from './bounded-calls.ts';
import { loadLibc } from './libc.ts';
import { createNativeSystem } from './native.ts';
import { O_NOATIME, O_RDONLY } from './open-flags.ts';

/** Flag of unshare(2): gives the thread a descriptor table of its own. */
const CLONE_FILES = 0x400;
const DESCRIPTORS = '/proc/thread-self/fd';
const STDERR = 2;
/** Added to the descriptors opened here, so that callers see numbers that no descriptor of the process has. */
const HANDLE_FIRST = 2 ** 30;

const { port, answered, thread, opener } = workerData as BoundedThread;
const libc = loadLibc();
const system = createNativeSystem();
if (libc instanceof Error) throw libc;
if (system instanceof Error) throw system;
// Where unshare(2) is not allowed, the calls are bounded all the same.
if (libc.unshare(CLONE_FILES) === 0) closeInherited();
thread[0] = Number(readlinkSync('/proc/thread-self').split('/').at(-1));

/**
 * Closes all inherited descriptors except stdin, stdout, stderr and anonymous inodes (epoll, eventfd). The event loop
 * of this thread waits with the latter, and other threads wake it through them. This thread must not start another,
 * which nobody could wake.
 */
function closeInherited(): void {
  for (const name of readdirSync(DESCRIPTORS)) {
    const fd = Number(name);
    try {
      if (fd > STDERR && !readlinkSync(`${DESCRIPTORS}/${name}`).startsWith('anon_inode:')) closeSync(fd);
    } catch (error) {
      // The descriptor that `readdirSync` used is in the list, but closed already.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'EBADF') throw error;
    }
  }
}

/**
 * Reads up to `length` bytes of a file. Undefined where the read would have to wait for the disk and `mayWait` is
 * false.
 */
function readBytes(fd: number, length: number, position: number, mayWait: boolean): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  const read = mayWait ? native.pread : native.tryPread;
  const count = read(fd, bytes, 0, length, position);
  return count < 0 ? undefined : bytes.slice(0, count);
}

/**
 * Like `readBytes`, for a file that another thread has open. Leaves its access time alone where O_NOATIME is allowed.
 */
function readOpened(fd: number, length: number, position: number): Uint8Array | undefined {
  const path = `/proc/self/task/${opener?.[0]}/fd/${fd}`;
  let own: number;
  try {
    own = native.open(path, O_RDONLY | O_NOATIME);
  } catch (error) {
    if (!isFsError(error, 'EPERM')) throw error;
    own = native.open(path, O_RDONLY);
  }
  try {
    return readBytes(own, length, position, true);
  } finally {
    native.close(own);
  }
}

const native = system;
// The cast: callers name only methods of the system, `readBytes` and `readOpened`.
const methods = { ...native, readBytes, readOpened } as unknown as Readonly<
  Record<string, (...args: unknown[]) => unknown>
>;

/**
 * Restores an argument from another thread. A number in the first place is a descriptor plus HANDLE_FIRST; a Buffer has
 * become a plain Uint8Array.
 */
function received(value: unknown, index: number): unknown {
  if (index === 0 && typeof value === 'number') return value - HANDLE_FIRST;
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length) : value;
}

function answerTo({ id, method, args }: BoundedCall): BoundedAnswer {
  try {
    const value = methods[method]!(...args.map(received));
    return { id, value: method.startsWith('open') ? (value as number) + HANDLE_FIRST : value };
  } catch (error) {
    return isFsError(error) ? { id, error: error.plain() } : { id, defect: error };
  }
}

port.on('message', (call: BoundedCall) => {
  port.postMessage(answerTo(call));
  Atomics.store(answered, 0, call.id);
  Atomics.notify(answered, 0);
});
