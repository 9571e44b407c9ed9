/**
 * Limits how much the open trees of a process together keep in memory of what they have read. The least recently used
 * tree gives way first, and drops first what it read first.
 *
 * Trees drop only what they can read again. An inode that is dirty, open or mapped stays, whatever the limit.
 */

/** A tree with memory that the cache limits. */
export interface CachedTree {
  readonly inodeCount: number;
  /** Names in the listings and lookups that the tree remembers. */
  readonly nameCount: number;
  /** Drops up to `count` inodes, the oldest first. */
  dropInodes(count: number): void;
  /** Drops at least `count` names of unchanged directories, if there are that many. */
  dropNames(count: number): void;
}

export interface CacheLimits {
  /** How many inodes to keep at most. An inode takes some 500 bytes, and more with its extent map. */
  readonly inodesMax: number;
  /** How many names to keep at most. A name takes some 100 bytes. */
  readonly namesMax: number;
}

interface Counted {
  inodes: number;
  names: number;
}

export class TreeCache {
  readonly limits: CacheLimits;
  /** The trees in the order of their last use. */
  private readonly trees = new Map<CachedTree, Counted>();
  private latest: CachedTree | undefined;
  private inodes = 0;
  private names = 0;
  /** The counts above which to make room. They exceed the limits while most inodes are in use. */
  private inodesDueAt: number;
  private namesDueAt: number;

  constructor(limits: CacheLimits = { inodesMax: 131_072, namesMax: 1_048_576 }) {
    this.limits = limits;
    this.inodesDueAt = limits.inodesMax;
    this.namesDueAt = limits.namesMax;
  }

  /** How many inodes and names the trees together hold, each tree as of its last use. */
  get counts(): { readonly inodes: number; readonly names: number } {
    return { inodes: this.inodes, names: this.names };
  }

  /**
   * Notes that a tree was just used. Call this only between operations, because every tree may drop inodes here, and an
   * operation that still has a dropped inode could meet a second object for it.
   */
  noteUse(tree: CachedTree): void {
    const counted = this.trees.get(tree) ?? { inodes: 0, names: 0 };
    if (this.latest !== tree) {
      this.trees.delete(tree);
      this.trees.set(tree, counted);
      this.latest = tree;
    }
    this.count(tree, counted);
    if (this.inodes > this.inodesDueAt || this.names > this.namesDueAt) this.makeRoom();
  }

  /** Call when a tree is closed. */
  forget(tree: CachedTree): void {
    const counted = this.trees.get(tree);
    if (counted === undefined) return;
    this.inodes -= counted.inodes;
    this.names -= counted.names;
    this.trees.delete(tree);
    if (this.latest === tree) this.latest = undefined;
  }

  private count(tree: CachedTree, counted: Counted): void {
    this.inodes += tree.inodeCount - counted.inodes;
    this.names += tree.nameCount - counted.names;
    counted.inodes = tree.inodeCount;
    counted.names = tree.nameCount;
  }

  /** Has the trees drop down to half of a limit that was exceeded, so that no more room is needed soon. */
  private makeRoom(): void {
    const { inodesMax, namesMax } = this.limits;
    const areInodesOver = this.inodes > this.inodesDueAt;
    const areNamesOver = this.names > this.namesDueAt;
    for (const [tree, counted] of this.trees) {
      const inodesOver = areInodesOver ? this.inodes - inodesMax / 2 : 0;
      if (inodesOver > 0) tree.dropInodes(Math.ceil(inodesOver));
      this.count(tree, counted);
      const namesOver = areNamesOver ? this.names - namesMax / 2 : 0;
      if (namesOver > 0) tree.dropNames(Math.ceil(namesOver));
      this.count(tree, counted);
    }
    if (areInodesOver) this.inodesDueAt = Math.max(inodesMax, this.inodes + inodesMax / 16);
    if (areNamesOver) this.namesDueAt = Math.max(namesMax, this.names + namesMax / 16);
  }
}

/** The cache that all stores of the process share, unless a store has limits of its own. */
export const PROCESS_TREE_CACHE = new TreeCache();
