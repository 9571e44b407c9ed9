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
  /** Programs use the mount: only a lazy unmount succeeds, and the mount does not end by it. */
  isBusy = false;
  /** One entry for each call of `unmount`: whether it was lazy. */
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

  /** Simulates an abort of the connection, by the watchdog or by a person. */
  abort(): void {
    this.isAborted = true;
    this.noteEnd();
  }

  /** Simulates that the last program has closed its files. */
  end(): void {
    this.noteEnd();
  }
}

export class FakeMountServer implements MountServer {
  readonly mounts: FakeMount[] = [];
  /** The error of the next call of `mount`. */
  failure: Error | undefined;
  /** Each call of `mount` waits for this. */
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
    // A fake mount holds nothing to give back.
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const mount of this.mounts) mount.end();
  }
}
