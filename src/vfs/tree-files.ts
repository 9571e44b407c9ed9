/**
 * The files of a tree as the command and the library use them, by path and by open file. `FileSystem` implements it for
 * a tree that this process has open; another implementation reaches a tree that another process has mounted, through
 * its mount point. Semantics and errors are those of `FileSystem`.
 */
import type { Name } from '../base/index.ts';
import type { Attributes, TimeChange } from './attributes.ts';
import type { DirectoryEntry } from './namespace.ts';

/** An open file. Belongs to the `TreeFiles` that opened it. */
export interface TreeFile {
  /** The path that the file was opened by, for messages. */
  readonly path: string;
  /** Where the next read or write without a position goes, in bytes. */
  position: number;
}

export interface TreeFiles {
  readonly isReadOnly: boolean;

  stat(path: string, follow: boolean): Attributes;
  tryStat(path: string, follow: boolean): Attributes | undefined;
  statFile(file: TreeFile): Attributes;
  access(path: string, mode: number): void;
  realPath(path: string): string;
  chmod(path: string, mode: number, follow: boolean): void;
  chmodFile(file: TreeFile, mode: number): void;
  chown(path: string, uid: number, gid: number, follow: boolean): void;
  chownFile(file: TreeFile, uid: number, gid: number): void;
  setTimes(path: string, atime: TimeChange, mtime: TimeChange, follow: boolean): void;
  setFileTimes(file: TreeFile, atime: TimeChange, mtime: TimeChange): void;
  getXattr(path: string, name: string, follow: boolean): Buffer;
  setXattr(path: string, name: string, value: Uint8Array, flags: number, follow: boolean): void;
  listXattrs(path: string, follow: boolean): string[];

  open(path: string, flags: number, mode: number): TreeFile;
  close(file: TreeFile): void;
  read(file: TreeFile, target: Uint8Array, offset: number, length: number, position: number | null): number;
  tryRead(file: TreeFile, target: Uint8Array, offset: number, length: number, position: number): number;
  write(file: TreeFile, source: Uint8Array, offset: number, length: number, position: number | null): number;
  truncateFile(file: TreeFile, size: number): void;
  seekData(file: TreeFile, position: number): number;
  seekHole(file: TreeFile, position: number): number;
  sync(file: TreeFile, dataOnly: boolean): void;
  /** EXDEV where the two cannot share blocks. */
  reflink(source: TreeFile, target: TreeFile, from?: TreeFiles): void;

  makeDirectory(path: string, mode: number): void;
  removeDirectory(path: string): void;
  unlink(path: string): void;
  rename(from: string, to: string): void;
  link(existing: string, path: string, followExisting: boolean): void;
  symlink(target: string, path: string): void;
  readLink(path: string): string;
  makeNode(path: string, mode: number, rdev: number): void;
  readDirectory(path: string): DirectoryEntry[];
  openDirectoryEntries(file: TreeFile): DirectoryEntry[];
  readDirectoryNames(path: string): Name[];
}
