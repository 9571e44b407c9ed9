/**
 * fs.promises. Each call does its work at once and returns a promise of the outcome; only reads that would wait for the
 * disk are done later (see async-calls.ts). Every failure, even a wrong argument, rejects the promise; no call throws.
 */
import { constants } from 'node:fs';
import type { TreeFile, TreeFiles } from '../vfs/index.ts';
import type { CommonOptions } from './arguments.ts';
import { checkBoolean, fileMode, optionsOf } from './arguments.ts';
import { AsyncCalls, checkData, checkNotAborted } from './async-calls.ts';
import type { Call } from './calls.ts';
import type { Descriptors } from './descriptors.ts';
import { withCode } from './errors.ts';
import { FileHandle } from './file-handle.ts';
import { openFile, truncateLength } from './files.ts';
import { openFlags } from './flags.ts';
import { bytePath } from './paths.ts';
import type { StreamCalls } from './streams.ts';
import type { SyncCalls } from './sync-calls.ts';

/** The promise form of a synchronous call. */
function promised(call: Call): (...args: unknown[]) => Promise<unknown> {
  return async (...args: unknown[]) => call(...args);
}

/** The calls of fs.promises that do more than their synchronous form. */
class PromiseCalls extends AsyncCalls {
  async open(path: unknown, flags?: unknown, mode?: unknown): Promise<FileHandle> {
    bytePath(path);
    const file = openFile(this.fileSystem, path, openFlags(flags), fileMode(mode, 'mode', 0o666));
    return new FileHandle(this, this.descriptors.add(file));
  }

  async readFile(path: unknown, options?: unknown): Promise<string | Buffer> {
    if (path instanceof FileHandle) return path.readFile(options);
    const given = optionsOf(options);
    const flags = openFlags(given.flag || 'r');
    checkNotAborted(given.signal);
    const file = openFile(this.fileSystem, path, flags, 0o666);
    return this.closing(file, () => this.readWhole(file, given));
  }

  async writeFile(path: unknown, data: unknown, options?: unknown): Promise<void> {
    await this.write(path, data, optionsOf(options), 'w');
  }

  async appendFile(path: unknown, data: unknown, options?: unknown): Promise<void> {
    await this.write(path, data, optionsOf(options), 'a');
  }

  private async write(path: unknown, data: unknown, options: CommonOptions, flag: string): Promise<void> {
    const flush = options.flush ?? false;
    checkBoolean(flush, 'options.flush');
    if (path instanceof FileHandle) return path.writeFile(data, options);
    checkData(data, options);
    const flags = openFlags(options.flag || flag);
    const file = openFile(this.fileSystem, path, flags, fileMode(options.mode, 'mode', 0o666));
    await this.closing(file, async () => {
      await this.writeWhole(file, data, options);
      if (flush) this.flush(file);
    });
  }

  private async closing<T>(file: TreeFile, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } finally {
      this.fileSystem.close(file);
    }
  }

  async truncate(path: unknown, length?: unknown): Promise<void> {
    const handle = await this.open(path, 'r+');
    try {
      this.sync.descriptor.ftruncateSync(handle.fd, truncateLength(length));
    } finally {
      await handle.close();
    }
  }

  /** Symlinks have no mode of their own on Linux, and Node has no lchmod there. */
  async lchmod(): Promise<void> {
    throw withCode(new Error('The lchmod() method is not implemented'), 'ERR_METHOD_NOT_IMPLEMENTED');
  }
}

/** Calls that fs.promises does not have: those that take a descriptor, and `exists`. */
const NOT_PROMISED = /^(f\w+|close|exists|readv?|writev?)$/;

/** Makes the object `fs.promises`. */
export function createPromises(
  fileSystem: TreeFiles,
  descriptors: Descriptors,
  sync: SyncCalls,
  streams: StreamCalls,
): Record<string, unknown> {
  const own = new PromiseCalls(fileSystem, descriptors, sync, streams);
  const form: Record<string, unknown> = {};
  for (const [name, call] of sync.forms()) if (!NOT_PROMISED.test(name)) form[name] = promised(call);
  return Object.assign(form, {
    open: own.open.bind(own),
    readFile: own.readFile.bind(own),
    writeFile: own.writeFile.bind(own),
    appendFile: own.appendFile.bind(own),
    truncate: own.truncate.bind(own),
    lchmod: own.lchmod.bind(own),
    opendir: promised(sync.byName('opendirNamed')),
    realpath: promised(sync.byName('realpathNative')),
    cp: sync.trees.cp.bind(sync.trees),
    constants,
  });
}
