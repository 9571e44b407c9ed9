/** Random arguments for the operations of a history: names, positions near block boundaries, existing files. */
import type { SeededRandom } from '../../src/base/index.ts';
import type { ModelFs } from './model-fs.ts';
import type { ModelKind } from './model-tree.ts';

/** Few names, so that operations often use the same file; one is not ASCII and one is long. */
const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'ö€', 'n'.repeat(200)] as const;
const XATTR_NAMES = ['user.a', 'user.b', 'user.long-name', 'trusted.c'] as const;
const BLOCK = 4096;
const DEPTH_MAX = 5;
/** One position in this many is far away, which makes large holes and maps of many extents. */
const FAR_ONE_IN = 40;
const FAR_BYTES = 3 * 2 ** 20;

export interface ChoiceOptions {
  /**
   * False if '/' is not the root of the tree for the actor. Paths then have no detours, and targets of symlinks neither
   * begin with '/' nor use '..', which could leave the tree.
   */
  readonly isRooted: boolean;
}

export class Choices {
  readonly random: SeededRandom;
  private readonly model: ModelFs;
  private readonly options: ChoiceOptions;

  constructor(random: SeededRandom, model: ModelFs, options: ChoiceOptions) {
    this.random = random;
    this.model = model;
    this.options = options;
  }

  below(bound: number): number {
    return this.random.below(bound);
  }

  oneIn(count: number): boolean {
    return this.random.below(count) === 0;
  }

  of<T>(items: readonly T[]): T {
    const item = items[this.random.below(items.length)];
    if (item === undefined) throw new Error('nothing to choose from');
    return item;
  }

  /** An existing path, of one of these kinds if possible. */
  existing(tree: string, ...kinds: ModelKind[]): string {
    const found: string[] = [];
    for (const [path, inode] of this.model.tree(tree).names()) {
      if (kinds.length === 0 || kinds.includes(inode.kind)) found.push(path);
    }
    return found.length === 0 ? this.anywhere(tree) : this.varied(this.of(found));
  }

  /** The path and name of an extended attribute, mostly an existing one. */
  xattr(tree: string): { readonly path: string; readonly name: string } {
    const found: { path: string; name: string }[] = [];
    for (const [path, inode] of this.model.tree(tree).names()) {
      for (const name of inode.xattrs.keys()) if (path !== '/') found.push({ path, name });
    }
    if (found.length > 0 && !this.oneIn(4)) return this.of(found);
    return { path: this.path(tree, 'file', 'directory'), name: this.of(XATTR_NAMES) };
  }

  /** A path in some directory, which may exist or not. */
  anywhere(tree: string): string {
    const directories: string[] = [];
    for (const [path, inode] of this.model.tree(tree).names()) {
      // A symlink to a directory gives names in it a second path.
      if (inode.kind === 'directory' || (inode.kind === 'symlink' && this.oneIn(4))) directories.push(path);
      else if (this.oneIn(30)) directories.push(path);
    }
    const parents = directories.filter((path) => path.split('/').length <= DEPTH_MAX);
    const parent = this.varied(this.of(parents.length === 0 ? ['/'] : parents));
    const name = this.oneIn(100) ? 'x'.repeat(256) : this.of(NAMES);
    return `${parent === '/' ? '' : parent}/${name}`;
  }

  /** Mostly an existing path, sometimes any, but never the root itself. */
  path(tree: string, ...kinds: ModelKind[]): string {
    const path = this.oneIn(4) ? this.anywhere(tree) : this.existing(tree, ...kinds);
    return path === '/' ? this.anywhere(tree) : path;
  }

  /** The path, sometimes with a detour. */
  private varied(path: string): string {
    if (!this.options.isRooted || !this.oneIn(12) || path === '/') return path;
    const parts = path.split('/').slice(1);
    return this.oneIn(2) ? `/./${parts.join('/./')}` : `/${parts[0]}/..${path}`;
  }

  /** The target of a new symbolic link. */
  target(tree: string): string {
    const names = Array.from({ length: 1 + this.below(2) }, () => this.of(NAMES));
    if (!this.options.isRooted || this.oneIn(2)) return names.join('/');
    if (this.oneIn(2)) return this.existing(tree);
    return `../${names.join('/')}`;
  }

  /** A position in a file: near a block boundary, rarely far away. */
  position(): number {
    if (this.oneIn(FAR_ONE_IN)) return this.below(FAR_BYTES);
    const near = this.below(10) * BLOCK;
    return Math.max(0, near + this.of([0, 0, 0, -1, 1, 100, 2048, -100]));
  }

  /** A number of bytes, at least one. */
  length(): number {
    return this.of([1, 10, 100, BLOCK - 1, BLOCK, BLOCK, BLOCK + 1, 2 * BLOCK, 1 + this.below(5 * BLOCK)]);
  }

  /** The seed of some content, often one of a few, so that blocks are equal. */
  salt(): number {
    return this.oneIn(4) ? this.random.next32() : this.below(3);
  }

  fileMode(): number {
    return this.of([0o644, 0o600, 0o666, 0o755, 0o777, 0o444, 0o4755, 0o2755, 0o2644]);
  }

  directoryMode(): number {
    return this.of([0o755, 0o777, 0o700, 0o1777]);
  }
}
