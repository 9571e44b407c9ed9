/** The thread behind `BoundedCalls`: makes calls of the native system, and those below, in order. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { isFsError } from '../base/index.ts';
import type { BoundedAnswer, BoundedCall } from './bounded-calls.ts';
import { createNativeSystem } from './native.ts';

const { port, answered } = workerData as { readonly port: MessagePort; readonly answered: Int32Array };
const system = createNativeSystem();
if (system instanceof Error) throw system;

/** Up to `length` bytes of a file; undefined where the disk would have to be waited for, and `mayWait` is false. */
function readBytes(fd: number, length: number, position: number, mayWait: boolean): Uint8Array | undefined {
  const bytes = new Uint8Array(length);
  const read = mayWait ? native.pread : native.tryPread;
  const count = read(fd, bytes, 0, length, position);
  return count < 0 ? undefined : bytes.slice(0, count);
}

const native = system;
// By name: what a caller names is a method of the system.
const methods = { ...native, readBytes } as unknown as Readonly<
  Record<string, (...args: unknown[]) => unknown>
>;

/** Buffers lose what they are on the way between threads. */
function received(value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value.buffer, value.byteOffset, value.length) : value;
}

function answerTo({ id, method, args }: BoundedCall): BoundedAnswer {
  try {
    return { id, value: methods[method]!(...args.map(received)) };
  } catch (error) {
    if (!isFsError(error)) return { id, defect: error };
    const { code, syscall, path, dest, note } = error;
    return { id, error: { code, syscall, path, dest, note } };
  }
}

port.on('message', (call: BoundedCall) => {
  port.postMessage(answerTo(call));
  Atomics.store(answered, 0, call.id);
  Atomics.notify(answered, 0);
});
