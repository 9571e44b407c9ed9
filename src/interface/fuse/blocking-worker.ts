/** The worker behind `BlockingCalls`: makes one call after another. */
import { spawnSync } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { type ErrorCode, FsError, isFsError } from '../../base/index.ts';
import {
  createKernel,
  createSystem,
  ENOENT,
  type Kernel,
  MNT_DETACH,
  UMOUNT_NOFOLLOW,
} from '../../sys/index.ts';
import { placeToUnmount } from './mounted-places.ts';

const HELPER = 'fusermount3';

export type BlockingCall =
  | {
      readonly kind: 'mount';
      readonly source: string;
      readonly directory: string;
      readonly type: string;
      readonly flags: number;
      readonly options: string;
    }
  /** Unmounts what has the number `device`, if it is still mounted; where the number is unknown, what is there. */
  | {
      readonly kind: 'unmount';
      readonly directory: string;
      readonly device: string | undefined;
      readonly isLazy: boolean;
    }
  /** Mounts by the helper that is installed for users without privileges; returns the descriptor of the device. */
  | { readonly kind: 'mountByHelper'; readonly directory: string; readonly options: string }
  /** syncfs(2) on what is mounted there: what programs stored through maps is written. */
  | { readonly kind: 'sync'; readonly directory: string }
  /** A notification, whole; one that finds nothing to do (ENOENT) has succeeded. */
  | { readonly kind: 'notify'; readonly device: number; readonly message: Uint8Array };

export interface BlockingFailure {
  readonly code: ErrorCode;
  readonly syscall?: string;
  readonly path?: string;
  readonly note?: string;
}

export interface BlockingResult {
  readonly id: number;
  /** What the call returns, if anything. */
  readonly value?: number;
  readonly failure?: BlockingFailure;
}

function make(kernel: Kernel, call: BlockingCall): number {
  switch (call.kind) {
    case 'mount':
      kernel.mount(call.source, call.directory, call.type, call.flags, call.options);
      return 0;
    case 'mountByHelper':
      return mountByHelper(kernel, call.directory, call.options);
    case 'unmount': {
      const { directory, device, isLazy } = call;
      const place = device === undefined ? directory : placeToUnmount(device, directory);
      if (place !== undefined) unmount(kernel, place, isLazy);
      return 0;
    }
    case 'sync':
      syncFileSystem(call.directory);
      return 0;
    case 'notify': {
      const { device, message } = call;
      const count = kernel.write(device, kernel.addressOf(message), message.length);
      if (count < 0 && count !== -ENOENT) throw kernel.failure(-count, 'write');
      return 0;
    }
  }
}

function syncFileSystem(directory: string): void {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    createSystem('native').syncFileSystem(fd);
  } finally {
    closeSync(fd);
  }
}

/** By the system call, or where that takes privileges by the helper. */
function unmount(kernel: Kernel, directory: string, isLazy: boolean): void {
  try {
    kernel.unmount(directory, UMOUNT_NOFOLLOW | (isLazy ? MNT_DETACH : 0));
  } catch (error) {
    if (!isFsError(error, 'EPERM')) throw error;
    runHelper(isLazy ? ['-u', '-z', '--', directory] : ['-u', '--', directory], 'umount', directory);
  }
}

/**
 * fusermount3(1): it opens the device and mounts it as root, and sends the descriptor over the socket that the
 * environment variable _FUSE_COMMFD names.
 */
function mountByHelper(kernel: Kernel, directory: string, options: string): number {
  const [ours, theirs] = kernel.socketPair();
  try {
    runHelper(['-o', options, '--', directory], 'mount', directory, theirs);
    const device = kernel.receiveDescriptor(ours);
    if (device === undefined)
      throw new FsError('EIO', { syscall: 'mount', path: directory, note: `${HELPER} sent no device` });
    kernel.setNonBlocking(device);
    return device;
  } finally {
    closeSync(ours);
    closeSync(theirs);
  }
}

function runHelper(args: readonly string[], syscall: string, path: string, socket?: number): void {
  const stdio: (number | 'ignore' | 'pipe')[] = ['ignore', 'ignore', 'pipe'];
  if (socket !== undefined) stdio.push(socket);
  const env = { ...process.env, _FUSE_COMMFD: '3', LC_ALL: 'C' };
  const { error, status, stderr } = spawnSync(HELPER, args, { stdio, env, cwd: '/' });
  if (error !== undefined) {
    const note = `it takes root, or ${HELPER} from the package fuse3`;
    throw new FsError('EPERM', { syscall, path, note });
  }
  if (status === 0) return;
  const said = stderr.toString('utf8').trim().split('\n').pop() ?? '';
  const code = /busy/i.test(said) ? 'EBUSY' : /no such file/i.test(said) ? 'ENOENT' : 'EPERM';
  throw new FsError(code, { syscall, path, note: said });
}

function answer(kernel: Kernel, id: number, call: BlockingCall): BlockingResult {
  try {
    return { id, value: make(kernel, call) };
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    const { code, syscall, path, note } = error;
    const failure = {
      code,
      ...(syscall === undefined ? {} : { syscall }),
      ...(path === undefined ? {} : { path }),
      ...(note === undefined ? {} : { note }),
    };
    return { id, failure };
  }
}

const kernel = createKernel();
if (kernel instanceof Error) throw kernel;
const ready: Kernel = kernel;
parentPort?.on('message', ({ id, call }: { id: number; call: BlockingCall }) => {
  parentPort?.postMessage(answer(ready, id, call));
});
