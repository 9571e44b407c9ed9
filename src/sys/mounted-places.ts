/** What is mounted where, by the paths that Node uses, without asking any mount. */
import { FsError } from '../base/index.ts';
import { mountsOf } from './mount-info.ts';

export interface MountedPlace {
  readonly directory: string;
  readonly isFuse: boolean;
  /** `major:minor`, the kernel's number of the mounted device. */
  readonly device: string;
  /** Another one is mounted on top of it. */
  readonly isCovered: boolean;
}

/** What is mounted in a process's mount namespace; empty where that is unknown. */
export function mountedPlaces(process = 'self'): MountedPlace[] {
  return mountsOf(process).map(({ directory, type, device, isCovered }) => ({
    directory: Buffer.from(directory, 'latin1').toString('utf8'),
    isFuse: /^fuse(?:\.|$)/.test(type),
    device,
    isCovered,
  }));
}

/**
 * Where the device of this number is mounted: at `directory` if it is there, else wherever it was moved to. Undefined
 * where it is mounted nowhere. EBUSY where another filesystem is mounted over it, which a call would meet instead.
 */
export function placeOf(device: string | undefined, directory: string, syscall: string): string | undefined {
  if (device === undefined) return directory;
  const places = mountedPlaces().filter((place) => place.device === device);
  const place = places.find((one) => one.directory === directory) ?? places[0];
  if (place === undefined) return undefined;
  if (deviceMountedAt(place.directory) === device) return place.directory;
  const note = 'another filesystem is mounted over it: unmount that first';
  throw new FsError('EBUSY', { syscall, path: place.directory, note });
}

/** The kernel's number of the device that is mounted at a directory, without looking at the directory. */
export function deviceMountedAt(directory: string): string | undefined {
  return mountedPlaces().findLast((place) => place.directory === directory && !place.isCovered)?.device;
}

/** Where something is mounted below a directory. */
export function placesBelow(directory: string): string[] {
  return mountedPlaces()
    .map((place) => place.directory)
    .filter((place) => place.startsWith(`${directory}/`));
}
