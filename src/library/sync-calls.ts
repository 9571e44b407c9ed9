/** All synchronous calls of one NodeFs, gathered from the files that hold them by subject. */
import type { SpaceCounts, TreeFiles } from '../vfs/index.ts';
import { AttributeCalls } from './attributes.ts';
import type { Call } from './calls.ts';
import { ContentCalls } from './contents.ts';
import type { Descriptors } from './descriptors.ts';
import { DirectoryCalls } from './directories.ts';
import { DescriptorCalls } from './files.ts';
import { LinkCalls } from './links.ts';
import { TreeCopyCalls } from './tree-copy.ts';

/** Calls under names that node:fs does not have. They become `realpath.native` and asynchronous forms of calls. */
const OTHER_CALLS: ReadonlySet<string> = new Set(['realpathNative', 'opendirNamed']);

export class SyncCalls {
  readonly descriptor: DescriptorCalls;
  readonly attributes: AttributeCalls;
  readonly trees: TreeCopyCalls;
  private readonly calls = new Map<string, Call>();

  constructor(fileSystem: TreeFiles, descriptors: Descriptors, countSpace: () => SpaceCounts) {
    this.descriptor = new DescriptorCalls(fileSystem, descriptors);
    this.attributes = new AttributeCalls(fileSystem, descriptors, countSpace);
    const contents = new ContentCalls(fileSystem, descriptors);
    const directories = new DirectoryCalls(fileSystem, descriptors);
    const links = new LinkCalls(fileSystem, descriptors);
    this.trees = new TreeCopyCalls(this.attributes, contents, directories, links);
    for (const holder of [this.descriptor, this.attributes, contents, directories, links, this.trees]) {
      this.gather(holder);
    }
  }

  /** Binds every call, so that `const { statSync } = fork.fs` works as it does with Node's. */
  private gather(holder: object): void {
    for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(holder))) {
      const method: unknown = Reflect.get(holder, name);
      if (typeof method !== 'function' || !(name.endsWith('Sync') || OTHER_CALLS.has(name))) continue;
      // The literal gives the function its name; defineProperty would cost each function a dictionary of 300 bytes.
      const bound = { [name]: (...args: unknown[]): unknown => method.apply(holder, args) };
      this.calls.set(name, bound[name]!);
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

  /** Every `...Sync` call with the name of its callback and promise forms, which is without `Sync`. */
  *forms(): Generator<[name: string, call: Call]> {
    for (const [name, call] of Object.entries(this.publicCalls()))
      yield [name.slice(0, -'Sync'.length), call];
  }
}
