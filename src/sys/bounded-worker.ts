/**
 * A thread behind `BoundedCalls`: makes calls of the native system and the two below, in order. Its descriptors are its
 * own; other threads know them only as numbers.
 */
import { readlinkSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { isFsError } from '../base/index.ts';
import type { BoundedAnswer, BoundedCall, BoundedThread } from './bounded-calls.ts';
import { loadLibc } from './libc.ts';
import { createNativeSystem } from './native.ts';
import { O_NOATIME, O_RDONLY } from './open-flags.ts';
import { takeOwnDescriptors } from './own-descriptors.ts';

/** Added to the descriptors opened here: callers see numbers that no descriptor of the process has. */
const HANDLE_FIRST = 2 ** 30;

const { port, answered, thread, opener } = workerData as BoundedThread;
const libc = loadLibc();
const system = createNativeSystem();
if (libc instanceof Error) throw libc;
if (system instanceof Error) throw system;
// Even where this is not allowed, the calls are bounded.
takeOwnDescriptors(libc);
thread[0] = Number(readlinkSync('/proc/thread-self').split('/').at(-1));

/** Up to `length` bytes of a file; undefined where the disk would have to be waited for, and `mayWait` is false. */
function readBytes(fd: number, length: number, position: number, mayWait: boolean): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  const read = mayWait ? native.pread : native.tryPread;
  const count = read(fd, bytes, 0, length, position);
  return count < 0 ? undefined : bytes.slice(0, count);
}

/** As `readBytes`, of a file that another thread has open. Does not touch its access time, where that is allowed. */
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
// Called by name: a caller names a method of the system, or one of the two above.
const methods = { ...native, readBytes, readOpened } as unknown as Readonly<
  Record<string, (...args: unknown[]) => unknown>
>;

/** Between threads a Buffer becomes a plain Uint8Array; a descriptor is always the first argument. */
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
