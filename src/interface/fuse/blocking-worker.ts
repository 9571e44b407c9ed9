/** The worker behind `BlockingCalls`: makes one call after another. */
import { parentPort } from 'node:worker_threads';
import { type ErrorCode, FsError } from '../../base/index.ts';
import { createKernel, type Kernel } from '../../sys/index.ts';

export type BlockingCall =
  | {
      readonly kind: 'mount';
      readonly source: string;
      readonly directory: string;
      readonly type: string;
      readonly flags: number;
      readonly options: string;
    }
  | { readonly kind: 'unmount'; readonly directory: string; readonly flags: number }
  /** A notification, whole; one that finds nothing to do (ENOENT) has succeeded. */
  | { readonly kind: 'notify'; readonly device: number; readonly message: Uint8Array };

export interface BlockingResult {
  readonly id: number;
  readonly failure?: { readonly code: ErrorCode; readonly syscall?: string; readonly path?: string };
}

const ENOENT = 2;

function make(kernel: Kernel, call: BlockingCall): void {
  switch (call.kind) {
    case 'mount':
      kernel.mount(call.source, call.directory, call.type, call.flags, call.options);
      break;
    case 'unmount':
      kernel.unmount(call.directory, call.flags);
      break;
    case 'notify': {
      const { device, message } = call;
      const count = kernel.write(device, kernel.addressOf(message), message.length);
      if (count < 0 && count !== -ENOENT) throw kernel.failure(-count, 'write');
    }
  }
}

function answer(kernel: Kernel, id: number, call: BlockingCall): BlockingResult {
  try {
    make(kernel, call);
    return { id };
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    const { code, syscall, path } = error;
    return {
      id,
      failure: {
        code,
        ...(syscall === undefined ? {} : { syscall }),
        ...(path === undefined ? {} : { path }),
      },
    };
  }
}

const kernel = createKernel();
if (kernel instanceof Error) throw kernel;
const ready: Kernel = kernel;
parentPort?.on('message', ({ id, call }: { id: number; call: BlockingCall }) => {
  parentPort?.postMessage(answer(ready, id, call));
});
