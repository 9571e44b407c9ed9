/** A mount server without a kernel: records requests, and is busy or fails as a test wants. */
import { FsError } from '../../src/base/index.ts';
import type { IoMode, Mount, MountServer, ServeOptions } from '../../src/fuse/index.ts';
import type { Tree } from '../../src/store/index.ts';

export class FakeMount implements Mount {
  readonly tree: Tree;
  readonly directory: string;
  readonly io: IoMode;
  readonly options: ServeOptions;
  readonly deviceNumber = undefined;
  readonly nodeCount = 0;
  readonly ended: Promise<void>;
  isAborted = false;
  /** Programs use it: only a lazy unmount succeeds, and it does not end. */
  isBusy = false;
  /** How it was unmounted: false for each ordinary try, true for each lazy one. */
  readonly unmounts: boolean[] = [];
  syncs = 0;
  private noteEnd: () => void = () => undefined;

  constructor(tree: Tree, directory: string, options: ServeOptions) {
    this.tree = tree;
    this.directory = directory;
    this.io = options.io ?? 'cached';
    this.options = options;
    this.ended = new Promise((resolve) => {
      this.noteEnd = resolve;
    });
  }

  async sync(): Promise<void> {
    this.syncs++;
  }

  async unmount({ isLazy = false }: { readonly isLazy?: boolean } = {}): Promise<void> {
    this.unmounts.push(isLazy);
    if (this.isBusy && !isLazy) throw new FsError('EBUSY', { syscall: 'umount2', path: this.directory });
    if (!this.isBusy) this.noteEnd();
  }

  /** Somebody, or the watchdog, aborts its connection. */
  abort(): void {
    this.isAborted = true;
    this.noteEnd();
  }

  /** The last program lets go. */
  end(): void {
    this.noteEnd();
  }
}

export class FakeMountServer implements MountServer {
  readonly mounts: FakeMount[] = [];
  /** What the next mount fails with. */
  failure: Error | undefined;
  /** What a mount waits for before it is there. */
  delay: Promise<void> = Promise.resolve();
  isClosed = false;

  async mount(tree: Tree, directory: string, options: ServeOptions = {}): Promise<Mount> {
    await this.delay;
    const { failure } = this;
    this.failure = undefined;
    if (failure !== undefined) throw failure;
    const mount = new FakeMount(tree, directory, options);
    this.mounts.push(mount);
    return mount;
  }

  async trim(): Promise<void> {
    // There is nothing to give back.
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const mount of this.mounts) mount.end();
  }
}
