/**
 * Numbers and structures of the FUSE kernel protocol, version 7.45: include/uapi/linux/fuse.h of Linux 6.18. The names
 * are those of the header, without the prefix.
 *
 * A structure is a table of byte offsets; `bytes` is its length. Fields have 32 bits unless a comment says 64 or 16.
 * Fields that this room neither reads nor writes are left out.
 */

export const KERNEL_VERSION = 7;
export const KERNEL_MINOR_VERSION = 45;
/** The version of Linux 4.20, which was the first with max_pages and today's RENAME2. */
export const MINOR_VERSION_MIN = 28;
/** The node id of a mount's root. It does not depend on the root's inode number. */
export const ROOT_ID = 1;

/** struct fuse_in_header, which `Request` reads. */
export const IN_HEADER_BYTES = 40;
/** struct fuse_out_header, which `Reply` writes. */
export const OUT_HEADER_BYTES = 16;

/** enum fuse_opcode. */
export const Opcode = {
  LOOKUP: 1,
  FORGET: 2,
  GETATTR: 3,
  SETATTR: 4,
  READLINK: 5,
  SYMLINK: 6,
  MKNOD: 8,
  MKDIR: 9,
  UNLINK: 10,
  RMDIR: 11,
  RENAME: 12,
  LINK: 13,
  OPEN: 14,
  READ: 15,
  WRITE: 16,
  STATFS: 17,
  RELEASE: 18,
  FSYNC: 20,
  SETXATTR: 21,
  GETXATTR: 22,
  LISTXATTR: 23,
  REMOVEXATTR: 24,
  INIT: 26,
  OPENDIR: 27,
  READDIR: 28,
  RELEASEDIR: 29,
  FSYNCDIR: 30,
  CREATE: 35,
  INTERRUPT: 36,
  DESTROY: 38,
  BATCH_FORGET: 42,
  FALLOCATE: 43,
  READDIRPLUS: 44,
  RENAME2: 45,
  LSEEK: 46,
  COPY_FILE_RANGE: 47,
  SYNCFS: 50,
  TMPFILE: 51,
  STATX: 52,
  COPY_FILE_RANGE_64: 53,
} as const;

/** enum fuse_notify_code. */
export const Notify = {
  INVAL_INODE: 2,
  PRUNE: 9,
} as const;

/** Flags of INIT, the lower 32 bits. */
export const Init = {
  ASYNC_READ: 1 << 0,
  EXPORT_SUPPORT: 1 << 4,
  BIG_WRITES: 1 << 5,
  DONT_MASK: 1 << 6,
  AUTO_INVAL_DATA: 1 << 12,
  DO_READDIRPLUS: 1 << 13,
  READDIRPLUS_AUTO: 1 << 14,
  ASYNC_DIO: 1 << 15,
  NO_OPEN_SUPPORT: 1 << 17,
  PARALLEL_DIROPS: 1 << 18,
  POSIX_ACL: 1 << 20,
  ABORT_ERROR: 1 << 21,
  MAX_PAGES: 1 << 22,
  CACHE_SYMLINKS: 1 << 23,
  NO_OPENDIR_SUPPORT: 1 << 24,
  EXPLICIT_INVAL_DATA: 1 << 25,
  HANDLE_KILLPRIV_V2: 1 << 28,
  SETXATTR_EXT: 1 << 29,
  INIT_EXT: 1 << 30,
} as const;

/** Flags of INIT, the upper 32 bits. */
export const Init2 = {
  DIRECT_IO_ALLOW_MMAP: 1 << 4,
  PASSTHROUGH: 1 << 5,
} as const;

/** Flags of SETATTR: the fields to set. */
export const SetAttr = {
  MODE: 1 << 0,
  UID: 1 << 1,
  GID: 1 << 2,
  SIZE: 1 << 3,
  ATIME: 1 << 4,
  MTIME: 1 << 5,
  ATIME_NOW: 1 << 7,
  MTIME_NOW: 1 << 8,
  KILL_SUIDGID: 1 << 11,
} as const;

/** Flags in the answer to an OPEN. */
export const Fopen = {
  DIRECT_IO: 1 << 0,
  KEEP_CACHE: 1 << 1,
  CACHE_DIR: 1 << 3,
  PARALLEL_DIRECT_WRITES: 1 << 6,
  PASSTHROUGH: 1 << 7,
} as const;

export const WRITE_KILL_SUIDGID = 1 << 2;
export const SETXATTR_ACL_KILL_SGID = 1 << 0;

// Arguments of requests: names and bytes follow at `bytes`.

/** The field has 64 bits. */
export const FORGET_IN = { nlookup: 0, bytes: 8 } as const;
export const BATCH_FORGET_IN = { count: 0, bytes: 8 } as const;
/** `count` of these follow BATCH_FORGET_IN. Fields have 64 bits. */
export const FORGET_ONE = { nodeid: 0, nlookup: 8, bytes: 16 } as const;

/** size, atime and mtime have 64 bits. */
export const SETATTR_IN = {
  valid: 0,
  size: 16,
  atime: 32,
  mtime: 40,
  atimensec: 56,
  mtimensec: 60,
  mode: 68,
  uid: 76,
  gid: 80,
  bytes: 88,
} as const;

export const MKNOD_IN = { mode: 0, rdev: 4, umask: 8, bytes: 16 } as const;
export const MKDIR_IN = { mode: 0, umask: 4, bytes: 8 } as const;
/** The field has 64 bits. */
export const LINK_IN = { oldnodeid: 0, bytes: 8 } as const;
/** The field has 64 bits. */
export const RENAME_IN = { newdir: 0, bytes: 8 } as const;
/** Begins with the field of RENAME_IN. */
export const RENAME2_IN = { flags: 8, bytes: 16 } as const;
export const CREATE_IN = { mode: 4, umask: 8, bytes: 16 } as const;
export const OPEN_IN = { flags: 0, bytes: 8 } as const;
/** fh has 64 bits. */
export const RELEASE_IN = { fh: 0, bytes: 24 } as const;
/** READ, READDIR and READDIRPLUS. offset has 64 bits. */
export const READ_IN = { offset: 8, size: 16, bytes: 40 } as const;
/** offset has 64 bits. */
export const WRITE_IN = { offset: 8, size: 16, writeFlags: 20, flags: 32, bytes: 40 } as const;
/** offset and length have 64 bits. */
export const FALLOCATE_IN = { offset: 8, length: 16, mode: 24, bytes: 32 } as const;
/** offset has 64 bits. */
export const LSEEK_IN = { offset: 8, whence: 16, bytes: 24 } as const;
/** All fields have 64 bits. */
export const COPY_FILE_RANGE_IN = {
  offIn: 8,
  nodeidOut: 16,
  offOut: 32,
  len: 40,
  flags: 48,
  bytes: 56,
} as const;
/** Without SETXATTR_EXT the structure ends after `flags`, at `compatBytes`. */
export const SETXATTR_IN = { size: 0, flags: 4, setxattrFlags: 8, compatBytes: 8, bytes: 16 } as const;
export const GETXATTR_IN = { size: 0, bytes: 8 } as const;

/** Without INIT_EXT the structure ends after `flags`, at `compatBytes`. */
export const INIT_IN = {
  major: 0,
  minor: 4,
  maxReadahead: 8,
  flags: 12,
  flags2: 16,
  compatBytes: 16,
} as const;

// Answers.

/** ino, size, blocks, atime, mtime and ctime have 64 bits. */
export const ATTR = {
  ino: 0,
  size: 8,
  blocks: 16,
  atime: 24,
  mtime: 32,
  ctime: 40,
  atimensec: 48,
  mtimensec: 52,
  ctimensec: 56,
  mode: 60,
  nlink: 64,
  uid: 68,
  gid: 72,
  rdev: 76,
  blksize: 80,
  flags: 84,
} as const;

/** attrValid has 64 bits; attr is an ATTR. */
export const ATTR_OUT = { attrValid: 0, attr: 16, bytes: 104 } as const;

/** nodeid, generation, entryValid and attrValid have 64 bits; attr is an ATTR. */
export const ENTRY_OUT = {
  nodeid: 0,
  generation: 8,
  entryValid: 16,
  attrValid: 24,
  entryValidNsec: 32,
  attrValidNsec: 36,
  attr: 40,
  bytes: 128,
} as const;

/** attrValid has 64 bits; stat is a STATX. */
export const STATX_OUT = { attrValid: 0, stat: 32, bytes: 288 } as const;

/** ino, size and blocks have 64 bits, mode 16; the times are SX_TIMEs. */
export const STATX = {
  mask: 0,
  blksize: 4,
  nlink: 16,
  uid: 20,
  gid: 24,
  mode: 28,
  ino: 32,
  size: 40,
  blocks: 48,
  atime: 64,
  btime: 80,
  ctime: 96,
  mtime: 112,
  rdevMajor: 128,
  rdevMinor: 132,
} as const;

/** tvSec has 64 bits. */
export const SX_TIME = { tvSec: 0, tvNsec: 8 } as const;

/** fh has 64 bits. */
export const OPEN_OUT = { fh: 0, openFlags: 8, backingId: 12, bytes: 16 } as const;
export const WRITE_OUT = { size: 0, bytes: 8 } as const;
/** The field has 64 bits. */
export const LSEEK_OUT = { offset: 0, bytes: 8 } as const;
/** The field has 64 bits. */
export const COPY_FILE_RANGE_OUT = { bytesCopied: 0, bytes: 8 } as const;
export const GETXATTR_OUT = { size: 0, bytes: 8 } as const;

/** ino and off have 64 bits. The name follows, with zeros up to a multiple of 8. */
export const DIRENT = { ino: 0, off: 8, namelen: 16, type: 20, name: 24 } as const;
/** An ENTRY_OUT, then a DIRENT. */
export const DIRENTPLUS = { dirent: ENTRY_OUT.bytes } as const;

/** maxBackground, congestionThreshold and maxPages have 16 bits. */
export const INIT_OUT = {
  major: 0,
  minor: 4,
  maxReadahead: 8,
  flags: 12,
  maxBackground: 16,
  congestionThreshold: 18,
  maxWrite: 20,
  timeGran: 24,
  maxPages: 28,
  flags2: 32,
  maxStackDepth: 36,
  bytes: 64,
} as const;

/** blocks, bfree, bavail, files and ffree have 64 bits. */
export const KSTATFS = {
  blocks: 0,
  bfree: 8,
  bavail: 16,
  files: 24,
  ffree: 32,
  bsize: 40,
  namelen: 44,
  frsize: 48,
  bytes: 80,
} as const;

// Notifications.

/** All fields have 64 bits. */
export const NOTIFY_INVAL_INODE_OUT = { ino: 0, off: 8, len: 16, bytes: 24 } as const;
/** The nodes follow, 64 bits each. */
export const NOTIFY_PRUNE_OUT = { count: 0, bytes: 16 } as const;
