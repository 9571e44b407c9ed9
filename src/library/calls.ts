/**
 * The base class of the objects that hold the calls of a NodeFs. Has the tree, its table of descriptors, and steps that
 * several calls share.
 */
import type { TreeFile, TreeFiles } from '../vfs/index.ts';
import type { Descriptors } from './descriptors.ts';
import { failAsNode } from './errors.ts';

export type Call = (...args: unknown[]) => unknown;

export abstract class Calls {
  protected readonly fileSystem: TreeFiles;
  protected readonly descriptors: Descriptors;

  constructor(fileSystem: TreeFiles, descriptors: Descriptors) {
    this.fileSystem = fileSystem;
    this.descriptors = descriptors;
  }

  protected writeOut(file: TreeFile, bytes: Uint8Array, flush: boolean): void {
    let offset = 0;
    while (offset < bytes.length) {
      offset += this.fileSystem.write(file, bytes, offset, bytes.length - offset, null);
    }
    if (flush) this.flush(file);
  }

  protected flush(file: TreeFile): void {
    this.fileSystem.sync(file, false);
  }
}

failAsNode(Calls.prototype, { writeOut: ['write'], flush: ['fsync'] });
