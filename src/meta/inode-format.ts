/**
 * Bytes of a row of the inode table. Key: see key-format. Fields have fixed places because this row is read most.
 *
 *   at  bytes
 *    0  u32   st_mode with its type bits; 0 is a tombstone: the inode is dead in this layer
 *    4  u32   uid
 *    8  u32   gid
 *   12  u32   link count
 *   16  u64   size in bytes
 *   24  u64   device number of a device node
 *   32  u64   a directory's parent; for other files the directory that last got a name of the file, and may have lost
 *              that name since; 0 if unknown (a file without a name, or a row of an older version)
 *   40  i64   atime, seconds
 *   48  i64   mtime, seconds
 *   56  i64   ctime, seconds
 *   64  i64   birth, seconds
 *   72  u32   atime, nanoseconds
 *   76  u32   mtime, nanoseconds
 *   80  u32   ctime, nanoseconds
 *   84  u32   birth, nanoseconds
 *   88  u64   the layer whose extent rows are the inode's complete map; 0: it has no extents
 *   96  u64   the layer whose xattr row is the inode's; 0: it has no extended attributes
 *  104  u64   allocated blocks, 4,096 bytes each
 *  112  …     bytes of a symlink's target, to the end
 */
import {
  DecodeError,
  HIGH_MAX,
  type Ino,
  isSymlinkMode,
  kindOfMode,
  type LayerId,
  PATH_BYTES_MAX,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  S_IFSOCK,
  TWO_32,
} from '../base/index.ts';
import { BLOCKS_END, checked, type Format, INO_END } from './fields.ts';

export interface InodeRecord {
  /** st_mode with its type bits; 0 is a tombstone: the inode is dead in this layer. */
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  /** Size in bytes. */
  size: number;
  rdev: number;
  /** The layer whose extent rows are the inode's complete map; 0 when it has no extents. */
  extentLayer: LayerId | 0;
  /** The layer whose xattr row is the inode's; 0 when it has no extended attributes. */
  xattrLayer: LayerId | 0;
  /** Allocated blocks, 4,096 bytes each. */
  blocks: number;
  atimeSeconds: number;
  atimeNanoseconds: number;
  mtimeSeconds: number;
  mtimeNanoseconds: number;
  ctimeSeconds: number;
  ctimeNanoseconds: number;
  birthSeconds: number;
  birthNanoseconds: number;
  /**
   * A directory's parent. For any other file, the directory to search first for a name of the file: the one that last
   * got such a name, and may have lost it since. 0 if unknown.
   */
  parent: Ino;
  /** A symlink's target, a byte string; empty for others. */
  target: string;
}

const TARGET_AT = 112;
/** Length of a record without a symlink's target. */
export const INODE_FIXED_BYTES = TARGET_AT;

/** Bit n is set if n is the DT_* value of a type of file. */
const TYPES = [S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK].reduce(
  (bits, type) => bits | (1 << kindOfMode(type)),
  0,
);
const MODE_END = 0o200000;

/**
 * The reason why no file can have this record; undefined if a file can. In a tombstone only the mode means anything.
 */
function problemOf(record: InodeRecord): string | undefined {
  const { mode, target, parent, blocks } = record;
  if (mode === 0) return undefined;
  if (mode >= MODE_END || ((TYPES >>> kindOfMode(mode)) & 1) === 0)
    return `its mode ${mode.toString(8)} is invalid`;
  const isTime =
    record.atimeNanoseconds < 1e9 &&
    record.mtimeNanoseconds < 1e9 &&
    record.ctimeNanoseconds < 1e9 &&
    record.birthNanoseconds < 1e9;
  if (!isTime) return 'a time has more nanoseconds than a second';
  if (parent >= INO_END) return `its parent is ${parent}`;
  if (blocks >= BLOCKS_END) return `it has ${blocks} blocks`;
  if (!isSymlinkMode(mode)) return undefined;
  const isTarget = target.length > 0 && target.length < PATH_BYTES_MAX && !target.includes('\0');
  return isTarget ? undefined : 'the target of the symlink is no path';
}

/** Writes two's complement, for signed and unsigned numbers. */
function put64(view: DataView, at: number, value: number): void {
  const high = Math.floor(value / TWO_32);
  view.setUint32(at, value - high * TWO_32, true);
  view.setInt32(at + 4, high, true);
}

function u64(bytes: Buffer, at: number): number {
  const high = bytes.readUInt32LE(at + 4);
  if (high >= HIGH_MAX) throw new DecodeError(`number at ${at} is not below 2^53`);
  return high * TWO_32 + bytes.readUInt32LE(at);
}

function i64(bytes: Buffer, at: number): number {
  const high = bytes.readInt32LE(at + 4);
  if (high >= HIGH_MAX || high < -HIGH_MAX) throw new DecodeError(`number at ${at} is not within 2^53`);
  return high * TWO_32 + bytes.readUInt32LE(at);
}

/** Written out field by field, because every change of a file comes here. Reading allocates nothing but the record. */
export const inodeFormat: Format<InodeRecord> = checked(
  {
    write(writer, inode) {
      const at = writer.skip(TARGET_AT);
      const view = writer.fields;
      view.setUint32(at, inode.mode, true);
      view.setUint32(at + 4, inode.uid, true);
      view.setUint32(at + 8, inode.gid, true);
      view.setUint32(at + 12, inode.nlink, true);
      put64(view, at + 16, inode.size);
      put64(view, at + 24, inode.rdev);
      put64(view, at + 32, inode.parent);
      put64(view, at + 40, inode.atimeSeconds);
      put64(view, at + 48, inode.mtimeSeconds);
      put64(view, at + 56, inode.ctimeSeconds);
      put64(view, at + 64, inode.birthSeconds);
      view.setUint32(at + 72, inode.atimeNanoseconds, true);
      view.setUint32(at + 76, inode.mtimeNanoseconds, true);
      view.setUint32(at + 80, inode.ctimeNanoseconds, true);
      view.setUint32(at + 84, inode.birthNanoseconds, true);
      put64(view, at + 88, inode.extentLayer);
      put64(view, at + 96, inode.xattrLayer);
      put64(view, at + 104, inode.blocks);
      if (inode.target !== '') writer.raw(Buffer.from(inode.target, 'latin1'));
    },
    read(reader) {
      const { buffer: bytes, offset: at, end } = reader;
      if (end - at < TARGET_AT) throw new DecodeError(`inode record of ${end - at} bytes is too short`);
      reader.offset = end;
      return {
        mode: bytes.readUInt32LE(at),
        uid: bytes.readUInt32LE(at + 4),
        gid: bytes.readUInt32LE(at + 8),
        nlink: bytes.readUInt32LE(at + 12),
        size: u64(bytes, at + 16),
        rdev: u64(bytes, at + 24),
        extentLayer: u64(bytes, at + 88) as LayerId | 0, // The field holds what was written: a layer's number or 0.
        xattrLayer: u64(bytes, at + 96) as LayerId | 0,
        blocks: u64(bytes, at + 104),
        atimeSeconds: i64(bytes, at + 40),
        atimeNanoseconds: bytes.readUInt32LE(at + 72),
        mtimeSeconds: i64(bytes, at + 48),
        mtimeNanoseconds: bytes.readUInt32LE(at + 76),
        ctimeSeconds: i64(bytes, at + 56),
        ctimeNanoseconds: bytes.readUInt32LE(at + 80),
        birthSeconds: i64(bytes, at + 64),
        birthNanoseconds: bytes.readUInt32LE(at + 84),
        parent: u64(bytes, at + 32) as Ino, // The field holds what was written: an inode number or 0.
        target: end - at === TARGET_AT ? '' : bytes.toString('latin1', at + TARGET_AT, end),
      };
    },
  },
  problemOf,
);
