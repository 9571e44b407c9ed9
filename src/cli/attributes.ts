/** Attributes of a file as commands show them. */
import type { Attributes } from '../vfs/index.ts';
import { isoTime } from './output.ts';

const TYPE_LETTERS: Readonly<Record<number, string>> = {
  1: 'p',
  2: 'c',
  4: 'd',
  6: 'b',
  8: '-',
  10: 'l',
  12: 's',
};

const TYPE_WORDS: Readonly<Record<number, string>> = {
  1: 'fifo',
  2: 'character device',
  4: 'directory',
  6: 'block device',
  8: 'file',
  10: 'symlink',
  12: 'socket',
};

export function typeWord(mode: number): string {
  return TYPE_WORDS[mode >>> 12] ?? 'unknown';
}

/** 'drwxr-xr-x', as ls -l has it. */
export function modeText(mode: number): string {
  const three = (bits: number, special: boolean, letter: string): string => {
    const execute = (bits & 1) !== 0;
    const last = special ? (execute ? letter : letter.toUpperCase()) : execute ? 'x' : '-';
    return `${(bits & 4) === 0 ? '-' : 'r'}${(bits & 2) === 0 ? '-' : 'w'}${last}`;
  };
  return (
    (TYPE_LETTERS[mode >>> 12] ?? '?') +
    three((mode >> 6) & 7, (mode & 0o4000) !== 0, 's') +
    three((mode >> 3) & 7, (mode & 0o2000) !== 0, 's') +
    three(mode & 7, (mode & 0o1000) !== 0, 't')
  );
}

/** Attributes with stable keys, for JSON. Sizes in bytes. */
export function attributesObject(attributes: Attributes): Record<string, number | string> {
  return {
    type: typeWord(attributes.mode),
    mode: (attributes.mode & 0o7777).toString(8).padStart(4, '0'),
    nlink: attributes.nlink,
    uid: attributes.uid,
    gid: attributes.gid,
    size: attributes.size,
    allocated: attributes.blocks * 512,
    ino: attributes.ino,
    dev: attributes.dev,
    rdev: attributes.rdev,
    atime: isoTime(attributes.atimeSeconds, attributes.atimeNanoseconds),
    mtime: isoTime(attributes.mtimeSeconds, attributes.mtimeNanoseconds),
    ctime: isoTime(attributes.ctimeSeconds, attributes.ctimeNanoseconds),
    birthtime: isoTime(attributes.birthSeconds, attributes.birthNanoseconds),
  };
}
