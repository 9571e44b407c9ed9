/** copyFile: a copy of a file is a reflink; no byte of data moves until one of the two is written. */
import { constants } from 'node:fs';
import { FsError, isDirectoryMode, isFsError } from '../base/index.ts';
import { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } from '../sys/index.ts';
import type { TreeFile } from '../vfs/index.ts';
import { smallMode } from './arguments.ts';
import type { CoreFileSystem } from './core.ts';
import { failAsNode } from './errors.ts';
import { bytePath } from './paths.ts';

const { COPYFILE_EXCL } = constants;

export class CopyCalls {
  private readonly fileSystem: CoreFileSystem;

  constructor(fileSystem: CoreFileSystem) {
    this.fileSystem = fileSystem;
  }

  /** COPYFILE_EXCL is obeyed; COPYFILE_FICLONE and COPYFILE_FICLONE_FORCE ask for what happens anyway. */
  copyFileSync(source: unknown, destination: unknown, mode?: unknown): void {
    const from = bytePath(source, 'src');
    const to = bytePath(destination, 'dest');
    const isExclusive = (smallMode(mode) & COPYFILE_EXCL) !== 0;
    this.copyBytes(from, to, isExclusive);
  }

  private copyBytes(from: string, to: string, isExclusive: boolean): void {
    const source = this.fileSystem.open(from, O_RDONLY, 0);
    try {
      const { mode, dev, ino } = this.fileSystem.statFile(source);
      const flags = O_WRONLY | O_CREAT | (isExclusive ? O_EXCL : 0);
      const existed = isExclusive ? false : this.fileSystem.tryStat(to, true) !== undefined;
      const target = this.fileSystem.open(to, flags, mode & 0o7777);
      try {
        const there = this.fileSystem.statFile(target);
        // A file copied over itself stays as it is.
        if (there.dev === dev && there.ino === ino) return;
        // Only now: errors of the destination are reported first.
        if (isDirectoryMode(mode)) throw new FsError('EISDIR');
        this.fill(source, target, mode & 0o7777);
      } catch (error) {
        if (!existed) this.removeQuietly(to);
        throw error;
      } finally {
        this.fileSystem.close(target);
      }
    } finally {
      this.fileSystem.close(source);
    }
  }

  private fill(source: TreeFile, target: TreeFile, mode: number): void {
    this.fileSystem.chmodFile(target, mode);
    this.fileSystem.truncateFile(target, 0);
    this.fileSystem.reflink(source, target);
  }

  /** Takes back the file that a failed copy made; the copy's own failure is what is reported. */
  private removeQuietly(path: string): void {
    try {
      this.fileSystem.unlink(path);
    } catch (error) {
      if (!isFsError(error)) throw error;
    }
  }
}

failAsNode(CopyCalls.prototype, { copyFileSync: ['copyfile', 2] });
