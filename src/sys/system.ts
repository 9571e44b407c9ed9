/**
 * What the rest of Ramet may ask of the operating system. `native.ts` answers with libc through koffi, `buffered.ts`
 * with node:fs alone (no memory maps), and `faulty.ts` wraps either to inject faults.
 *
 * Every failure is an `FsError` with the code of errno and the name of the system call. Positions, offsets and
 * lengths are bytes. Reads and writes retry EINTR and short transfers themselves.
 */
import type { Address, Clock, HostIno, Timespec } from '../base/index.ts';
import type { MountInfo } from './mount-info.ts';

/** Flags of open(2): see `open-flags.ts`. */
export type OpenFlags = number;

/** What statx(2) says of a host file. Numbers but `ino` are exact below 2^53. */
export interface HostStat {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly size: number;
  /** Allocated space in 512-byte units. */
  readonly blocks: number;
  readonly ino: HostIno;
  /** (major << 20 | minor) is not unique enough: this is the kernel's makedev() value. */
  readonly dev: number;
  readonly rdev: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  /** Undefined where the host filesystem keeps no birth time. */
  readonly btime: Timespec | undefined;
  /** Another filesystem (or another part of one) is mounted here. False where that cannot be told. */
  readonly isMountPoint: boolean;
  /**
   * The part of its filesystem that it lies in, where there are several with inode numbers of their own (subvolumes and
   * snapshots of btrfs): unlike `dev` the same after every mount. Undefined where that cannot be told (Linux 6.10).
   */
  readonly subvolume: number | undefined;
}

export interface HostEntry {
  /** Byte string, see base/names. */
  readonly name: string;
  readonly ino: HostIno;
  /** DT_* of readdir(3); 0 where the host does not say. */
  readonly kind: number;
}

export interface System {
  readonly kind: 'native' | 'buffered';
  /** Whether the memory calls below work; when false they fail with ENOTSUP. */
  readonly canMap: boolean;

  // Files of the store.
  open(path: string, flags: OpenFlags, mode?: number): number;
  close(fd: number): void;
  /** Reads up to `length` bytes into `target[offset..]`; fewer only at end of file. Returns the bytes read. */
  pread(fd: number, target: Uint8Array, offset: number, length: number, position: number): number;
  /** As `pread`, but returns -1 when any of it would have to wait for the disk (preadv2, RWF_NOWAIT). */
  tryPread(fd: number, target: Uint8Array, offset: number, length: number, position: number): number;
  /** Writes all of `source[offset..offset+length]`. */
  pwrite(fd: number, source: Uint8Array, offset: number, length: number, position: number): void;
  /** As `pread`, by the thread pool. `target` is not used for anything else, and `fd` not closed, until it is done. */
  preadAsync(
    fd: number,
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number>;
  /** As `pwrite`, by the thread pool. The bytes do not change, and `fd` is not closed, until it is done. */
  pwriteAsync(
    fd: number,
    source: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<void>;
  /** Allocates space; afterwards a write there cannot fail with ENOSPC. Grows the file. fallocate(2), mode 0. */
  allocate(fd: number, position: number, length: number): void;
  /**
   * Gives space back; the range then reads as zeros. The size stays. fallocate(2), PUNCH_HOLE. False: not supported,
   * and nothing changed.
   */
  punch(fd: number, position: number, length: number): boolean;
  truncate(fd: number, length: number): void;
  dataSync(fd: number): void;
  /** As `dataSync`, by the thread pool; `fd` is not closed until it is done. */
  dataSyncAsync(fd: number): Promise<void>;
  fullSync(fd: number): void;
  /**
   * A hint that the range will be synced soon: its dirty pages start on their way to the disk (sync_file_range(2)).
   * Makes nothing durable and never fails.
   */
  startWriteback(fd: number, position: number, length: number): void;
  /** Size in bytes and allocated bytes. */
  fileSize(fd: number): { readonly sizeBytes: number; readonly allocatedBytes: number };
  /** Takes flock(2) LOCK_EX without waiting; false when another holds it. */
  tryLock(fd: number): boolean;
  /** As `tryLock`, but waits for the holder. This process does nothing else meanwhile. */
  lock(fd: number): void;
  unlock(fd: number): void;
  rename(from: string, to: string): void;
  unlink(path: string): void;
  makeDirectory(path: string): void;
  /** fsync of a directory, so that names made in it survive a power cut. */
  syncDirectory(path: string): void;
  /**
   * ioctl FICLONE: the whole of `source` becomes `target`'s content. False where the host cannot (EOPNOTSUPP, EXDEV,
   * EINVAL).
   */
  cloneFile(source: number, target: number): boolean;
  /** ioctl FICLONERANGE. False where the host cannot. */
  cloneRange(
    source: number,
    sourcePosition: number,
    length: number,
    target: number,
    targetPosition: number,
  ): boolean;
  /**
   * lseek SEEK_DATA / SEEK_HOLE: the next position of data (or hole) at or after `position`; undefined when none
   * (ENXIO).
   */
  seekData(fd: number, position: number): number | undefined;
  seekHole(fd: number, position: number): number | undefined;

  // Memory. Addresses, positions and lengths are multiples of 4,096 (the length of a buffer need not be).
  /** Reserves address space that is not accessible: mmap(PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE). */
  reserve(length: number): Address;
  /** Maps part of a file for reading, shared with the page cache: a window. */
  mapWindow(fd: number, position: number, length: number): Address;
  /** Maps part of a file at `at` as part of a view: PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_NORESERVE|MAP_FIXED. */
  mapView(at: Address, fd: number, position: number, length: number): void;
  /** Maps zeros at `at`: PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE|MAP_FIXED. */
  mapZeros(at: Address, length: number): void;
  unmap(at: Address, length: number): void;
  /**
   * An ArrayBuffer over mapped memory that cannot be transferred, of 1 byte to 4 GiB (EFBIG beyond, where Node 20 would
   * abort). The memory must stay mapped while the buffer lives.
   */
  bufferAt(at: Address, length: number): ArrayBuffer;
  /** mincore(2): one byte a page, low bit set where the page is resident. `at` is the start of a mapped range. */
  residency(at: Address, length: number): Uint8Array;
  /** madvise(2), for example 4 = MADV_DONTNEED, 3 = MADV_WILLNEED. */
  advise(at: Address, length: number, advice: number): void;
  /** posix_fadvise(2) DONTNEED on a whole file: drops its clean cached pages. */
  dropCache(fd: number): void;
  /** Physical frame number of each page of a mapped range, 0 where not present or not permitted (needs root). */
  frameNumbers(at: Address, pages: number): number[];
  /** How many times each frame is mapped (/proc/kpagecount), -1 where not permitted. */
  frameMapCounts(frames: readonly number[]): number[];

  // The host: trees that are imported, exported and committed to. Paths are byte paths.
  statHost(path: Buffer, followLinks: boolean): HostStat;
  /** Names in a host directory, without '.' and '..', in the order the host gives. */
  readHostDirectory(path: Buffer): HostEntry[];
  readHostLink(path: Buffer): Buffer;
  /** Opens a host file by byte path; O_NOFOLLOW and O_CLOEXEC are added to `flags`. */
  openHost(path: Buffer, flags: OpenFlags, mode?: number): number;
  /** Extended attributes by llistxattr/lgetxattr. Empty where the host has none. Names are byte strings. */
  readHostXattrs(path: Buffer): Map<string, Buffer>;

  /**
   * openat2(2) with RESOLVE_IN_ROOT: opens `path` as if the directory `root` were '/', symlinks and '..' included, so
   * that nothing outside it can be reached, whatever is renamed meanwhile. ENOTSUP where the host has no such call.
   */
  openInRoot(root: number, path: Buffer, flags: OpenFlags, mode?: number): number;
  /**
   * openat2(2) with RESOLVE_BENEATH, NO_SYMLINKS and NO_XDEV: opens what lies below `directory`, through no symlink and
   * no mount point. `.` is the directory itself. ELOOP for a symlink on the way, EXDEV for a mount point.
   */
  openBeneath(directory: number, path: Buffer, flags: OpenFlags): number;
  /**
   * statx(2) of a name in an open directory. A symlink is not followed, and what is mounted at the name is not asked
   * anything, so that the call waits for no server: `isMountPoint` is set then, and the rest may be old.
   * `isLocal`: the directory lies on a filesystem of this machine, whose cached attributes are the attributes: one call
   * instead of three. EXDEV where a mount point allows not even that.
   */
  statAt(directory: number, name: Buffer, isLocal: boolean): HostStat;
  /**
   * Opens what lies below `directory`, through no symlink: ELOOP. Mount points are entered. `path` may be several
   * names; `.` is the directory itself. With O_PATH and O_NOFOLLOW also a symlink. openat2(2) with RESOLVE_BENEATH and
   * NO_SYMLINKS; where the host has no such call, name by name.
   */
  openAt(directory: number, path: Buffer, flags: OpenFlags, mode?: number): number;
  // Names in an open directory, which may be opened with O_PATH. No symlink is followed. Errors have no path.
  /** statx(2); what is mounted at the name is looked at. */
  lstatAt(directory: number, name: Buffer): HostStat;
  makeDirectoryAt(directory: number, name: Buffer, mode: number): void;
  symlinkAt(target: Buffer, directory: number, name: Buffer): void;
  linkAt(from: number, existing: Buffer, directory: number, name: Buffer): void;
  renameAt(from: number, existing: Buffer, directory: number, name: Buffer): void;
  unlinkAt(directory: number, name: Buffer): void;
  removeDirectoryAt(directory: number, name: Buffer): void;
  /** mknod(2): fifos, sockets and devices (devices need root). */
  makeNodeAt(directory: number, name: Buffer, mode: number, rdev: number): void;
  // Attributes of an open file. It may have been opened with O_PATH, and may then be a symlink.
  chownFile(fd: number, uid: number, gid: number): void;
  /** Not of a symlink. */
  chmodFile(fd: number, mode: number): void;
  /** utimensat(2), nanoseconds kept. Takes UTIME_NOW and UTIME_OMIT. */
  setFileTimes(fd: number, atime: Timespec, mtime: Timespec): void;
  writeFileXattr(fd: number, name: string, value: Uint8Array): void;
  /** statx(2) of an open file, also of one opened with O_PATH. */
  statFile(fd: number): HostStat;
  /** As `readHostDirectory`, of an open directory, also of one opened with O_PATH. */
  readDirectory(fd: number): HostEntry[];
  /** readlink(2) of a name in an open directory. */
  readLinkAt(directory: number, name: Buffer): Buffer;
  /** As `readHostXattrs`, of an open file, also of a symlink opened with O_PATH. */
  readFileXattrs(fd: number): Map<string, Buffer>;
  /**
   * The UUID of the filesystem that an open file lies on (FS_IOC_GETFSUUID), as 32 hex digits; not of one opened with
   * O_PATH. A copy of the filesystem has the same. Undefined where that cannot be told (Linux 6.9).
   */
  fileSystemUuid(fd: number): string | undefined;
  /** syncfs(2): what the kernel holds of the filesystem that `fd` lies on goes to it. */
  syncFileSystem(fd: number): void;

  // The machine.
  /** /proc/sys/kernel/random/boot_id, or a value that is the same until the next boot. */
  bootId(): string;
  /** vm.max_map_count. */
  mapCountMax(): number;
  /** The kernel's table of mounts; no mount is asked for it. Empty where it cannot be read. */
  mounts(): readonly MountInfo[];
  readonly clock: Clock;
}
