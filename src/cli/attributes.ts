/** The attributes of files and of trees in the forms that commands print. */
import { kindOfMode, S_ISGID, S_ISUID, S_ISVTX, SECTOR_BYTES, wordOfMode } from '../base/index.ts';
import type { TreeInfo } from '../store/index.ts';
import type { Attributes } from '../vfs/index.ts';
import { isoTime } from './output.ts';

/** The letters of `ls -l`, by the DT_* value of the file's type. */
const TYPE_LETTERS: Readonly<Record<number, string>> = {
  1: 'p',
  2: 'c',
  4: 'd',
  6: 'b',
  8: '-',
  10: 'l',
  12: 's',
};

/** A mode in the form of `ls -l`: 'drwxr-xr-x'. */
export function modeText(mode: number): string {
  const three = (bits: number, special: boolean, letter: string): string => {
    const execute = (bits & 1) !== 0;
    const last = special ? (execute ? letter : letter.toUpperCase()) : execute ? 'x' : '-';
    return `${(bits & 4) === 0 ? '-' : 'r'}${(bits & 2) === 0 ? '-' : 'w'}${last}`;
  };
  return (
    (TYPE_LETTERS[kindOfMode(mode)] ?? '?') +
    three((mode >> 6) & 7, (mode & S_ISUID) !== 0, 's') +
    three((mode >> 3) & 7, (mode & S_ISGID) !== 0, 's') +
    three(mode & 7, (mode & S_ISVTX) !== 0, 't')
  );
}

/** A file's attributes for JSON; sizes in bytes. */
export function attributesObject(attributes: Attributes): Record<string, number | string> {
  return {
    type: wordOfMode(attributes.mode),
    mode: (attributes.mode & 0o7777).toString(8).padStart(4, '0'),
    nlink: attributes.nlink,
    uid: attributes.uid,
    gid: attributes.gid,
    size: attributes.size,
    allocated: attributes.blocks * SECTOR_BYTES,
    ino: attributes.ino,
    dev: attributes.dev,
    rdev: attributes.rdev,
    atime: isoTime(attributes.atimeSeconds, attributes.atimeNanoseconds),
    mtime: isoTime(attributes.mtimeSeconds, attributes.mtimeNanoseconds),
    ctime: isoTime(attributes.ctimeSeconds, attributes.ctimeNanoseconds),
    birthtime: isoTime(attributes.birthSeconds, attributes.birthNanoseconds),
  };
}

/** A fork or snapshot for JSON. */
export function treeObject({ name, kind, source, created, id }: TreeInfo): Record<string, number | string> {
  return { name, kind, source, created: isoTime(created.seconds, created.nanoseconds), id };
}
