/**
 * The mounts of one owner: which tree is mounted where, for which clients, and for how long.
 *
 * A mount is *kept* until somebody unmounts it (`ramet mount`), or *held* by connections and unmounted after the last
 * of them (`ramet run`, the library), or both. The owner opens a tree before it mounts it, and closes it when the
 * kernel has let go of the mount, which after a lazy unmount may be much later. Changes of one tree's mount run one
 * after the other.
 *
 * When the kernel aborts the connection of a mount, the tree is closed, but the mount stays in place, so that no
 * program takes the directory under it for the tree. The owner unmounts an aborted mount at once if its directory is in
 * the store, else when somebody asks for that, or when the last holder of a mount that is not kept is gone.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { FsError, isFsError, whileBusy } from '../base/index.ts';
import type { Mount, MountServer } from '../fuse/index.ts';
import type { StoreEngine, Tree } from '../store/index.ts';
import { mountNamespace, placesBelow } from '../sys/index.ts';
import type { Logger } from './log.ts';
import { describeMountFailure } from './mount-point.ts';
import { processesIn, processesWithMount, programsText } from './mount-users.ts';
import type { OwnerPlace } from './owner-place.ts';
import { type MountParameters, type MountRecord, mountSource, type UnmountReport } from './protocol.ts';
import { Queues } from './queues.ts';

/**
 * How long an unmount waits for the kernel to let go of the mount. If the kernel takes longer, programs still use the
 * mount.
 */
const END_WAIT_MS = 1_000;

/** If an aborted mount cannot be unmounted, the owner tries again after this long, then after twice that, and so on. */
const RETRY_MS = 100;
const RETRY_MS_MAX = 60_000;

/** A connection that holds a mount. */
export interface Holder {
  readonly pid: number;
  /** True once the connection is closed: `releaseAll` has been called, or will be. */
  readonly isGone: boolean;
}

interface Entry {
  readonly fork: string;
  readonly tree: Tree;
  readonly mount: Mount;
  readonly since: string;
  readonly holders: Set<Holder>;
  isKept: boolean;
  isDetached: boolean;
  /** True if the mount table made the mount point; then it also removes the mount point after the mount. */
  readonly isOwnDirectory: boolean;
}

export interface MountTableParts {
  readonly engine: StoreEngine;
  /** Called when the first tree is mounted. */
  readonly createServer: () => MountServer;
  readonly place: OwnerPlace;
  readonly logger: Logger;
  /** Called when the last mount is gone. */
  readonly onEmpty: () => void;
}

export class MountTable {
  private readonly parts: MountTableParts;
  private readonly entries = new Map<string, Entry>();
  private readonly aborted = new Set<Entry>();
  private readonly queues = new Queues();
  private server: MountServer | undefined;
  private isClosing = false;

  constructor(parts: MountTableParts) {
    this.parts = parts;
  }

  get size(): number {
    return this.entries.size;
  }

  records(): MountRecord[] {
    return [...this.entries.values()].map(recordOf);
  }

  /** The open tree of a mounted fork; undefined if the fork is not mounted. */
  treeOf(fork: string): Tree | undefined {
    return this.entries.get(fork)?.tree;
  }

  /** Brings what programs have stored through memory maps into the tree of `fork`, if the fork is mounted. */
  async sync(fork: string): Promise<void> {
    const entry = this.entries.get(fork);
    // There is no way to ask the kernel about a detached mount.
    if (entry !== undefined && !entry.isDetached) await entry.mount.sync();
  }

  /**
   * Mounts a tree. EBUSY (the tree is mounted already or open elsewhere, or `directory` lies in the store or has
   * another tree mounted on it), ENOENT (no such tree), and the errors of the mount server.
   */
  mount(parameters: MountParameters, holder: Holder): Promise<MountRecord> {
    const { fork, directory, isHeld = false } = parameters;
    return this.queues.run(fork, async () => {
      this.requireFree(fork);
      const other = this.entryAt(directory);
      if (other !== undefined) {
        throw new FsError('EBUSY', {
          syscall: 'mount',
          path: directory,
          note: `'${other.fork}' is mounted there: unmount it, or choose another directory`,
        });
      }
      const entry = await this.add(parameters, !isHeld, false);
      if (isHeld) await this.holdFor(entry, holder);
      return recordOf(entry);
    });
  }

  /**
   * Makes `holder` hold a mount of `fork`: the existing one, or a new one in a directory of the store. EBUSY if the
   * existing mount has another `io`, or was unmounted and is still in use.
   */
  hold(
    fork: string,
    { io, noAtime }: Pick<MountParameters, 'io' | 'noAtime'>,
    holder: Holder,
  ): Promise<MountRecord> {
    return this.queues.run(fork, async () => {
      let entry = this.entries.get(fork);
      if (entry === undefined) {
        const { place } = this.parts;
        const directory = place.mountPath(fork);
        const aborted = [...this.aborted].find((entry) => entry.mount.directory === directory);
        if (aborted !== undefined) await this.takeAway(aborted);
        // Fails with ENOENT if the tree does not exist, so that no directory is made for it.
        this.parts.engine.info(fork, 'mount');
        place.makeMountPoint(fork);
        entry = await this.add({ fork, directory, io, noAtime }, false, true);
      } else if (entry.isDetached) {
        this.requireFree(fork);
      } else if (io !== undefined && io !== entry.mount.io) {
        throw new FsError('EBUSY', {
          syscall: 'mount',
          path: fork,
          note: `it is mounted at ${entry.mount.directory} with --io ${entry.mount.io}: use that mode, or unmount it`,
        });
      }
      await this.holdFor(entry, holder);
      return recordOf(entry);
    });
  }

  /** Makes `holder` hold a mount. Gives the mount up if the client went away while its tree was being mounted. */
  private async holdFor(entry: Entry, holder: Holder): Promise<void> {
    if (holder.isGone) await this.giveUp(entry);
    else entry.holders.add(holder);
  }

  private requireFree(fork: string): void {
    if (this.isClosing) {
      throw new FsError('EBUSY', { syscall: 'mount', path: fork, note: 'the owner process is ending' });
    }
    const entry = this.entries.get(fork);
    if (entry === undefined) return;
    const { directory } = entry.mount;
    throw new FsError('EBUSY', {
      syscall: 'mount',
      path: fork,
      note: entry.isDetached
        ? `it was unmounted from ${directory} and ${programsText(usersOf(entry))} still use it: end them first`
        : `it is mounted at ${directory}: use it there, or unmount it first with \`ramet umount\``,
    });
  }

  /** EBUSY for a directory in the store, because a mount there would make this process wait for itself. */
  private requireOutside(directory: string): void {
    const store = this.parts.place.shownDirectory;
    if (!`${directory}/`.startsWith(`${store}/`)) return;
    const note = 'it lies in the store: choose another directory';
    throw new FsError('EBUSY', { syscall: 'mount', path: directory, note });
  }

  private entryAt(directory: string): Entry | undefined {
    return [...this.entries.values()].find(
      ({ mount, isDetached }) => mount.directory === directory && !isDetached,
    );
  }

  private async add(parameters: MountParameters, isKept: boolean, isOwnDirectory: boolean): Promise<Entry> {
    const { fork, directory, io, allowOther, noAtime } = parameters;
    if (!isOwnDirectory) this.requireOutside(directory);
    const tree = await this.openPatiently(fork);
    let mount: Mount;
    try {
      this.server ??= this.parts.createServer();
      mount = await this.server.mount(tree, directory, {
        io: io ?? 'cached',
        allowOther: allowOther ?? false,
        noAtime: noAtime ?? false,
        source: mountSource(fork),
      });
    } catch (error) {
      tree.close();
      throw describeMountFailure(error, fork, directory);
    }
    const entry: Entry = {
      fork,
      tree,
      mount,
      since: new Date().toISOString(),
      holders: new Set(),
      isKept,
      isDetached: false,
      isOwnDirectory,
    };
    this.entries.set(fork, entry);
    void mount.ended.then(() => this.forget(entry));
    this.parts.logger.info({ fork, directory, io: mount.io }, 'mounted');
    return entry;
  }

  /** Opens a tree. Waits a little while another process has the fork open; EBUSY if that lasts. */
  private async openPatiently(fork: string): Promise<Tree> {
    try {
      return await whileBusy(() => this.parts.engine.openTree(fork, false));
    } catch (error) {
      if (!isFsError(error)) throw error;
      if (error.code === 'EBUSY') throw busyElsewhere(fork, error);
      throw error.in({ syscall: 'mount', path: error.path ?? fork });
    }
  }

  private forget(entry: Entry): void {
    const { fork } = entry;
    if (this.entries.get(fork) !== entry) return;
    this.entries.delete(fork);
    const { logger } = this.parts;
    const { directory, isAborted } = entry.mount;
    const isInPlace = isAborted && !entry.isDetached;
    try {
      entry.tree.close();
      if (isInPlace) logger.error({ fork, directory }, 'the mount was aborted: it no longer answers');
      else logger.info({ fork, directory }, 'unmounted');
    } catch (error) {
      // Every acknowledged operation is in the journal, and the next opener of the fork replays it.
      logger.error({ fork, err: error }, 'the tree could not be closed cleanly');
    }
    if (isInPlace) this.keepAborted(entry);
    else if (entry.isOwnDirectory) this.removeMountPoint(fork);
    if (this.entries.size === 0) this.parts.onEmpty();
  }

  private keepAborted(entry: Entry): void {
    this.aborted.add(entry);
    // Nobody but the holders uses a mount point in the store, and the next holder of the tree needs the place.
    if (entry.isOwnDirectory) void this.takeAwayPatiently(entry);
  }

  /** Unmounts an aborted mount; tries again until that succeeds, or the table is closed. */
  private async takeAwayPatiently(aborted: Entry): Promise<void> {
    const { fork, mount } = aborted;
    for (let pauseMs = RETRY_MS; !this.isClosing; pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX)) {
      try {
        await this.queues.run(fork, () => this.takeAway(aborted));
        return;
      } catch (error) {
        const text = 'an aborted mount could not be taken away: it is tried again';
        this.parts.logger.error({ fork, directory: mount.directory, err: error }, text);
      }
      await pause(pauseMs, undefined, { ref: false });
    }
  }

  private async takeAway(aborted: Entry): Promise<void> {
    if (!this.aborted.has(aborted)) return;
    await aborted.mount.unmount({ isLazy: true });
    this.aborted.delete(aborted);
    if (aborted.isOwnDirectory && !this.entries.has(aborted.fork)) this.removeMountPoint(aborted.fork);
  }

  private removeMountPoint(fork: string): void {
    try {
      this.parts.place.removeMountPoint(fork);
    } catch (error) {
      this.parts.logger.warn({ fork, err: error }, 'the mount point could not be removed');
    }
  }

  /**
   * Unmounts the mount whose mount point or tree is `target`. EINVAL (there is no such mount), EBUSY unless `isLazy`
   * (programs use the mount, or somebody else holds it).
   */
  unmount(target: string, isLazy: boolean, holder: Holder): Promise<UnmountReport> {
    const fork = this.entryAt(target)?.fork ?? target;
    return this.queues.run(fork, async () => {
      const entry = this.entries.get(fork);
      if (entry === undefined) return await this.unmountAborted(target);
      const others = [...entry.holders].filter((other) => other !== holder);
      if (!isLazy && others.length > 0) {
        const pids = others.map(({ pid }) => pid).join(', ');
        throw new FsError('EBUSY', {
          syscall: 'umount',
          path: target,
          note: `process ${pids} works in it: end it, or use --lazy`,
        });
      }
      if (!entry.isDetached) await this.detach(entry, isLazy, target);
      return await this.reportOf(entry);
    });
  }

  private async unmountAborted(target: string): Promise<UnmountReport> {
    const all = [...this.aborted];
    const aborted =
      all.find(({ mount }) => mount.directory === target) ?? all.find(({ fork }) => fork === target);
    if (aborted === undefined) {
      const note = 'nothing of this store is mounted there: `ramet ls --mounts` lists what is';
      throw new FsError('EINVAL', { syscall: 'umount', path: target, note });
    }
    await this.takeAway(aborted);
    return { fork: aborted.fork, directory: aborted.mount.directory, isStillUsed: false, users: [] };
  }

  /**
   * Waits until the kernel lets go of an unmounted mount, for END_WAIT_MS at most. If the kernel does, the tree is
   * closed when this returns; otherwise the report says which processes still use the mount.
   */
  private async reportOf(entry: Entry): Promise<UnmountReport> {
    const { fork, mount } = entry;
    await Promise.race([mount.ended, pause(END_WAIT_MS, undefined, { ref: false })]);
    const isStillUsed = this.entries.get(fork) === entry;
    const users = isStillUsed ? usersOf(entry) : [];
    return { fork, directory: mount.directory, isStillUsed, users };
  }

  /** Returns when the mount point is free. The kernel may let go of the mount much later: see `reportOf`. */
  private async detach(entry: Entry, isLazy: boolean, shown: string): Promise<void> {
    try {
      await entry.mount.unmount({ isLazy });
    } catch (error) {
      if (!isFsError(error)) throw error;
      const note = error.note ?? (error.code === 'EBUSY' ? busyNote(entry.mount) : undefined);
      throw error.in({ syscall: 'umount', path: shown, note });
    }
    entry.isDetached = true;
  }

  /** Ends the hold of `holder` on a tree. Undefined when the tree stays mounted, or `holder` did not hold it. */
  release(fork: string, holder: Holder): Promise<UnmountReport | undefined> {
    return this.queues.run(fork, async () => {
      const entry = this.entries.get(fork);
      if (entry === undefined || !entry.holders.delete(holder)) return undefined;
      return await this.giveUp(entry);
    });
  }

  /** Ends all holds of a client that is gone. */
  async releaseAll(holder: Holder): Promise<void> {
    for (const { fork, holders } of [...this.entries.values()]) {
      if (holders.has(holder)) await this.release(fork, holder);
    }
    for (const aborted of this.aborted) {
      const { holders, isKept } = aborted;
      if (holders.delete(holder) && holders.size === 0 && !isKept) void this.takeAwayPatiently(aborted);
    }
  }

  /** Unmounts a mount that nobody keeps or holds, lazily if it is busy. Undefined if somebody does. */
  private async giveUp(entry: Entry): Promise<UnmountReport | undefined> {
    const { fork } = entry;
    const isWanted = entry.isKept || entry.holders.size > 0 || entry.isDetached;
    if (isWanted || this.entries.get(fork) !== entry) return undefined;
    try {
      await this.detach(entry, false, fork);
    } catch (error) {
      if (!isFsError(error, 'EBUSY')) throw error;
      await this.detach(entry, true, fork);
    }
    return await this.reportOf(entry);
  }

  /** Unmounts everything, busy mounts lazily, and closes the trees. */
  async close(): Promise<void> {
    this.isClosing = true;
    try {
      await this.server?.close();
    } finally {
      for (const entry of [...this.entries.values()]) this.forget(entry);
    }
  }
}

function recordOf(entry: Entry): MountRecord {
  const { fork, mount, since, holders, isKept, isDetached } = entry;
  return {
    fork,
    directory: mount.directory,
    device: mount.deviceNumber,
    io: mount.io,
    since,
    pid: process.pid,
    mountNamespace: mountNamespace(),
    holders: [...holders].map(({ pid }) => pid),
    isKept,
    isDetached,
    users: isDetached ? usersOf(entry) : [],
  };
}

/** Ids of the processes that still use a detached mount. */
function usersOf({ mount: { deviceNumber } }: Entry): number[] {
  if (deviceNumber === undefined) return [];
  return [...new Set([...processesWithMount(deviceNumber), ...processesIn(deviceNumber)])];
}

/** Says why a mount is busy, and what to do. */
function busyNote({ directory, deviceNumber }: Mount): string {
  const inside = placesBelow(directory);
  if (inside.length > 0) return `${inside.join(', ')} is mounted in it: unmount that first, or use --lazy`;
  return `${programsText(deviceNumber === undefined ? [] : processesIn(deviceNumber))} use it: end them, or use --lazy`;
}

function busyElsewhere(fork: string, error: FsError): FsError {
  return new FsError('EBUSY', {
    syscall: 'mount',
    path: fork,
    note: `${error.note ?? 'another process has it open'}: close it there first`,
  });
}
