/** The bits of st_mode except the nine permission bits: see inode(7). */

/** Mask of the file type. */
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

/** The DT_* value that readdir(3) gives for a file of this mode. */
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

const TYPE_WORDS = new Map([
  [S_IFREG, 'file'],
  [S_IFDIR, 'directory'],
  [S_IFLNK, 'symlink'],
  [S_IFIFO, 'fifo'],
  [S_IFSOCK, 'socket'],
  [S_IFBLK, 'block device'],
  [S_IFCHR, 'character device'],
]);

/** The type of a file in words, for reports. */
export function wordOfMode(mode: number): string {
  return TYPE_WORDS.get(mode & S_IFMT) ?? 'file of an unknown kind';
}
