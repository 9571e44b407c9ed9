/**
 * Mounts whose connection was aborted: their trees are closed, and they stay where they are, so that nobody takes the
 * directory below for the tree. They go when somebody unmounts them, or when nobody holds them any more that held them.
 */
import type { Mount } from '../fuse/index.ts';

export interface AbortedMount<Holder> {
  readonly fork: string;
  readonly mount: Mount;
  readonly holders: Set<Holder>;
  /** It stays also when its holders are gone. */
  readonly isKept: boolean;
}

export class AbortedMounts<Holder> {
  private readonly mounts = new Set<AbortedMount<Holder>>();

  add(mount: AbortedMount<Holder>): void {
    this.mounts.add(mount);
  }

  /** By its mount point, or by its tree. */
  find(target: string): AbortedMount<Holder> | undefined {
    const mounts = [...this.mounts];
    return (
      mounts.find(({ mount }) => mount.directory === target) ?? mounts.find(({ fork }) => fork === target)
    );
  }

  async takeAway(aborted: AbortedMount<Holder>): Promise<void> {
    await aborted.mount.unmount({ isLazy: true });
    this.mounts.delete(aborted);
  }

  /** The holder is gone. */
  async release(holder: Holder): Promise<void> {
    for (const aborted of [...this.mounts]) {
      const { holders, isKept } = aborted;
      if (holders.delete(holder) && holders.size === 0 && !isKept) await this.takeAway(aborted);
    }
  }
}
