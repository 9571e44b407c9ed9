/** `isFile()` and its like, which `Stats` and `Dirent` have in common. */
import { DT_CHR, DT_DIR, DT_LNK, DT_REG, kindOfMode, S_IFBLK, S_IFIFO, S_IFSOCK } from '../base/index.ts';

/** The kind of file, as d_type of readdir(3). In Node too, a Dirent hides it behind a symbol. */
export const KIND = Symbol('kind');

const DT_FIFO = kindOfMode(S_IFIFO);
const DT_SOCK = kindOfMode(S_IFSOCK);
const DT_BLK = kindOfMode(S_IFBLK);

/**
 * A base class whose objects are also instances of a class of Node, for code that asks `stats instanceof fs.Stats`.
 * Methods of the base class come first.
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
