/** st_mode: what a file is, and the bits beside its permissions. See inode(7). */

/** The bits that say what a file is. */
export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

export const S_ISUID = 0o4000;
export const S_ISGID = 0o2000;
export const S_ISVTX = 0o1000;

/** The DT_* value of readdir(3) for a mode: its type bits, shifted. */
export function kindOfMode(mode: number): number {
  return (mode & S_IFMT) >>> 12;
}

export const DT_CHR = kindOfMode(S_IFCHR);
export const DT_DIR = kindOfMode(S_IFDIR);
export const DT_REG = kindOfMode(S_IFREG);
export const DT_LNK = kindOfMode(S_IFLNK);

export function isDirectoryMode(mode: number): boolean {
  return (mode & S_IFMT) === S_IFDIR;
}

export function isFileMode(mode: number): boolean {
  return (mode & S_IFMT) === S_IFREG;
}

export function isSymlinkMode(mode: number): boolean {
  return (mode & S_IFMT) === S_IFLNK;
}

/** A word for what a mode is, for reports: 'fifo', 'socket', 'block device', 'character device'. */
export function wordOfMode(mode: number): string {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return 'file';
    case S_IFDIR:
      return 'directory';
    case S_IFLNK:
      return 'symlink';
    case S_IFIFO:
      return 'fifo';
    case S_IFSOCK:
      return 'socket';
    case S_IFBLK:
      return 'block device';
    case S_IFCHR:
      return 'character device';
    default:
      return 'file of an unknown kind';
  }
}
