/** What kind of file an inode is, as the type bits of a mode and as readdir(3) says it. */

/** Type bits of st_mode, from inode(7). */
export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o060000;
export const S_IFDIR = 0o040000;
export const S_IFCHR = 0o020000;
export const S_IFIFO = 0o010000;

/** The DT_* value of readdir(3) for a mode: its type bits, shifted. */
export function kindOfMode(mode: number): number {
  return (mode & S_IFMT) >>> 12;
}

export const DT_DIR = kindOfMode(S_IFDIR);
export const DT_REG = kindOfMode(S_IFREG);
export const DT_LNK = kindOfMode(S_IFLNK);
