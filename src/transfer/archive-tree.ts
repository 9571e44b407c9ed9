/**
 * The tree that an archive unpacks to, in memory until the archive ends: later members replace earlier ones, and
 * whiteouts remove entries of the base. Over a base only the differences are stored. Without one the tree is a layer of
 * its own, and whiteouts are stored as overlayfs has them: a character device 0/0, or an attribute of an opaque
 * directory.
 *
 * A whiteout hides entries of lower layers only: those of the archive itself stay, whether they come before or after it
 * (OCI image-spec, layer.md, "Whiteouts").
 */
import { assert, type Ino, isDirectoryMode, kindOfMode, type Name, type Run } from '../base/index.ts';
import { isWhiteoutDevice, OPAQUE_VALUE, OPAQUE_XATTR, WHITEOUT_MODE } from '../lower/index.ts';
import type { DentryRecord, InodeRecord } from '../meta/index.ts';
import type { LayerBuilder } from '../store/index.ts';

const WHITEOUT_DENTRY = { ino: 0 as Ino, kind: 0 }; // In the table, inode 0 marks a whiteout.

/** A record without the fields that the tree computes. */
export type NewRecord = Omit<InodeRecord, 'nlink' | 'parent' | 'extentLayer' | 'xattrLayer'>;

export class TreeNode {
  readonly ino: Ino;
  /** Set for directories, except the root. */
  parent: TreeNode | undefined;
  record: InodeRecord;
  /** Undefined: those of the base stay. */
  xattrs: Map<string, Buffer> | undefined;
  runs: readonly Run[] | undefined;
  /** The entries of a directory, read on first use. */
  names: Map<Name, TreeNode | DentryRecord> | undefined;
  readonly changedNames = new Set<Name>();
  readonly isBase: boolean;
  /** The archive has a member for it, or for something in it. */
  isUnpacked = false;
  isOpaque = false;
  /** Empty files in it may be whiteouts, marked by an attribute. */
  hasMarkedWhiteouts = false;

  constructor(ino: Ino, record: InodeRecord, isBase: boolean) {
    this.ino = ino;
    this.record = record;
    this.isBase = isBase;
  }

  get isDirectory(): boolean {
    return isDirectoryMode(this.record.mode);
  }
}

export class ArchiveTree {
  readonly root: TreeNode;
  private readonly builder: LayerBuilder;
  private readonly nodes = new Map<Ino, TreeNode>();
  private readonly changed = new Set<TreeNode>();

  /** `root` is the root's record, used where there is no base. */
  constructor(builder: LayerBuilder, root: NewRecord) {
    this.builder = builder;
    const base = builder.base?.record(builder.root);
    const record = base ?? { ...root, nlink: 2, parent: builder.root, extentLayer: 0, xattrLayer: 0 };
    this.root = new TreeNode(builder.root, record, base !== undefined);
    if (base === undefined) this.root.names = new Map();
    this.nodes.set(this.root.ino, this.root);
    if (base === undefined) this.changed.add(this.root);
  }

  /** Whether whiteouts are stored, to hide entries of the trees that this one is stacked on. */
  private get keepsWhiteouts(): boolean {
    return this.builder.base === undefined;
  }

  /** The entry of a directory under a name; may be a stored whiteout. */
  child(directory: TreeNode, name: Name): TreeNode | undefined {
    const names = this.namesOf(directory);
    const found = names.get(name);
    if (found === undefined || found instanceof TreeNode) return found;
    let node = this.nodes.get(found.ino);
    if (node === undefined) {
      const record = this.builder.base?.record(found.ino);
      assert(record !== undefined, 'a name of the base has an inode');
      node = new TreeNode(found.ino, record, true);
      this.nodes.set(found.ino, node);
    }
    if (node.isDirectory) node.parent = directory;
    names.set(name, node);
    return node;
  }

  private namesOf(directory: TreeNode): Map<Name, TreeNode | DentryRecord> {
    directory.names ??= new Map(directory.isBase ? this.builder.base?.list(directory.ino) : []);
    return directory.names;
  }

  /** A new file under a free name. */
  create(directory: TreeNode, name: Name, record: NewRecord): TreeNode {
    const isDirectory = isDirectoryMode(record.mode);
    const parent = directory.ino;
    const full = {
      ...record,
      nlink: isDirectory ? 1 : 0,
      parent,
      extentLayer: 0 as const,
      xattrLayer: 0 as const,
    };
    const node = new TreeNode(this.builder.newIno(), full, false);
    if (isDirectory) {
      node.names = new Map();
      node.parent = directory;
    }
    this.link(directory, name, node);
    return node;
  }

  /** One more name, which is free, for a node. */
  link(directory: TreeNode, name: Name, node: TreeNode): void {
    this.namesOf(directory).set(name, node);
    directory.changedNames.add(name);
    node.record = { ...node.record, parent: directory.ino };
    this.setLinks(node, node.record.nlink + 1);
    if (node.isDirectory) this.setLinks(directory, directory.record.nlink + 1);
    else this.changed.add(directory);
  }

  private setLinks(node: TreeNode, nlink: number): void {
    node.record = { ...node.record, nlink };
    this.changed.add(node);
  }

  /** Replaces the record and the attributes of a node; its names stay. */
  describe(node: TreeNode, record: NewRecord, xattrs: Map<string, Buffer>): void {
    const { nlink, parent, extentLayer } = node.record;
    node.record = { ...record, nlink, parent, extentLayer, xattrLayer: 0 };
    node.xattrs = xattrs;
    this.changed.add(node);
  }

  /** Notes that the archive has a member here: whiteouts leave it alone. */
  unpacked(node: TreeNode): void {
    for (let at: TreeNode | undefined = node; at !== undefined && !at.isUnpacked; at = at.parent) {
      at.isUnpacked = true;
    }
  }

  /** Removes a name, and all that is in it. */
  remove(directory: TreeNode, name: Name): void {
    const node = this.child(directory, name);
    if (node === undefined) return;
    if (node.isDirectory) {
      for (const inside of [...this.namesOf(node).keys()]) this.remove(node, inside);
      this.setLinks(node, 0);
      this.setLinks(directory, directory.record.nlink - 1);
    } else {
      this.setLinks(node, node.record.nlink - 1);
      this.changed.add(directory);
    }
    this.namesOf(directory).delete(name);
    directory.changedNames.add(name);
  }

  /** Hides the entry of lower layers under a name. False when the archive's own entry hides it already. */
  whiteout(directory: TreeNode, name: Name, record: NewRecord): boolean {
    const there = this.child(directory, name);
    if (there?.isUnpacked === true) {
      if (there.isDirectory) this.makeOpaque(there);
      return there.isDirectory;
    }
    if (there !== undefined) this.remove(directory, name);
    if (this.keepsWhiteouts)
      this.create(directory, name, { ...record, mode: WHITEOUT_MODE, rdev: 0, size: 0 });
    return this.keepsWhiteouts || there !== undefined;
  }

  /** Hides all entries that lower layers have in a directory. */
  makeOpaque(directory: TreeNode): void {
    if (this.keepsWhiteouts) {
      directory.isOpaque = true;
      return;
    }
    for (const name of [...this.namesOf(directory).keys()]) {
      const child = this.child(directory, name)!;
      if (!child.isUnpacked) this.remove(directory, name);
      else if (child.isDirectory && child.isBase) this.makeOpaque(child);
    }
  }

  /**
   * The directory under a name, made where there is none. In place of a file or whiteout it is opaque: these hid the
   * entry of lower layers.
   */
  takeDirectory(directory: TreeNode, name: Name, record: NewRecord): TreeNode {
    const there = this.child(directory, name);
    if (there?.isDirectory === true) return there;
    if (there !== undefined) this.remove(directory, name);
    const node = this.create(directory, name, record);
    node.isOpaque = this.keepsWhiteouts && there !== undefined;
    return node;
  }

  /** Hands all rows to the builder, and yields after each node so that the caller can pause. */
  *store(now: Pick<InodeRecord, 'mtimeSeconds' | 'mtimeNanoseconds'>): Generator<void> {
    for (const node of this.changed) {
      if (node.record.nlink > 0) this.storeNode(node, now);
      else if (node.isBase) this.storeTombstone(node);
      yield;
    }
  }

  private storeTombstone({ ino, record }: TreeNode): void {
    this.builder.putInode(ino, { ...record, mode: 0, extentLayer: 0, xattrLayer: 0, blocks: 0 });
  }

  private storeNode(node: TreeNode, now: Pick<InodeRecord, 'mtimeSeconds' | 'mtimeNanoseconds'>): void {
    const { builder } = this;
    const { ino, runs } = node;
    let { record } = node;
    const xattrs = node.isOpaque ? new Map(node.xattrs).set(OPAQUE_XATTR, OPAQUE_VALUE) : node.xattrs;
    if (runs !== undefined && runs.length > 0) {
      builder.putRuns(ino, runs);
      record = { ...record, extentLayer: builder.layer };
    }
    if (xattrs !== undefined && xattrs.size > 0) {
      builder.putXattrs(ino, xattrs);
      record = { ...record, xattrLayer: builder.layer };
    }
    // A directory of the base that the archive does not mention was changed by what was unpacked into it.
    if (node.isBase && node.xattrs === undefined && node.changedNames.size > 0)
      record = { ...record, ...now };
    builder.putInode(ino, record);
    for (const name of node.changedNames) this.storeName(node, name);
  }

  private storeName(directory: TreeNode, name: Name): void {
    const child = directory.names?.get(name);
    assert(child === undefined || child instanceof TreeNode, 'a changed name has its node');
    if (child !== undefined) {
      this.builder.putDentry(directory.ino, name, child.ino, kindOfMode(child.record.mode));
    } else if (directory.isBase && this.builder.base?.list(directory.ino).has(name) === true) {
      this.builder.putDentry(directory.ino, name, WHITEOUT_DENTRY.ino, WHITEOUT_DENTRY.kind);
    }
  }
}

/** Whether a node is a stored whiteout. */
export function isKeptWhiteout(node: TreeNode): boolean {
  return isWhiteoutDevice(node.record);
}
