/** What is mounted where, by the names that Node has for directories, without asking any mount. */
import { mountsOf } from '../../sys/index.ts';

export interface MountedPlace {
  readonly directory: string;
  readonly isFuse: boolean;
  /** `major:minor`, the kernel's number of what is mounted. */
  readonly device: string;
}

/** What is mounted in a process's mount namespace; nothing where that cannot be told. */
export function mountedPlaces(process = 'self'): MountedPlace[] {
  return mountsOf(process).map(({ directory, type, device }) => ({
    directory: Buffer.from(directory, 'latin1').toString('utf8'),
    isFuse: /^fuse(?:\.|$)/.test(type),
    device,
  }));
}

/** The kernel's number of what is mounted at a directory, without looking at the directory. */
export function deviceMountedAt(directory: string): string | undefined {
  return mountedPlaces().findLast((place) => place.directory === directory)?.device;
}
