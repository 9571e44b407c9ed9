/** All synchronous calls of one NodeFs, gathered from the files that hold them by subject. */
import { BLOCK_SIZE } from '../base/index.ts';
import type { SpaceCounts } from '../vfs/index.ts';
import { AttributeCalls } from './attributes.ts';
import { ContentCalls } from './contents.ts';
import { CopyCalls } from './copying.ts';
import type { CoreFileSystem, NodeFsOptions } from './core.ts';
import type { Descriptors } from './descriptors.ts';
import { DirectoryCalls } from './directories.ts';
import { DirectoryHandleCalls } from './directory-handle.ts';
import { DescriptorCalls } from './files.ts';
import { LinkCalls } from './links.ts';
import { StreamCalls } from './streams.ts';
import { TreeCopyCalls } from './tree-copy.ts';

function noSpace(): SpaceCounts {
  return { type: 0, bsize: BLOCK_SIZE, blocks: 0, bfree: 0, bavail: 0, files: 0, ffree: 0 };
}

type Call = (...args: unknown[]) => unknown;

/** Calls under names of our own, which other forms are made of. */
const OTHER_CALLS: ReadonlySet<string> = new Set(['realpathNative', 'opendirNamed']);

/** Calls whose callback and promise forms do what the synchronous one does. */
export const SAME_IN_EVERY_FORM = [
  'access',
  'chmod',
  'chown',
  'copyFile',
  'lchown',
  'link',
  'lstat',
  'lutimes',
  'mkdir',
  'mkdtemp',
  'readdir',
  'readlink',
  'rename',
  'rm',
  'rmdir',
  'stat',
  'statfs',
  'symlink',
  'unlink',
  'utimes',
] as const;

export class SyncCalls {
  readonly descriptor: DescriptorCalls;
  readonly attributes: AttributeCalls;
  readonly streams = new StreamCalls();
  readonly trees: TreeCopyCalls;
  private readonly calls = new Map<string, Call>();

  constructor(fileSystem: CoreFileSystem, descriptors: Descriptors, options: NodeFsOptions) {
    this.descriptor = new DescriptorCalls(fileSystem, descriptors);
    this.attributes = new AttributeCalls(fileSystem, descriptors, options.countSpace ?? noSpace);
    const directories = new DirectoryCalls(fileSystem);
    const links = new LinkCalls(fileSystem);
    const copies = new CopyCalls(fileSystem);
    this.trees = new TreeCopyCalls(this.attributes, directories, links, copies);
    this.gather(this.descriptor, this.attributes, directories, links, copies, this.trees);
    this.gather(new ContentCalls(fileSystem, descriptors), new DirectoryHandleCalls(fileSystem));
  }

  /** Binds every call, so that `const { statSync } = fork.fs` works as it does with Node's. */
  private gather(...holders: object[]): void {
    for (const holder of holders) {
      for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(holder))) {
        const method: unknown = Reflect.get(holder, name);
        if (typeof method !== 'function' || !(name.endsWith('Sync') || OTHER_CALLS.has(name))) continue;
        // The literal gives a function its name: defineProperty would cost each of them a dictionary of 300 bytes.
        const bound = { [name]: (...args: unknown[]): unknown => method.apply(holder, args) };
        this.calls.set(name, bound[name]!);
      }
    }
  }

  byName(name: string): Call {
    const call = this.calls.get(name);
    if (call === undefined) throw new Error(`internal: there is no call ${name}`);
    return call;
  }

  /** Every `...Sync` call by name: the synchronous half of node:fs. */
  publicCalls(): Record<string, Call> {
    const named: Record<string, Call> = {};
    for (const [name, call] of this.calls) if (name.endsWith('Sync')) named[name] = call;
    return named;
  }
}
