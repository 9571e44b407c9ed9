/**
 * The trees of a store that its owner has mounted, for every other process: which they are, their files through the
 * mount point, and what is done with them as a whole through the owner.
 */
import { isFsError } from '../base/index.ts';
import type { TreeInfo } from '../store/index.ts';
import type { System } from '../sys/index.ts';
import { OwnerClient } from './client.ts';
import { requireSeenHere } from './mount-here.ts';
import { MountedFileSystem } from './mounted-file-system.ts';
import type { MountRecord } from './protocol.ts';

let clonesMade = 0;
/** Names that are sure to fit into one request. */
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

  /** The owner, if one runs. It is looked for again as long as there is none. */
  private async client(): Promise<OwnerClient | undefined> {
    this.owner ??= OwnerClient.connect(this.storeDirectory);
    const client = await this.owner;
    if (client === undefined) this.owner = undefined;
    return client;
  }

  async list(): Promise<readonly MountRecord[]> {
    const client = await this.client();
    return client === undefined ? [] : await client.request('mounts', {});
  }

  async find(name: string): Promise<MountRecord | undefined> {
    return (await this.list()).find(({ fork }) => fork === name);
  }

  /** The files of a mounted tree. Keeps the mount busy until `end`. ENOTSUP where it is not seen here, ENOTCONN. */
  open(mount: MountRecord, isReadOnly: boolean): MountedFileSystem {
    requireSeenHere('open', mount);
    return new MountedFileSystem(this.system, mount.directory, isReadOnly);
  }

  /** A fork of a mounted tree as it is now. EINVAL, EEXIST, ENOENT. */
  async fork(mount: MountRecord, name: string): Promise<TreeInfo> {
    return await (await this.required()).request('fork', { source: mount.fork, name });
  }

  /** A snapshot of a mounted tree as it is now. EINVAL, EEXIST, ENOENT. */
  async snapshot(mount: MountRecord, name: string): Promise<TreeInfo> {
    return await (await this.required()).request('snapshot', { source: mount.fork, name });
  }

  /** Brings all of these trees that are mounted into the tables as they are now; returns which those are. */
  async settle(names: ReadonlySet<string>): Promise<ReadonlySet<string>> {
    return await this.ask('settle', (fork) => names.has(fork));
  }

  /** Freezes the mounted trees among these (without `names`, all mounted trees); returns which those are. */
  async freeze(names: readonly string[] | undefined): Promise<ReadonlySet<string>> {
    return await this.ask('freeze', (fork) => names === undefined || names.includes(fork));
  }

  /** Asks the owner to do this to the mounted trees that `takes` accepts; returns which those are. */
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
   * Makes `path` of a mounted tree, where there is nothing, a file that shares the blocks of a file of any tree.
   * False, and nothing was made, where blocks cannot be shared, or another process has that tree open.
   */
  async clone(source: string, sourcePath: string, files: MountedFileSystem, path: string): Promise<boolean> {
    const target = await this.treeAt(files.directory);
    if (target === undefined) return false;
    const slash = path.lastIndexOf('/');
    // A name that the kernel has not looked up: it is told of the file by the rename.
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
