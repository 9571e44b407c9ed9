/**
 * The mounted trees of a store, for processes other than its owner: lists them, opens their files through the mount
 * point, and asks the owner for operations on whole trees.
 */
import { isFsError } from '../base/index.ts';
import type { TreeInfo } from '../store/index.ts';
import type { System } from '../sys/index.ts';
import { OwnerClient } from './client.ts';
import { requireSeenHere } from './mount-here.ts';
import { MountedFileSystem } from './mounted-file-system.ts';
import type { MountRecord } from './protocol.ts';

let clonesMade = 0;
/** Number of names in one request; this many always fit. */
const FORKS_A_REQUEST = 32;

export class MountedTrees {
  private readonly storeDirectory: string;
  private readonly system: System;
  private owner: Promise<OwnerClient | undefined> | undefined;
  private lastTarget: MountRecord | undefined;

  constructor(storeDirectory: string, system: System) {
    this.storeDirectory = storeDirectory;
    this.system = system;
  }

  /** The connection to the owner; undefined if no owner runs, and then the next call looks again. */
  private async client(): Promise<OwnerClient | undefined> {
    this.owner ??= OwnerClient.connect(this.storeDirectory);
    const client = await this.owner;
    if (client === undefined) this.owner = undefined;
    return client;
  }

  async list(): Promise<readonly MountRecord[]> {
    const client = await this.client();
    const mounts = client === undefined ? [] : await client.request('mounts', {});
    // An owner that an earlier build started does not tell the users of a mount.
    return mounts.map((mount) => ({ ...mount, users: mount.users ?? [] }));
  }

  async find(name: string): Promise<MountRecord | undefined> {
    return (await this.list()).find(({ fork }) => fork === name);
  }

  /**
   * The files of a mounted tree. The mount is busy until `end` is called on them. Errors: those of `requireSeenHere`
   * and of open(2).
   */
  open(mount: MountRecord, isReadOnly: boolean): MountedFileSystem {
    requireSeenHere('open', mount);
    return new MountedFileSystem(this.system, mount, isReadOnly);
  }

  /** Makes a fork `name` of a mounted tree as it is now. EINVAL, EEXIST, ENOENT. */
  async fork(mount: MountRecord, name: string): Promise<TreeInfo> {
    return await (await this.required()).request('fork', { source: mount.fork, name });
  }

  /** Makes a snapshot `name` of a mounted tree as it is now. EINVAL, EEXIST, ENOENT. */
  async snapshot(mount: MountRecord, name: string): Promise<TreeInfo> {
    return await (await this.required()).request('snapshot', { source: mount.fork, name });
  }

  /** Asks the owner to checkpoint those trees of `names` that are mounted. Returns their names. */
  async settle(names: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    return await this.ask('settle', (fork) => names.has(fork));
  }

  /** Asks the owner to freeze those trees of `names` (default: all) that are mounted. Returns their names. */
  async freeze(names: readonly string[] | undefined): Promise<ReadonlySet<string>> {
    return await this.ask('freeze', (fork) => names === undefined || names.includes(fork));
  }

  /** Asks the owner for an operation on the mounted trees that `takes` accepts, and returns their names. */
  private async ask(
    operation: 'settle' | 'freeze',
    takes: (fork: string) => boolean,
  ): Promise<ReadonlySet<string>> {
    const forks = (await this.list()).map(({ fork }) => fork).filter(takes);
    for (let from = 0; from < forks.length; from += FORKS_A_REQUEST) {
      const some = forks.slice(from, from + FORKS_A_REQUEST);
      await (await this.required()).request(operation, { forks: some });
    }
    return new Set(forks);
  }

  /**
   * Creates `path`, which must not exist, in a mounted tree, as a file that shares the blocks of a file of any tree.
   * Returns false, and creates nothing, if blocks cannot be shared or another process has the source tree open.
   */
  async clone(source: string, sourcePath: string, files: MountedFileSystem, path: string): Promise<boolean> {
    const target = await this.treeAt(files.directory);
    if (target === undefined) return false;
    const slash = path.lastIndexOf('/');
    // The owner makes the file under a name that the kernel has not looked up; the rename makes it known to the kernel.
    const targetPath = `${path.slice(0, slash + 1)}.ramet-${process.pid}-${clonesMade++}`;
    try {
      const client = await this.required();
      await client.request('clone', { source, sourcePath, target, targetPath });
    } catch (error) {
      if (isFsError(error, 'EXDEV') || isFsError(error, 'EBUSY')) return false;
      throw error;
    }
    try {
      files.rename(targetPath, path);
      return true;
    } catch (error) {
      files.unlink(targetPath);
      throw error;
    }
  }

  private async treeAt(directory: string): Promise<string | undefined> {
    if (this.lastTarget?.directory !== directory) {
      this.lastTarget = (await this.list()).find((mount) => mount.directory === directory);
    }
    return this.lastTarget?.fork;
  }

  private async required(): Promise<OwnerClient> {
    return (await this.client()) ?? (await OwnerClient.connectOrStart(this.storeDirectory));
  }

  async close(): Promise<void> {
    (await this.owner)?.close();
    this.owner = undefined;
  }
}
