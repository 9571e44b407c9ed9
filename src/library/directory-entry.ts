/** `fs.Dirent`: a name in a directory with the kind of file it names. */
import { Dirent as HostDirent } from 'node:fs';

/** The d_type numbers of readdir(3). */
export const KIND_DIRECTORY = 4;
const KIND_FIFO = 1;
const KIND_CHARACTER = 2;
const KIND_BLOCK = 6;
const KIND_REGULAR = 8;
const KIND_SYMLINK = 10;
const KIND_SOCKET = 12;

/** The kind is no property of its own in Node either: it hides behind a symbol. */
const KIND = Symbol('kind');

export class Dirent {
  name: string | Buffer;
  /** The directory's path, as the caller gave it. */
  parentPath: string | Uint8Array;
  readonly [KIND]: number;

  constructor(name: string | Buffer, parentPath: string | Uint8Array, kind: number) {
    this.name = name;
    this.parentPath = parentPath;
    this[KIND] = kind;
  }

  /** The older name of `parentPath`, which Node dropped in version 24. */
  get path(): string | Uint8Array {
    return this.parentPath;
  }

  isFile(): boolean {
    return this[KIND] === KIND_REGULAR;
  }

  isDirectory(): boolean {
    return this[KIND] === KIND_DIRECTORY;
  }

  isSymbolicLink(): boolean {
    return this[KIND] === KIND_SYMLINK;
  }

  isFIFO(): boolean {
    return this[KIND] === KIND_FIFO;
  }

  isSocket(): boolean {
    return this[KIND] === KIND_SOCKET;
  }

  isCharacterDevice(): boolean {
    return this[KIND] === KIND_CHARACTER;
  }

  isBlockDevice(): boolean {
    return this[KIND] === KIND_BLOCK;
  }
}

// As with Stats: `entry instanceof require('fs').Dirent` holds.
Object.setPrototypeOf(Dirent.prototype, HostDirent.prototype);
