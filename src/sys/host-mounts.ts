/**
 * Answers questions about the mounts on the way to a host directory, and in that directory, from the kernel's mount
 * table. It never asks a mount itself, whose server may be this very process, or may never answer.
 */
import { readFileSync } from 'node:fs';
import { type MountInfo, mountsOnWay } from './mount-info.ts';
import type { System } from './system.ts';

/** Types of filesystems without a block device whose files are all on this machine. */
const LOCAL = new Set(
  (
    'autofs bcachefs binfmt_misc bpf btrfs cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs erofs fusectl ' +
    'hugetlbfs mqueue nsfs overlay proc pstore ramfs rootfs rpc_pipefs securityfs selinuxfs sysfs tmpfs tracefs zfs'
  ).split(' '),
);
/** Major number of loop devices, loop(4). */
const LOOP_MAJOR = 7;
/** The greatest age at which a copy of the mount table may decide which call is made. */
const AGE_MS_MAX = 1_000;
/**
 * How many levels of overlays on overlays, or of loop images in loop images, are followed: the kernel's
 * FILESYSTEM_MAX_STACK_DEPTH, plus one.
 */
const OVERLAYS_MAX = 3;

export class HostMounts {
  private readonly system: Pick<System, 'mounts' | 'clock'>;
  private table: readonly MountInfo[] = [];
  private readAtMs = Number.NEGATIVE_INFINITY;

  constructor(system: Pick<System, 'mounts' | 'clock'>) {
    this.system = system;
  }

  /**
   * True if the way to a path leads through a filesystem of this type, or through an overlay that has a layer on such a
   * filesystem. Always reads the table again.
   */
  leadsThrough(path: string, type: string): boolean {
    const table = this.system.mounts();
    return wayWithLayers(table, path).some((mount) => mount.type === type);
  }

  /** True if every filesystem on the way to a path waits for nothing but the disk. */
  isLocal(path: string): boolean {
    return wayWithLayers(this.recent(), path).every(isLocal);
  }

  /**
   * A mount that a call on a path reaches and that may wait for more than the disk; undefined if there is none.
   * Always reads the table again.
   */
  servedOnWay(path: string): MountInfo | undefined {
    return wayWithLayers(this.system.mounts(), path).findLast((mount) => !isLocal(mount));
  }

  /**
   * True if statx(2) of a name in the directory `path` may use AT_STATX_DONT_SYNC. The directory must be local, and
   * each mount in it local or FUSE: with this flag the kernel does not ask a FUSE server, whereas other filesystems,
   * such as NFS and 9P, may ask their server all the same.
   */
  mayLookCached(path: string): boolean {
    if (!this.isLocal(path)) return false;
    const prefix = path === '/' ? '/' : `${path}/`;
    return this.recent().every(
      (mount) => !mount.directory.startsWith(prefix) || mount.type.startsWith('fuse') || isLocal(mount),
    );
  }

  /** The mount table. Returns the same object for AGE_MS_MAX, then reads the table again. */
  recent(): readonly MountInfo[] {
    const now = this.system.clock.elapsedMs();
    if (now - this.readAtMs > AGE_MS_MAX) {
      this.table = this.system.mounts();
      this.readAtMs = now;
    }
    return this.table;
  }
}

function isLocal({ type, device }: MountInfo): boolean {
  if (type.startsWith('fuse')) return false;
  // Major number 0 is for filesystems without a block device.
  return !device.startsWith('0:') || LOCAL.has(type);
}

/**
 * The mounts that a call on a path reaches, including those of the layers of an overlay and of the image of a loop
 * device. Layers whose paths belong to another mount namespace are not found.
 */
function wayWithLayers(table: readonly MountInfo[], path: string, depth = 0): MountInfo[] {
  const way = mountsOnWay(table, path);
  if (depth === OVERLAYS_MAX) return way;
  const layers = way.flatMap((mount) =>
    mount.type === 'overlay' ? layersOf(mount.options) : imagesOf(mount.device),
  );
  return [...way, ...layers.flatMap((layer) => wayWithLayers(table, layer, depth + 1))];
}

/** The absolute paths among the layers that overlayfs shows in its options. */
function layersOf(options: string): string[] {
  const layers: string[] = [];
  for (const option of options.split(',')) {
    const [name = '', value = ''] = option.split('=', 2);
    if (/^(lowerdir\+?|datadir\+?|upperdir)$/.test(name)) layers.push(...value.split(':'));
  }
  return layers.filter((layer) => layer.startsWith('/'));
}

/** The image file of a loop device; none for other devices. */
function imagesOf(device: string): string[] {
  if (!device.startsWith(`${LOOP_MAJOR}:`)) return [];
  try {
    return [readFileSync(`/sys/dev/block/${device}/loop/backing_file`, 'latin1').trimEnd()];
  } catch {
    return [];
  }
}
