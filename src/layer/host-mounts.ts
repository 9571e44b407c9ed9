/**
 * What the kernel's table of mounts tells of the way to a host directory and of what is mounted in it. No mount is
 * asked anything: its server may be this very process, or one that never answers.
 */
import { type MountInfo, mountsOnWay, type System } from '../sys/index.ts';

/** The type of the mounts that `interface/fuse` makes. */
const MOUNT_TYPE = 'fuse.ramet';

/** Filesystems without a block device of their own, which answer by themselves all the same. */
const LOCAL = new Set(
  (
    'autofs bcachefs binfmt_misc bpf btrfs cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs erofs fusectl ' +
    'hugetlbfs mqueue nsfs overlay proc pstore ramfs rootfs rpc_pipefs securityfs selinuxfs sysfs tmpfs tracefs zfs'
  ).split(' '),
);
/** How old what was read of the table may be where the answer only decides how something is asked. */
const AGE_MS_MAX = 1_000;

export class HostMounts {
  private readonly system: System;
  private table: readonly MountInfo[] = [];
  private readAtMs = Number.NEGATIVE_INFINITY;

  constructor(system: System) {
    this.system = system;
  }

  /** Whether the way to what is at a path leads through a mount of Ramet: now, and not a moment ago. */
  isOnRamet(path: string): boolean {
    return mountsOnWay(this.system.mounts(), path).some(({ type }) => type === MOUNT_TYPE);
  }

  /** Whether all of the way to a path, and the path, lies on filesystems that wait for nobody but the disk. */
  isLocal(path: string): boolean {
    const table = this.recent();
    return mountsOnWay(table, path).every((mount) => isLocal(table, mount));
  }

  /**
   * Whether a name in a directory may be looked at with AT_STATX_DONT_SYNC: the directory answers by itself, and what
   * is mounted in it does so, or is FUSE, which then is not asked. Others, NFS and 9P for two, may ask all the same.
   */
  mayLookCached(path: string): boolean {
    if (!this.isLocal(path)) return false;
    const table = this.recent();
    const prefix = path === '/' ? '/' : `${path}/`;
    return table.every(
      (mount) =>
        !mount.directory.startsWith(prefix) || mount.type.startsWith('fuse') || isLocal(table, mount),
    );
  }

  /** The table, read again once a second: the same object until then. */
  recent(): readonly MountInfo[] {
    const now = this.system.clock.elapsedMs();
    if (now - this.readAtMs > AGE_MS_MAX) {
      this.table = this.system.mounts();
      this.readAtMs = now;
    }
    return this.table;
  }
}

function isLocal(table: readonly MountInfo[], { type, device, options }: MountInfo, depth = 0): boolean {
  if (type.startsWith('fuse')) return false;
  // A number from 1 on is that of the driver of a block device.
  if (type !== 'overlay') return !device.startsWith('0:') || LOCAL.has(type);
  // An overlay asks its layers. Those that it names by paths of another mount namespace are not to be found here.
  return layersOf(options).every((layer) => {
    const mount = mountsOnWay(table, layer).at(-1);
    return mount === undefined || depth > 2 || isLocal(table, mount, depth + 1);
  });
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
