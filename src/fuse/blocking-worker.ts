/**
 * The worker of `BlockingCalls`. It makes calls in order, except those that other servers could hold up: child
 * processes make these.
 */
import { closeSync } from 'node:fs';
import path from 'node:path';
import { parentPort } from 'node:worker_threads';
import { FsError, isFsError, nameFromString, nameToString, type PlainFsError } from '../base/index.ts';
import { createKernel, createSystem, ENOENT, HostMounts, type Kernel, placeOf } from '../sys/index.ts';
import { makeCall, type PathCall } from './blocking-call.ts';
import { callByProcess } from './call-by-process.ts';

export type BlockingCall =
  | PathCall
  /** Sends one whole notification. ENOENT means that the kernel had nothing to do, and counts as success. */
  | { readonly kind: 'notify'; readonly device: number; readonly message: Uint8Array };

export interface BlockingResult {
  readonly id: number;
  /** The descriptor of the device for `mountByHelper`, otherwise 0. */
  readonly value?: number;
  readonly failure?: PlainFsError;
}

async function make(kernel: Kernel, call: BlockingCall): Promise<number> {
  if (call.kind === 'notify') {
    const { device, message } = call;
    const count = kernel.write(device, kernel.addressOf(message), message.length);
    if (count < 0 && count !== -ENOENT) throw kernel.failure(-count, 'write');
    return 0;
  }
  if (call.kind === 'mountByHelper') return await mountByHelper(kernel, call);
  await walk(kernel, call);
  return 0;
}

/**
 * Makes a call that walks a path; a child process makes it if another server could hold it up. A thread that waits for
 * such a server cannot be killed, so this process could not end.
 */
async function walk(kernel: Kernel, call: PathCall): Promise<void> {
  const served = servedPlaceOf(call);
  if (served === undefined) makeCall(kernel, call);
  else await callByProcess(call, served);
}

function servedPlaceOf(call: PathCall): string | undefined {
  const isMounted = call.kind === 'unmount' || call.kind === 'sync';
  const place = isMounted ? placeOf(call.device, call.directory, call.kind) : call.directory;
  return place === undefined ? undefined : servedPlaceAbove(place);
}

/**
 * The mount point of a filesystem that another process or machine serves, if the way to a directory leads through one;
 * a mount at the directory itself does not count. A call with that path may have to wait for that server.
 */
function servedPlaceAbove(directory: string): string | undefined {
  const above = nameFromString(path.dirname(directory));
  const served = new HostMounts(createSystem()).servedOnWay(above)?.directory;
  return served === undefined ? undefined : nameToString(served);
}

async function mountByHelper(
  kernel: Kernel,
  call: Extract<PathCall, { kind: 'mountByHelper' }>,
): Promise<number> {
  const [ours, theirs] = kernel.socketPair();
  try {
    await walk(kernel, { ...call, descriptor: theirs });
    const device = kernel.receiveDescriptor(ours);
    if (device === undefined) {
      const note = 'fusermount3 sent no device';
      throw new FsError('EIO', { syscall: 'mount', path: call.directory, note });
    }
    kernel.setNonBlocking(device);
    return device;
  } finally {
    closeSync(ours);
    closeSync(theirs);
  }
}

async function answer(kernel: Kernel, id: number, call: BlockingCall): Promise<BlockingResult> {
  try {
    return { id, value: await make(kernel, call) };
  } catch (error) {
    if (!isFsError(error)) throw error;
    return { id, failure: error.plain() };
  }
}

const kernel = createKernel();
if (kernel instanceof Error) throw kernel;
const ready: Kernel = kernel;
parentPort?.on('message', async ({ id, call }: { id: number; call: BlockingCall }) => {
  parentPort?.postMessage(await answer(ready, id, call));
});
