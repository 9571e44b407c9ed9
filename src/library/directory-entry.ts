/** `fs.Dirent`: a name in a directory with the kind of file it names. */
import { Dirent as HostDirent } from 'node:fs';
import { fileKindOver, KIND } from './file-kind.ts';

export class Dirent extends fileKindOver(HostDirent) {
  name: string | Buffer;
  /** The directory's path, as the caller gave it. */
  parentPath: string | Uint8Array;
  readonly [KIND]: number;

  constructor(name: string | Buffer, parentPath: string | Uint8Array, kind: number) {
    super();
    this.name = name;
    this.parentPath = parentPath;
    this[KIND] = kind;
  }

  /** The older name of `parentPath`, which Node dropped in version 24. */
  get path(): string | Uint8Array {
    return this.parentPath;
  }
}
