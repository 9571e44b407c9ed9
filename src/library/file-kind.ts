/** `isFile()` and its like, which `Stats` and `Dirent` have in common. */
import { kindOfMode, S_IFBLK, S_IFCHR, S_IFDIR, S_IFIFO, S_IFLNK, S_IFREG, S_IFSOCK } from '../base/index.ts';

/** The kind of file, as d_type of readdir(3). In Node too, a Dirent hides it behind a symbol. */
export const KIND = Symbol('kind');

const KIND_FILE = kindOfMode(S_IFREG);
const KIND_DIRECTORY = kindOfMode(S_IFDIR);
const KIND_SYMLINK = kindOfMode(S_IFLNK);
const KIND_FIFO = kindOfMode(S_IFIFO);
const KIND_SOCKET = kindOfMode(S_IFSOCK);
const KIND_CHARACTER = kindOfMode(S_IFCHR);
const KIND_BLOCK = kindOfMode(S_IFBLK);

/**
 * A base class whose objects are also instances of a class of Node, for code that asks `stats instanceof fs.Stats`.
 * Methods of the base class come first.
 */
export function fileKindOver(hostClass: { readonly prototype: object }) {
  abstract class FileKind {
    abstract readonly [KIND]: number;

    isFile(): boolean {
      return this[KIND] === KIND_FILE;
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
  Object.setPrototypeOf(FileKind.prototype, hostClass.prototype);
  return FileKind;
}
