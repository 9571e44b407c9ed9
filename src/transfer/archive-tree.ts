/**
 * The tree that an archive unpacks to, in memory until all of it is known: later members replace earlier ones, and
 * whiteouts remove what a base has. Over a base only what differs from it is written; without one the tree is a layer
 * of its own, and a whiteout is kept as an overlay has it: a character device 0/0, an opaque directory by its mark.
 *
 * A whiteout is about lower layers only: what the archive itself has under the name stays, wherever in the archive the
 * whiteout comes (OCI image-spec, layer.md, "Whiteouts").
 */
import { assert, type Ino, isDirectoryMode, kindOfMode, type Name, type Run } from '../base/index.ts';
import { isWhiteoutDevice, OPAQUE_VALUE, OPAQUE_XATTR, WHITEOUT_MODE } from '../lower/index.ts';
import type { DentryRecord, InodeRecord } from '../meta/index.ts';
import type { LayerBuilder } from '../store/index.ts';

const WHITEOUT_DENTRY = { ino: 0 as Ino, kind: 0 }; // 0 is the table's own word for a whiteout.

/** The parts of a record that the tree itself does not keep. */
export type NewRecord = Omit<InodeRecord, 'nlink' | 'parent' | 'extentLayer' | 'xattrLayer'>;

export class TreeNode {
  readonly ino: Ino;
  /** A directory's; undefined for the root. */
  parent: TreeNode | undefined;
  record: InodeRecord;
  /** Set where the base's are replaced. */
  xattrs: Map<string, Buffer> | undefined;
  runs: readonly Run[] | undefined;
  /** Directories, once they were looked into. */
  names: Map<Name, TreeNode | DentryRecord> | undefined;
  readonly changedNames = new Set<Name>();
  readonly isBase: boolean;
  /** The archive has it, or something in it. */
  isUnpacked = false;
  isOpaque = false;
  /** Files in it may be whiteouts by an attribute. */
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

  /** `root` is the record of the root where there is no base. */
  constructor(builder: LayerBuilder, root: NewRecord) {
    this.builder = builder;
    const base = builder.base?.record(builder.root);
    const record = base ?? { ...root, nlink: 2, parent: builder.root, extentLayer: 0, xattrLayer: 0 };
    this.root = new TreeNode(builder.root, record, base !== undefined);
    if (base === undefined) this.root.names = new Map();
    this.nodes.set(this.root.ino, this.root);
    if (base === undefined) this.changed.add(this.root);
  }

  /** Whether whiteouts stay in the tree, for what it is stacked on. */
  private get keepsWhiteouts(): boolean {
    return this.builder.base === undefined;
  }

  /** What a directory has under a name, a whiteout that is kept included. */
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

  /** States what a node is from now on; its names stay. */
  describe(node: TreeNode, record: NewRecord, xattrs: Map<string, Buffer>): void {
    const { nlink, parent, extentLayer } = node.record;
    node.record = { ...record, nlink, parent, extentLayer, xattrLayer: 0 };
    node.xattrs = xattrs;
    this.changed.add(node);
  }

  /** The archive has something here: a whiteout leaves it alone. */
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

  /** Hides what lower layers have under a name; false when the name hides it already. */
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

  /** Hides what lower layers have in a directory. */
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

  /** Makes room for a directory: one that is there is returned. A file or whiteout in its place hid what is below. */
  takeDirectory(directory: TreeNode, name: Name, record: NewRecord): TreeNode {
    const there = this.child(directory, name);
    if (there?.isDirectory === true) return there;
    if (there !== undefined) this.remove(directory, name);
    const node = this.create(directory, name, record);
    node.isOpaque = this.keepsWhiteouts && there !== undefined;
    return node;
  }

  /** Hands all rows to the builder; where it yields other work may go on. */
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
    // A directory of the base that the archive says nothing of was changed by what was unpacked into it.
    if (node.isBase && node.xattrs === undefined && node.changedNames.size > 0)
      record = { ...record, ...now };
    builder.putInode(ino, record);
    for (const name of node.changedNames) this.storeName(node, name);
  }

  private storeName(directory: TreeNode, name: Name): void {
    const child = directory.names?.get(name);
    assert(child === undefined || child instanceof TreeNode, 'a name that changed was looked at');
    if (child !== undefined) {
      this.builder.putDentry(directory.ino, name, child.ino, kindOfMode(child.record.mode));
    } else if (directory.isBase && this.builder.base?.list(directory.ino).has(name) === true) {
      this.builder.putDentry(directory.ino, name, WHITEOUT_DENTRY.ino, WHITEOUT_DENTRY.kind);
    }
  }
}

/** Whether a node is a whiteout that is kept. */
export function isKeptWhiteout(node: TreeNode): boolean {
  return isWhiteoutDevice(node.record);
}
