/**
 * Keeps directories below a root open, so that a call can look up a name in its directory instead of walking a path.
 */
import { nameToBytes, PATH_BYTES_MAX } from '../base/index.ts';
import { O_DIRECTORY, O_PATH, type System } from '../sys/index.ts';

export class OpenDirectories {
  private readonly system: System;
  private readonly root: number;
  private readonly countMax: number;
  /** Descriptors by path, least recently used first. */
  private readonly opened = new Map<string, number>();
  private lastPath: string | undefined;
  private last = -1;

  /** Keeps up to `countMax` directories open. `countMax` is at least 4, because one call may need several at a time. */
  constructor(system: System, root: number, countMax: number) {
    this.system = system;
    this.root = root;
    this.countMax = countMax;
  }

  /** The descriptor of a directory, valid until the next `get`. '' is the root. ELOOP if a symlink is in the path. */
  get(path: string): number {
    if (path === this.lastPath) return this.last;
    const fd = path === '' ? this.root : this.openedAt(path);
    this.lastPath = path;
    this.last = fd;
    return fd;
  }

  private openedAt(path: string): number {
    const known = this.opened.get(path);
    if (known !== undefined) {
      this.opened.delete(path);
      this.opened.set(path, known);
      return known;
    }
    const above = this.nearest(path);
    const from = above === '' ? this.root : this.openedAt(above);
    const fd = this.system.openAt(from, nameToBytes(path.slice(above.length + 1)), O_PATH | O_DIRECTORY);
    if (this.opened.size >= this.countMax) this.closeOldest();
    this.opened.set(path, fd);
    return fd;
  }

  /**
   * The directory from which to open `path`: its parent if that is open, otherwise the uppermost directory from which
   * one call can reach `path`.
   */
  private nearest(path: string): string {
    const parent = path.slice(0, path.lastIndexOf('/'));
    if (this.opened.has(parent)) return parent;
    if (path.length < PATH_BYTES_MAX) return '';
    const cut = path.indexOf('/', path.length - PATH_BYTES_MAX + 1);
    // Without a slash there, the last name alone is too long for any call, and the open will fail.
    return cut === -1 ? parent : path.slice(0, cut);
  }

  /** Closes all directories. Later calls open them again by their paths. */
  forget(): void {
    while (this.opened.size > 0) this.closeOldest();
    this.lastPath = undefined;
  }

  private closeOldest(): void {
    for (const [path, fd] of this.opened) {
      this.opened.delete(path);
      if (path === this.lastPath) this.lastPath = undefined;
      this.system.close(fd);
      return;
    }
  }
}
