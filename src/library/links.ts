/** Calls about names: rename, link, symlink, unlink, readlink, realpath. */

import { resolve } from 'node:path/posix';
import { isSymlinkMode, nameToString, SYMLINKS_MAX } from '../base/index.ts';
import { checkSymlinkType, optionsOf } from './arguments.ts';
import { Calls } from './calls.ts';
import { failAsNode, failureOf } from './errors.ts';
import { bytePath, encodeName } from './paths.ts';

export class LinkCalls extends Calls {
  renameSync(oldPath: unknown, newPath: unknown): void {
    this.fileSystem.rename(bytePath(oldPath, 'oldPath'), bytePath(newPath, 'newPath'));
  }

  linkSync(existingPath: unknown, newPath: unknown): void {
    // link(2) on Linux does not follow a symlink at the end of the existing path.
    this.fileSystem.link(bytePath(existingPath, 'existingPath'), bytePath(newPath, 'newPath'), false);
  }

  /** `type` matters on Windows only; here it is checked and ignored. */
  symlinkSync(target: unknown, path: unknown, type?: unknown): void {
    checkSymlinkType(type);
    this.fileSystem.symlink(bytePath(target, 'target'), bytePath(path));
  }

  unlinkSync(path: unknown): void {
    this.fileSystem.unlink(bytePath(path));
  }

  readlinkSync(path: unknown, options?: unknown): string | Buffer {
    const { encoding } = optionsOf(options);
    return encodeName(this.fileSystem.readLink(bytePath(path)), encoding);
  }

  /** realpath(3): errors name the whole path. */
  realpathNative(path: unknown, options?: unknown): string | Buffer {
    const { encoding } = optionsOf(options);
    return encodeName(this.fileSystem.realPath(bytePath(path)), encoding);
  }

  /** Node's own walk: the result is that of realpath(3), but errors name the component that failed. */
  realpathSync(path: unknown, options?: unknown): string | Buffer {
    const { encoding } = optionsOf(options);
    // Like Node, this call turns everything but strings and URLs into text, even bytes.
    const text = typeof path === 'string' || path instanceof URL ? path : String(path);
    const bytes = bytePath(text);
    // An empty path is the working directory, which is the root here.
    const absolute = resolve('/', bytes);
    let real: string;
    try {
      real = this.fileSystem.realPath(absolute);
    } catch {
      real = this.walk(absolute);
    }
    return encodeName(real, encoding);
  }

  /** Resolves a path component by component. Slower than `realPath`, but its error names the component that failed. */
  private walk(start: string): string {
    let rest = start.split('/').filter((name) => name !== '');
    let done = '';
    let symlinks = 0;
    while (rest.length > 0) {
      const next = `${done}/${rest[0]}`;
      rest = rest.slice(1);
      const target = this.linkTarget(next, symlinks++ > SYMLINKS_MAX);
      if (target === undefined) {
        done = next;
        symlinks--;
        continue;
      }
      rest = resolve(done === '' ? '/' : done, target, ...rest)
        .split('/')
        .filter((name) => name !== '');
      done = '';
    }
    return done === '' ? '/' : done;
  }

  /** The target of a symlink; undefined for any other file. Throws the error of stat for a dangling symlink. */
  private linkTarget(path: string, isTooDeep: boolean): string | undefined {
    let syscall = 'lstat';
    try {
      const attributes = this.fileSystem.stat(path, false);
      if (!isSymlinkMode(attributes.mode)) return undefined;
      syscall = 'stat';
      this.fileSystem.stat(path, true);
      syscall = 'readlink';
      const target = this.fileSystem.readLink(path);
      return isTooDeep ? undefined : target;
    } catch (error) {
      throw failureOf(error, syscall, nameToString(path));
    }
  }
}

failAsNode(LinkCalls.prototype, {
  renameSync: ['rename', 2],
  linkSync: ['link', 2],
  symlinkSync: ['symlink', 2],
  unlinkSync: ['unlink', 1],
  readlinkSync: ['readlink', 1],
  realpathNative: ['realpath', 1],
});
