/** `isFile()` and similar methods, which `Stats` and `Dirent` have in common. */
import { DT_CHR, DT_DIR, DT_LNK, DT_REG, kindOfMode, S_IFBLK, S_IFIFO, S_IFSOCK } from '../base/index.ts';

/**
 * Key of the property with the file's kind, a d_type of readdir(3). Node's Dirent also hides its kind behind a symbol.
 */
export const KIND = Symbol('kind');

const DT_FIFO = kindOfMode(S_IFIFO);
const DT_SOCK = kindOfMode(S_IFSOCK);
const DT_BLK = kindOfMode(S_IFBLK);

/**
 * A base class whose objects are also instances of a class of Node, for code that asks `stats instanceof fs.Stats`.
 * Methods defined here take precedence over those of Node's class.
 */
export function fileKindOver(hostClass: { readonly prototype: object }) {
  abstract class FileKind {
    abstract readonly [KIND]: number;

    isFile(): boolean {
      return this[KIND] === DT_REG;
    }

    isDirectory(): boolean {
      return this[KIND] === DT_DIR;
    }

    isSymbolicLink(): boolean {
      return this[KIND] === DT_LNK;
    }

    isFIFO(): boolean {
      return this[KIND] === DT_FIFO;
    }

    isSocket(): boolean {
      return this[KIND] === DT_SOCK;
    }

    isCharacterDevice(): boolean {
      return this[KIND] === DT_CHR;
    }

    isBlockDevice(): boolean {
      return this[KIND] === DT_BLK;
    }
  }
  Object.setPrototypeOf(FileKind.prototype, hostClass.prototype);
  return FileKind;
}
