/**
 * The tree that an archive unpacks to, known in full only at the end of the archive: later members replace earlier
 * ones, and whiteouts remove entries of the base. Over a base only the differences are stored. Without a base the tree
 * is a layer of its own, and whiteouts are stored in the form of overlayfs: a character device 0/0, or an attribute of
 * an opaque directory.
 *
 * Until the archive ends, names and directories are kept in memory, up to `entriesMax`. Everything else (attributes,
 * extents, targets, records of files) goes to the builder at once; when a later member replaces a file, the builder
 * takes the file's rows back.
 *
 * A whiteout hides entries of lower layers only: those of the archive itself stay, whether they come before or after it
 * (OCI image-spec, layer.md, "Whiteouts").
 */
import {
  assert,
  FsError,
  type Ino,
  isDirectoryMode,
  kindOfMode,
  type Name,
  nameFromBytes,
  nameToBytes,
  nameToString,
  PATH_BYTES_MAX,
  type Run,
} from '../base/index.ts';
import { isWhiteoutDevice, OPAQUE_VALUE, OPAQUE_XATTR, WHITEOUT_MODE } from '../lower/index.ts';
import type { DentryRecord, InodeRecord } from '../meta/index.ts';
import type { LayerBuilder } from '../store/index.ts';

const WHITEOUT_DENTRY = { ino: 0 as Ino, kind: 0 }; // In the table, inode 0 marks a whiteout.
/** Longer targets of symlinks are not kept in memory, but read again when a path leads through the symlink. */
const KEPT_TARGET_BYTES_MAX = 255;
/** Longer names are copied, because V8 would otherwise keep in memory the whole path that the name was cut from. */
const CUT_CHARACTERS_MAX = 12;

/** A record without the fields that the tree computes. */
export type NewRecord = Omit<InodeRecord, 'nlink' | 'parent' | 'extentLayer' | 'xattrLayer'>;

type Moment = Pick<InodeRecord, 'mtimeSeconds' | 'mtimeNanoseconds'>;

/** The parts of a file besides its record: extents and extended attributes. */
export interface NodeParts {
  readonly runs: readonly Run[];
  readonly xattrs: ReadonlyMap<string, Buffer>;
}

const NO_PARTS: NodeParts = { runs: [], xattrs: new Map() };

export class FileNode {
  readonly ino: Ino;
  readonly mode: number;
  readonly isWhiteout: boolean;
  /** The target of a symlink; undefined if it is too long to keep. Empty for other files. */
  readonly target: string | undefined;
  /**
   * The record of a file of the base. Undefined for other files, whose rows are written as soon as they are unpacked.
   */
  readonly record: InodeRecord | undefined;
  nlink: number;
  /** True if the archive has a member for this file. */
  isUnpacked = false;

  constructor(ino: Ino, record: InodeRecord, isBase: boolean) {
    this.ino = ino;
    this.mode = record.mode;
    this.isWhiteout = isWhiteoutDevice(record);
    this.target = record.target.length > KEPT_TARGET_BYTES_MAX ? undefined : record.target;
    this.record = isBase ? record : undefined;
    this.nlink = record.nlink;
  }
}

export class DirectoryNode {
  readonly ino: Ino;
  readonly isBase: boolean;
  /** Undefined for the root. */
  readonly parent: DirectoryNode | undefined;
  /** Length of the directory's path in bytes, with a slash at the front of each name. */
  readonly pathBytes: number;
  readonly isWhiteout = false;
  record: InodeRecord;
  nlink: number;
  /** The entries of the directory by name; read on first use. */
  names: Map<Name, TreeNode | DentryRecord> | undefined;
  /** For a directory of the base: the names whose entries have changed. */
  changedNames: Set<Name> | undefined;
  /** True if the archive has a member for this directory, or for something in it. */
  isUnpacked = false;
  /** True if the archive has a member for the directory itself. */
  isDescribed = false;
  isOpaque = false;
  /** True once an opaque whiteout has removed the entries that the directory had in the base. */
  isCleared = false;
  /** True if empty files in the directory may be whiteouts, marked by an attribute. */
  hasMarkedWhiteouts = false;

  constructor(ino: Ino, record: InodeRecord, isBase: boolean, parent?: DirectoryNode, name = '') {
    this.ino = ino;
    this.isBase = isBase;
    this.parent = parent;
    this.pathBytes = parent === undefined ? 0 : parent.pathBytes + 1 + name.length;
    this.record = record;
    this.nlink = record.nlink;
  }

  get mode(): number {
    return this.record.mode;
  }
}

export type TreeNode = FileNode | DirectoryNode;

function isNode(found: TreeNode | DentryRecord): found is TreeNode {
  return found instanceof FileNode || found instanceof DirectoryNode;
}

export class ArchiveTree {
  readonly root: DirectoryNode;
  private readonly builder: LayerBuilder;
  /** The archive's path, for messages. */
  private readonly archive: string;
  private readonly entriesMax: number;
  private entries = 0;
  /** The nodes of the base that were looked up so far. */
  private readonly baseNodes = new Map<Ino, TreeNode>();
  /** The nodes whose row or tombstone is still to be written. */
  private readonly changed = new Set<TreeNode>();

  /** `root` is the root's record, used only if there is no base. */
  constructor(builder: LayerBuilder, root: NewRecord, archive: string, entriesMax: number) {
    this.builder = builder;
    this.archive = archive;
    this.entriesMax = entriesMax;
    const base = builder.base?.record(builder.root);
    const record = base ?? { ...root, nlink: 2, parent: builder.root, extentLayer: 0, xattrLayer: 0 };
    this.root = new DirectoryNode(builder.root, record, base !== undefined);
    if (base === undefined) this.changed.add(this.root);
    else this.baseNodes.set(this.root.ino, this.root);
  }

  /** True if whiteouts are stored, to hide entries of the trees below this tree. */
  private get keepsWhiteouts(): boolean {
    return this.builder.base === undefined;
  }

  /** The entry of a directory under a name; may be a stored whiteout. */
  child(directory: DirectoryNode, name: Name): TreeNode | undefined {
    const names = this.namesOf(directory);
    const found = names.get(name);
    if (found === undefined || isNode(found)) return found;
    let node = this.baseNodes.get(found.ino);
    if (node === undefined) {
      const record = this.builder.base?.record(found.ino);
      assert(record !== undefined, 'a name of the base has an inode');
      node = isDirectoryMode(record.mode)
        ? new DirectoryNode(found.ino, record, true, directory, name)
        : new FileNode(found.ino, record, true);
      this.baseNodes.set(found.ino, node);
    }
    names.set(name, node);
    return node;
  }

  private namesOf(directory: DirectoryNode): Map<Name, TreeNode | DentryRecord> {
    directory.names ??= new Map(directory.isBase ? this.builder.base?.list(directory.ino) : undefined);
    return directory.names;
  }

  /** The target of a symlink of the tree. */
  targetOf(node: FileNode): string {
    return node.target ?? this.builder.recordOf(node.ino).target;
  }

  /** Creates a file under a free name. EFBIG beyond `entriesMax`, ENAMETOOLONG for a path that no call could take. */
  create(directory: DirectoryNode, name: Name, record: NewRecord, parts: NodeParts = NO_PARTS): FileNode {
    const { builder } = this;
    const ino = builder.newIno();
    const full: InodeRecord = {
      ...record,
      nlink: 1,
      parent: directory.ino,
      extentLayer: parts.runs.length > 0 ? builder.layer : 0,
      xattrLayer: parts.xattrs.size > 0 ? builder.layer : 0,
    };
    const node = new FileNode(ino, full, false);
    this.name(directory, name, node);
    builder.putInode(ino, full);
    if (parts.runs.length > 0) builder.putRuns(ino, parts.runs);
    if (parts.xattrs.size > 0) builder.putXattrs(ino, parts.xattrs);
    return node;
  }

  private createDirectory(directory: DirectoryNode, name: Name, record: NewRecord): DirectoryNode {
    const ino = this.builder.newIno();
    const full: InodeRecord = { ...record, nlink: 2, parent: directory.ino, extentLayer: 0, xattrLayer: 0 };
    const node = new DirectoryNode(ino, full, false, directory, name);
    this.name(directory, name, node);
    this.changed.add(node);
    directory.nlink++;
    return node;
  }

  /** Gives a file one more name, which must be free. */
  link(directory: DirectoryNode, name: Name, node: FileNode): void {
    this.name(directory, name, node);
    this.setLinks(node, node.nlink + 1, directory.ino);
  }

  private name(directory: DirectoryNode, name: Name, node: TreeNode): void {
    if (directory.pathBytes + 1 + name.length >= PATH_BYTES_MAX) {
      const note =
        `the path of '…/${nameToString(name)}' in it has more than ${PATH_BYTES_MAX - 1} bytes, ` +
        'which no call could take: pack it with shorter paths, or in parts';
      throw new FsError('ENAMETOOLONG', { syscall: 'import', path: this.archive, note });
    }
    if (++this.entries > this.entriesMax) {
      const note =
        `it has more than ${this.entriesMax} files and directories: ` +
        '--max-entries (maxEntries) takes more, each at some 300 bytes of memory';
      throw new FsError('EFBIG', { syscall: 'import', path: this.archive, note });
    }
    const own = name.length > CUT_CHARACTERS_MAX ? nameFromBytes(nameToBytes(name)) : name;
    this.namesOf(directory).set(own, node);
    this.noteChange(directory, own);
  }

  private noteChange(directory: DirectoryNode, name: Name): void {
    if (directory.isBase || directory.nlink > 0) this.changed.add(directory);
    if (!directory.isBase) return;
    directory.changedNames ??= new Set();
    directory.changedNames.add(name);
  }

  private setLinks(node: FileNode, nlink: number, parent?: Ino): void {
    node.nlink = nlink;
    if (node.record !== undefined) this.changed.add(node);
    else if (nlink === 0) this.builder.takeBack(node.ino);
    else this.builder.changeInode(node.ino, parent === undefined ? { nlink } : { nlink, parent });
  }

  /** Replaces the record and the attributes of a directory; its names stay. */
  describe(node: DirectoryNode, record: NewRecord, xattrs: ReadonlyMap<string, Buffer>): void {
    const { builder } = this;
    const { nlink, parent, extentLayer, xattrLayer } = node.record;
    if (xattrLayer === builder.layer) builder.takeBack(node.ino);
    if (xattrs.size > 0) builder.putXattrs(node.ino, xattrs);
    node.record = { ...record, nlink, parent, extentLayer, xattrLayer: xattrs.size > 0 ? builder.layer : 0 };
    node.isDescribed = true;
    this.changed.add(node);
  }

  /**
   * Notes that the archive has a member for `node`, or for `directory` itself, so that whiteouts leave it and the
   * directories above it alone.
   */
  unpacked(directory: DirectoryNode, node: FileNode | undefined): void {
    if (node !== undefined) node.isUnpacked = true;
    for (let at: DirectoryNode | undefined = directory; at !== undefined && !at.isUnpacked; at = at.parent) {
      at.isUnpacked = true;
    }
  }

  /** Removes an entry, with everything in it. */
  remove(directory: DirectoryNode, name: Name): void {
    const left = [this.removeOne(directory, name)];
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      if (at instanceof FileNode) continue;
      for (const inside of [...this.namesOf(at).keys()]) left.push(this.removeOne(at, inside));
    }
  }

  private removeOne(directory: DirectoryNode, name: Name): TreeNode | undefined {
    const node = this.child(directory, name);
    if (node === undefined) return undefined;
    this.namesOf(directory).delete(name);
    this.noteChange(directory, name);
    this.entries--;
    if (node instanceof FileNode) this.setLinks(node, node.nlink - 1);
    else {
      if (directory.nlink > 0) directory.nlink--;
      node.nlink = 0;
      if (node.isBase) this.changed.add(node);
      else this.changed.delete(node);
      if (node.record.xattrLayer === this.builder.layer) this.builder.takeBack(node.ino);
    }
    return node;
  }

  /**
   * Hides the entry of lower layers under a name. False if there was nothing to hide: the base has no such entry, or a
   * file of the archive itself hides it already.
   */
  whiteout(directory: DirectoryNode, name: Name, record: NewRecord): boolean {
    const there = this.child(directory, name);
    if (there?.isUnpacked === true) {
      if (there instanceof DirectoryNode) this.makeOpaque(there);
      return there instanceof DirectoryNode;
    }
    if (there !== undefined) this.remove(directory, name);
    if (this.keepsWhiteouts)
      this.create(directory, name, { ...record, mode: WHITEOUT_MODE, rdev: 0, size: 0 });
    return this.keepsWhiteouts || there !== undefined;
  }

  /** Hides all entries that lower layers have in a directory. */
  makeOpaque(directory: DirectoryNode): void {
    if (this.keepsWhiteouts) directory.isOpaque = true;
    if (this.keepsWhiteouts || directory.isCleared) return;
    directory.isCleared = true;
    for (const name of [...this.namesOf(directory).keys()]) {
      const child = this.child(directory, name)!;
      if (!child.isUnpacked) this.remove(directory, name);
      else if (child instanceof DirectoryNode && child.isBase) this.makeOpaque(child);
    }
  }

  /**
   * The directory under a name; creates it where there is none. A directory that replaces a file or a whiteout is
   * opaque, because the file or whiteout hid the entry of lower layers.
   */
  takeDirectory(directory: DirectoryNode, name: Name, record: NewRecord): DirectoryNode {
    const there = this.child(directory, name);
    if (there instanceof DirectoryNode) return there;
    if (there !== undefined) this.remove(directory, name);
    const node = this.createDirectory(directory, name, record);
    node.isOpaque = this.keepsWhiteouts && there !== undefined;
    return node;
  }

  /** Hands all rows that are left to the builder, and yields after each so that the caller can pause. */
  *store(now: Moment): Generator<void> {
    for (const node of this.changed) {
      if (node instanceof DirectoryNode) yield* this.storeDirectory(node, now);
      else this.storeFile(node);
      yield;
    }
  }

  /** Stores a file of the base whose names changed. */
  private storeFile({ ino, record, nlink }: FileNode): void {
    assert(record !== undefined, 'rows of other files are written already');
    if (nlink === 0) this.storeTombstone(ino, record);
    else this.builder.putInode(ino, { ...record, nlink });
  }

  private storeTombstone(ino: Ino, record: InodeRecord): void {
    this.builder.putInode(ino, { ...record, nlink: 0, mode: 0, extentLayer: 0, xattrLayer: 0, blocks: 0 });
  }

  private *storeDirectory(node: DirectoryNode, now: Moment): Generator<void> {
    const { builder } = this;
    const { ino, isBase, nlink } = node;
    if (nlink === 0) {
      this.storeTombstone(ino, node.record);
      return;
    }
    let record = { ...node.record, nlink };
    if (node.isOpaque) {
      builder.addXattr(ino, OPAQUE_XATTR, OPAQUE_VALUE);
      record.xattrLayer = builder.layer;
    }
    // The archive changed names in a directory of the base, but has no member for the directory itself: its mtime is
    // now.
    if (isBase && !node.isDescribed && node.changedNames !== undefined) record = { ...record, ...now };
    builder.putInode(ino, record);
    for (const name of (isBase ? node.changedNames : node.names?.keys()) ?? []) {
      this.storeName(node, name);
      yield;
    }
  }

  private storeName(directory: DirectoryNode, name: Name): void {
    const child = directory.names?.get(name);
    assert(child === undefined || isNode(child), 'a changed name has its node');
    if (child !== undefined) {
      this.builder.putDentry(directory.ino, name, child.ino, kindOfMode(child.mode));
    } else if (this.builder.base?.list(directory.ino).has(name) === true) {
      this.builder.putDentry(directory.ino, name, WHITEOUT_DENTRY.ino, WHITEOUT_DENTRY.kind);
    }
  }
}
