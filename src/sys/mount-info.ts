/** What is mounted where, as the kernel tells it, without asking any mount: proc_pid_mountinfo(5). */
import { readFileSync, readlinkSync } from 'node:fs';

export interface MountInfo {
  readonly id: number;
  /** The mount that it is mounted in. */
  readonly parent: number;
  /** The mount point: an absolute path, a byte string. */
  readonly directory: string;
  /** Of the filesystem, for example `ext4` or `fuse.sshfs`. */
  readonly type: string;
  /** `major:minor`, the kernel's number of what is mounted. */
  readonly device: string;
  /** What is mounted, as the mounting program named it: a byte string. */
  readonly source: string;
  /** What the filesystem was told when it was mounted, a byte string: for example `rw,lowerdir=/a:/b`. */
  readonly options: string;
  /** Another one is mounted on top of it. */
  readonly isCovered: boolean;
}

/** proc(5): spaces, tabs, newlines and backslashes are written as a backslash and three octal digits. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/**
 * The mounts of a process's mount namespace, mostly in the order in which they were made; none where that cannot be
 * told. What was moved on top of another stands where it stood before.
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
  // What is on top of a mount is mounted in it, at its root. The first mount of all is its own parent.
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
 * The mounts that a walk along an absolute path without symlinks (a byte string) leads through, from the root's to the
 * one that the path lies on; path_resolution(7).
 */
export function mountsOnWay(mounts: readonly MountInfo[], path: string): MountInfo[] {
  const ids = new Set(mounts.map(({ id }) => id));
  const onWay = mounts.filter(({ directory }) => isAbove(directory, path));
  const way: MountInfo[] = [];
  let next = onWay.find(({ id, parent }) => id === parent || !ids.has(parent));
  while (next !== undefined) {
    const here = next;
    way.push(here);
    // The one that is met first; two of one mount in one directory cannot be.
    next = onWay
      .filter(({ id, parent }) => parent === here.id && id !== here.id)
      .sort((a, b) => a.directory.length - b.directory.length)[0];
  }
  return way;
}

/** Whether a directory is the path, or one that it leads through. */
function isAbove(directory: string, path: string): boolean {
  return directory === '/' || path === directory || path.startsWith(`${directory}/`);
}

/** What identifies this process's mount namespace, mount_namespaces(7); empty where that cannot be told. */
export function mountNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/mnt');
  } catch {
    return '';
  }
}
