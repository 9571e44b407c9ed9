/** The server of mounts: opens devices, mounts, and serves them all from the thread that it was made in. */
import { constants, openSync } from 'node:fs';
import { FsError } from '../../base/index.ts';
import { createKernel, type Kernel, MS_NODEV, MS_NOSUID, MS_RDONLY } from '../../sys/index.ts';
import type { Tree } from '../../store/index.ts';
import { BlockingCalls } from './blocking-calls.ts';
import type { OnDefect } from './dispatch.ts';
import type { Mount, MountOptions, MountServer } from './mount-server.ts';
import { type MountParts, MountedTree } from './mounted-tree.ts';
import { MAX_WRITE_BYTES } from './negotiation.ts';
import { Reply } from './reply.ts';
import { Request } from './request.ts';
import { ServingLoop } from './serving-loop.ts';
import { Session } from './session.ts';
import { spaceCounter } from './space.ts';

const DEVICE = '/dev/fuse';
const TYPE = 'fuse.ramet';
/** A request or an answer: the most that READ and WRITE move, and what stands before it. */
const MESSAGE_BYTES = MAX_WRITE_BYTES + 4096;
/** Bytes that stand before those of a WRITE: these lie at a multiple of 64 then, from where they are copied fastest. */
const WRITE_HEAD_BYTES = 80;
const READ_HEAD_BYTES = 16;

export interface MountServerOptions {
  /** Whether the process has work that it does between its events; it is then not kept waiting. */
  readonly hasWork?: () => boolean;
  /** Told of defects: an operation that failed with something that is no error of a filesystem. */
  readonly onDefect?: OnDefect;
}

/** ENOSYS where this process cannot serve mounts: another platform than Linux, or no libc. */
export function createMountServer(options: MountServerOptions = {}): MountServer {
  const kernel = createKernel();
  if (kernel instanceof Error)
    throw new FsError('ENOSYS', { syscall: 'mount', note: `mounts cannot be served here: ${kernel.message}` });
  return new Server(kernel, options);
}

class Server implements MountServer {
  private readonly parts: MountParts;
  private readonly mounted = new Set<MountedTree>();
  private prepared: Promise<void> | undefined;

  constructor(kernel: Kernel, options: MountServerOptions) {
    const request = new Request(messageBuffer(kernel, WRITE_HEAD_BYTES));
    const reply = new Reply(messageBuffer(kernel, READ_HEAD_BYTES));
    this.parts = {
      kernel,
      loop: new ServingLoop(kernel, options.hasWork ?? (() => false)),
      blocking: new BlockingCalls(),
      request,
      reply,
      requestAddress: kernel.addressOf(request.bytes),
      replyAddress: kernel.addressOf(reply.bytes),
      onDefect: options.onDefect ?? raise,
    };
  }

  get mounts(): readonly Mount[] {
    return [...this.mounted];
  }

  async mount(tree: Tree, directory: string, options: MountOptions = {}): Promise<Mount> {
    if ([...this.mounted].some((mount) => mount.directory === directory))
      throw new FsError('EBUSY', { syscall: 'mount', path: directory, note: 'a tree is mounted there' });
    this.prepared ??= this.parts.loop.prepare();
    await this.prepared;
    const device = openDevice();
    const session = new Session(tree.fileSystem, {
      io: options.io ?? 'cached',
      space: spaceCounter(tree.stack.blobs.directory),
    });
    const mount = new MountedTree(this.parts, tree, directory, session, device, (ended) =>
      this.mounted.delete(ended),
    );
    this.mounted.add(mount);
    try {
      await this.parts.blocking.run({
        kind: 'mount',
        source: options.source ?? `ramet:${tree.info.name}`,
        directory,
        type: TYPE,
        flags: MS_NOSUID | MS_NODEV | (tree.isReadOnly ? MS_RDONLY : 0),
        options: mountOptions(device, options),
      });
    } catch (error) {
      mount.end();
      throw error;
    }
    mount.begin();
    return mount;
  }

  async close(): Promise<void> {
    for (const mount of [...this.mounted]) await unmountSomehow(mount);
    await this.parts.blocking.close();
  }
}

async function unmountSomehow(mount: MountedTree): Promise<void> {
  try {
    await mount.unmount();
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    await mount.unmount({ isLazy: true });
    mount.end();
  }
}

function raise(error: unknown): void {
  // Nobody's promise: it ends the process, as a defect should, after the answer was sent.
  queueMicrotask(() => {
    throw error;
  });
}

/** A buffer whose bytes behind the first `headBytes` lie at a multiple of 64. */
function messageBuffer(kernel: Kernel, headBytes: number): Buffer {
  const memory = Buffer.allocUnsafeSlow(MESSAGE_BYTES + 128);
  const start = (64 - ((kernel.addressOf(memory) + headBytes) % 64)) % 64;
  return memory.subarray(start, start + MESSAGE_BYTES);
}

function openDevice(): number {
  try {
    return openSync(DEVICE, constants.O_RDWR | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isMissing = code === 'ENOENT' || code === 'ENXIO' || code === 'ENODEV';
    throw new FsError(isMissing ? 'ENODEV' : 'EACCES', {
      syscall: 'open',
      path: DEVICE,
      note: isMissing ? 'this kernel has no FUSE: load its module `fuse`' : 'it takes permission to use FUSE',
    });
  }
}

/** mount(8) options of the kernel's filesystem `fuse`: Documentation/filesystems/fuse/fuse.rst. */
function mountOptions(device: number, { allowOther = false }: MountOptions): string {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const options = [
    `fd=${device}`,
    'rootmode=40000',
    `user_id=${uid}`,
    `group_id=${gid}`,
    'default_permissions',
    `max_read=${MAX_WRITE_BYTES}`,
  ];
  return (allowOther ? [...options, 'allow_other'] : options).join(',');
}

