/** What is mounted where, by the names that Node has for directories, without asking any mount. */
import { FsError } from '../../base/index.ts';
import { mountsOf } from '../../sys/index.ts';

export interface MountedPlace {
  readonly directory: string;
  readonly isFuse: boolean;
  /** `major:minor`, the kernel's number of what is mounted. */
  readonly device: string;
  /** Another one is mounted on top of it. */
  readonly isCovered: boolean;
}

/** What is mounted in a process's mount namespace; nothing where that cannot be told. */
export function mountedPlaces(process = 'self'): MountedPlace[] {
  return mountsOf(process).map(({ directory, type, device, isCovered }) => ({
    directory: Buffer.from(directory, 'latin1').toString('utf8'),
    isFuse: /^fuse(?:\.|$)/.test(type),
    device,
    isCovered,
  }));
}

/**
 * Where to unmount what has this number: at `directory` if it is there, else wherever it was moved to. Undefined where
 * it is mounted nowhere. EBUSY where another filesystem is mounted over it, which umount2(2) would take instead.
 */
export function placeToUnmount(device: string, directory: string): string | undefined {
  const places = mountedPlaces().filter((place) => place.device === device);
  const place = places.find((one) => one.directory === directory) ?? places[0];
  if (place === undefined) return undefined;
  if (deviceMountedAt(place.directory) === device) return place.directory;
  const note = 'another filesystem is mounted over it: unmount that first';
  throw new FsError('EBUSY', { syscall: 'umount', path: place.directory, note });
}

/** The kernel's number of what is mounted at a directory, without looking at the directory. */
export function deviceMountedAt(directory: string): string | undefined {
  return mountedPlaces().findLast((place) => place.directory === directory && !place.isCovered)?.device;
}
