/**
 * Everything that Ramet asks of the operating system. `native.ts` answers with libc through koffi, `buffered.ts` with
 * node:fs alone (no memory maps), and `faulty.ts` wraps either to inject faults.
 *
 * Every failure is an `FsError` with the code of errno and the name of the system call. Positions, offsets and
 * lengths are bytes. Reads and writes retry EINTR and short transfers themselves.
 */
import type { Address, Clock, HostIno, Timespec } from '../base/index.ts';
import type { MountInfo } from './mount-info.ts';

/** Flags of open(2): see `open-flags.ts`. */
export type OpenFlags = number;

/** Special times for `setFileTimes`: the present, and the file's own time, which stays. */
export const UTIME_NOW: Timespec = { seconds: 0, nanoseconds: 0x3fffffff };
export const UTIME_OMIT: Timespec = { seconds: 0, nanoseconds: 0x3ffffffe };

/** The result of statx(2) for a host file. Numbers other than `ino` are exact below 2^53. */
export interface HostStat {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly size: number;
  /** Allocated space in 512-byte units. */
  readonly blocks: number;
  readonly ino: HostIno;
  /** Encoded as by makedev(3), which has room for all major and minor numbers. */
  readonly dev: number;
  readonly rdev: number;
  readonly atime: Timespec;
  readonly mtime: Timespec;
  readonly ctime: Timespec;
  /** Undefined where the host filesystem keeps no birth time. */
  readonly btime: Timespec | undefined;
  /** True if a filesystem, or part of one, is mounted here. False also where that cannot be told. */
  readonly isMountPoint: boolean;
  /**
   * The number of the part of the filesystem that holds the file, where each part has inode numbers of its own
   * (subvolumes and snapshots of btrfs). Unlike `dev` this number stays the same when the filesystem is mounted again.
   * Undefined where that cannot be told (before Linux 6.10).
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
  /** Whether the memory calls below work; otherwise they fail with ENOTSUP. */
  readonly canMap: boolean;

  // Files of the store.
  open(path: string, flags: OpenFlags, mode?: number): number;
  close(fd: number): void;
  /** Reads up to `length` bytes into `target[offset..]`, fewer only at the end of the file. Returns the bytes read. */
  pread(fd: number, target: Uint8Array, offset: number, length: number, position: number): number;
  /** Like `pread`, but returns -1 when any byte would have to come from the disk (preadv2, RWF_NOWAIT). */
  tryPread(fd: number, target: Uint8Array, offset: number, length: number, position: number): number;
  /** Writes all of `source[offset..offset+length]`. */
  pwrite(fd: number, source: Uint8Array, offset: number, length: number, position: number): void;
  /** Like `pread`, but in the thread pool. Until the promise settles the caller must not use `target` or close `fd`. */
  preadAsync(
    fd: number,
    target: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number>;
  /**
   * Like `pwrite`, but in the thread pool. Until the promise settles the caller must not change `source` or close `fd`.
   */
  pwriteAsync(
    fd: number,
    source: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<void>;
  /** Allocates space, so that a write there cannot fail with ENOSPC. Grows the file. fallocate(2), mode 0. */
  allocate(fd: number, position: number, length: number): void;
  /**
   * Gives space back; the range then reads as zeros. The size stays. fallocate(2), PUNCH_HOLE. False, with nothing
   * changed, where the host cannot punch holes.
   */
  punch(fd: number, position: number, length: number): boolean;
  truncate(fd: number, length: number): void;
  dataSync(fd: number): void;
  /** Like `dataSync`, but in the thread pool. Until the promise settles the caller must not close `fd`. */
  dataSyncAsync(fd: number): Promise<void>;
  fullSync(fd: number): void;
  /**
   * Starts writing the dirty pages of a range that will be synced soon (sync_file_range(2)). Makes nothing durable and
   * never fails.
   */
  startWriteback(fd: number, position: number, length: number): void;
  fileSize(fd: number): { readonly sizeBytes: number; readonly allocatedBytes: number };
  /** Takes flock(2) LOCK_EX without waiting; false when another open file holds the lock. */
  tryLock(fd: number): boolean;
  /** Like `tryLock`, but blocks this thread until the holder releases the lock. */
  lock(fd: number): void;
  unlock(fd: number): void;
  rename(from: string, to: string): void;
  unlink(path: string): void;
  /** Makes a directory of a store, for its user alone: mode 0700. */
  makeDirectory(path: string): void;
  /** fsync(2) of a directory, so that names made in it survive a power cut. */
  syncDirectory(path: string): void;
  /**
   * ioctl FICLONE: gives `target` the content of `source`. False where the host cannot do this (EOPNOTSUPP, EXDEV,
   * EINVAL).
   */
  cloneFile(source: number, target: number): boolean;
  /** ioctl FICLONERANGE: like `cloneFile`, for part of a file. False where the host cannot do this. */
  cloneRange(
    source: number,
    sourcePosition: number,
    length: number,
    target: number,
    targetPosition: number,
  ): boolean;
  /** lseek(2), SEEK_DATA: the first byte of data at or after `position`; undefined where there is none (ENXIO). */
  seekData(fd: number, position: number): number | undefined;
  /** lseek(2), SEEK_HOLE: the first hole at or after `position`; undefined beyond the end (ENXIO). */
  seekHole(fd: number, position: number): number | undefined;

  // Memory. Addresses, positions and lengths are multiples of 4,096, except the length of a buffer.
  /** Reserves address space without access: mmap(PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE). */
  reserve(length: number): Address;
  /** Maps part of a file for reading, shared with the page cache: a window. */
  mapWindow(fd: number, position: number, length: number): Address;
  /** Maps part of a file at `at` as part of a view: PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_NORESERVE|MAP_FIXED. */
  mapView(at: Address, fd: number, position: number, length: number): void;
  /** Maps zeros at `at`: PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE|MAP_FIXED. */
  mapZeros(at: Address, length: number): void;
  unmap(at: Address, length: number): void;
  /**
   * An ArrayBuffer, which cannot be transferred, over mapped memory of 1 byte to 4 GiB. EFBIG for more, because Node 20
   * would abort. The memory must stay mapped while the buffer lives.
   */
  bufferAt(at: Address, length: number): ArrayBuffer;
  /** mincore(2): one byte for each page, low bit set where the page is resident. */
  residency(at: Address, length: number): Uint8Array;
  /** madvise(2), for example 4 = MADV_DONTNEED, 3 = MADV_WILLNEED. */
  advise(at: Address, length: number, advice: number): void;
  /** posix_fadvise(2) DONTNEED on a whole file: drops its clean cached pages. */
  dropCache(fd: number): void;
  /** Physical frame number of each page of a mapped range, 0 where not present or not permitted (needs root). */
  frameNumbers(at: Address, pages: number): number[];
  /** How many times each frame is mapped (/proc/kpagecount), -1 where that is not permitted. */
  frameMapCounts(frames: readonly number[]): number[];

  // Host trees, by path.
  statHost(path: Buffer, followLinks: boolean): HostStat;
  /** Names in a host directory, without '.' and '..', in the host's order. */
  readHostDirectory(path: Buffer): HostEntry[];
  readHostLink(path: Buffer): Buffer;
  /**
   * Opens a host file, with O_NOFOLLOW and O_CLOEXEC added to `flags`: symlinks are followed except as the last name.
   */
  openHost(path: Buffer, flags: OpenFlags, mode?: number): number;
  /** Extended attributes by llistxattr/lgetxattr. Empty where the host has none. Names are byte strings. */
  readHostXattrs(path: Buffer): Map<string, Buffer>;

  // Host trees, below an open directory: these calls stay below it, whatever is renamed meanwhile.
  /**
   * openat2(2) with RESOLVE_IN_ROOT: opens `path` as if the directory `root` were '/', for symlinks and '..' too.
   * ENOTSUP where the host has no such call.
   */
  openInRoot(root: number, path: Buffer, flags: OpenFlags, mode?: number): number;
  /**
   * openat2(2) with RESOLVE_BENEATH, NO_SYMLINKS and NO_XDEV: opens a path below `directory`. `.` is the directory
   * itself. ELOOP for a symlink on the way, EXDEV for a mount point.
   */
  openBeneath(directory: number, path: Buffer, flags: OpenFlags): number;
  /**
   * statx(2) of a name in an open directory. It follows no symlink, and does not reach a filesystem mounted there,
   * which might wait for its server: for such a name `isMountPoint` is set and the other fields may be old. EXDEV where
   * only a refused open shows that the name is a mount point. `isLocal`: the directory lies on a filesystem of this
   * machine, whose cached attributes are always right, so that one call is enough instead of three.
   */
  statAt(directory: number, name: Buffer, isLocal: boolean): HostStat;
  /**
   * openat2(2) with RESOLVE_BENEATH and NO_SYMLINKS, or name by name where the host has no such call: opens a path
   * below `directory`. `.` is the directory itself. The call enters mount points. ELOOP for a symlink, except for the
   * last name with O_PATH and O_NOFOLLOW.
   */
  openAt(directory: number, path: Buffer, flags: OpenFlags, mode?: number): number;
  // Names in an open directory, which may be opened with O_PATH. Symlinks are not followed. Errors have no path.
  /** statx(2). For a mount point it describes the root of the mounted filesystem. */
  lstatAt(directory: number, name: Buffer): HostStat;
  makeDirectoryAt(directory: number, name: Buffer, mode: number): void;
  symlinkAt(target: Buffer, directory: number, name: Buffer): void;
  linkAt(from: number, existing: Buffer, directory: number, name: Buffer): void;
  renameAt(from: number, existing: Buffer, directory: number, name: Buffer): void;
  unlinkAt(directory: number, name: Buffer): void;
  removeDirectoryAt(directory: number, name: Buffer): void;
  /** mknod(2): fifos, sockets and devices (devices need root). */
  makeNodeAt(directory: number, name: Buffer, mode: number, rdev: number): void;
  readLinkAt(directory: number, name: Buffer): Buffer;
  // Open files. They may be opened with O_PATH, and may then be symlinks.
  chownFile(fd: number, uid: number, gid: number): void;
  /** Fails for a symlink. */
  chmodFile(fd: number, mode: number): void;
  /** utimensat(2), nanoseconds kept. Takes UTIME_NOW and UTIME_OMIT. */
  setFileTimes(fd: number, atime: Timespec, mtime: Timespec): void;
  writeFileXattr(fd: number, name: string, value: Uint8Array): void;
  statFile(fd: number): HostStat;
  /** Like `readHostDirectory`. */
  readDirectory(fd: number): HostEntry[];
  /** Like `readHostXattrs`. */
  readFileXattrs(fd: number): Map<string, Buffer>;
  /**
   * The UUID of the filesystem that an open file lies on (FS_IOC_GETFSUUID), as 32 hex digits. The file must not be
   * opened with O_PATH. A copy of the filesystem has the same UUID. Undefined where the kernel does not tell it (before
   * Linux 6.9).
   */
  fileSystemUuid(fd: number): string | undefined;
  /** syncfs(2): writes the cached data of the filesystem that `fd` lies on. */
  syncFileSystem(fd: number): void;

  // The machine.
  /** /proc/sys/kernel/random/boot_id, or another value that changes with every boot. */
  bootId(): string;
  /** vm.max_map_count. */
  mapCountMax(): number;
  /** The kernel's table of mounts, read without reaching any mount. Empty where it cannot be read. */
  mounts(): readonly MountInfo[];
  readonly clock: Clock;
}
