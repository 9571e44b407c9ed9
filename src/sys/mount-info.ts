/**
 * Lists what is mounted where, from the kernel's table, without a call to any mounted filesystem:
 * proc_pid_mountinfo(5).
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { FsError } from '../base/index.ts';

export interface MountInfo {
  readonly id: number;
  /** The id of the mount that holds the mount point. */
  readonly parent: number;
  /** The mount point: an absolute path, a byte string. */
  readonly directory: string;
  /** The type of the filesystem, for example `ext4` or `fuse.sshfs`. */
  readonly type: string;
  /** `major:minor`, the kernel's device number of the mounted filesystem. */
  readonly device: string;
  /** The device or directory that the mounting program named: a byte string. */
  readonly source: string;
  /** Mount options of the filesystem, a byte string: for example `rw,lowerdir=/a:/b`. */
  readonly options: string;
  /** True if another mount lies on top of this mount. */
  readonly isCovered: boolean;
}

/**
 * Undoes the escapes of proc(5), which writes spaces, tabs, newlines and backslashes as a backslash and three octal
 * digits.
 */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/**
 * The mounts of a process's mount namespace; none where the table cannot be read. They are mostly in the order in which
 * they were made; moving a mount does not change its position.
 */
export function mountsOf(process = 'self'): MountInfo[] {
  let table: string;
  try {
    table = readFileSync(`/proc/${process}/mountinfo`, 'latin1');
  } catch {
    return [];
  }
  const lines = table.split('\n').map((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [id = '', parent = '', device = '', , directory = ''] = before.split(' ');
    const [type = '', source = '', options = ''] = after.split(' ');
    return { id, parent, device, directory, type, source, options };
  });
  // A mount lies on top of another mount if that is its parent and has the same directory. The first mount of all is
  // its own parent, so leave it out.
  const others = lines.filter(({ id, parent }) => id !== parent);
  const covered = new Set(others.map(({ parent, directory }) => `${parent} ${directory}`));
  return lines
    .filter(({ directory }) => directory !== '')
    .map(({ id, parent, directory, type, device, source, options }) => ({
      id: Number(id),
      parent: Number(parent),
      directory: unescaped(directory),
      type,
      device,
      source: unescaped(source),
      options: unescaped(options),
      isCovered: covered.has(`${id} ${directory}`),
    }));
}

/**
 * The mounts that a walk along an absolute path without symlinks (a byte string) leads through, from the root mount to
 * the mount that holds the path; path_resolution(7).
 */
export function mountsOnWay(mounts: readonly MountInfo[], path: string): MountInfo[] {
  const ids = new Set(mounts.map(({ id }) => id));
  const onWay = mounts.filter(({ directory }) => isAbove(directory, path));
  const way: MountInfo[] = [];
  let next = onWay.find(({ id, parent }) => id === parent || !ids.has(parent));
  while (next !== undefined) {
    const here = next;
    way.push(here);
    // Take the child mount nearest to the root. There is only one, since a mount cannot have two child mounts at one
    // directory.
    next = onWay
      .filter(({ id, parent }) => parent === here.id && id !== here.id)
      .sort((a, b) => a.directory.length - b.directory.length)[0];
  }
  return way;
}

/** Whether the path is the directory or lies below it. */
function isAbove(directory: string, path: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`);
}

/** Identifies this process's mount namespace, mount_namespaces(7); empty where it cannot be read. */
export function mountNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/mnt');
  } catch {
    return '';
  }
}

/** A mount, with its path as a string of Node.js instead of a byte string. */
interface MountedPlace extends Pick<MountInfo, 'directory' | 'device' | 'isCovered'> {
  readonly isFuse: boolean;
}

/** Like `mountsOf`, with paths as strings of Node.js. */
export function mountedPlaces(process = 'self'): MountedPlace[] {
  return mountsOf(process).map(({ directory, type, device, isCovered }) => ({
    directory: Buffer.from(directory, 'latin1').toString('utf8'),
    isFuse: /^fuse(?:\.|$)/.test(type),
    device,
    isCovered,
  }));
}

/**
 * The directory at which the device with this number is mounted: `directory` if it is mounted there, else the place to
 * which the mount was moved. Undefined where the device is not mounted. EBUSY where another filesystem is mounted over
 * the device, because calls would reach the other one. Without a `device`, simply `directory`.
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

/** The number of the device whose mount is uppermost at a directory; undefined if nothing is mounted there. */
export function deviceMountedAt(directory: string): string | undefined {
  return mountedPlaces().findLast((place) => place.directory === directory && !place.isCovered)?.device;
}

/** The mount points below a directory. */
export function placesBelow(directory: string): string[] {
  return mountedPlaces()
    .map((place) => place.directory)
    .filter((place) => place.startsWith(`${directory}/`));
}
