/**
 * A union: several trees stacked into one computed layer, as the kernel's overlayfs shows its lower layers
 * (Documentation/filesystems/overlayfs.rst). docs/unions.md has the rules in words.
 *
 * A lookup asks the components from the uppermost down, and the first one that has the name decides. A whiteout hides
 * the name in the components below. A file is shown as it is. A directory is merged with the directories of that name
 * in the components below, down to the first component that has a file or a whiteout there, or up to and including an
 * opaque directory. Whiteouts and the marks of an overlay are not shown. A file that a component's own layers removed
 * does not exist in the component, and hides nothing below it.
 *
 * A directory's number and attributes are those of its uppermost part. `climb` finds the place of a directory from its
 * number alone, so the map of known directories may be cleared at any time.
 */
import {
  DT_CHR,
  DT_DIR,
  DT_REG,
  FsError,
  type Ino,
  isFileMode,
  kindOfMode,
  type LayerId,
  type Name,
  type Run,
} from '../base/index.ts';
import type { DentryRecord, InodeRecord, NamedDentry } from '../meta/index.ts';
import { isDerived } from './derived-numbers.ts';
import type { FrozenTree } from './frozen-tree.ts';
import type { DerivedLower, HostFile } from './lower.ts';
import { decodeUnionOrigin, encodeUnionOrigin, type UnionPart } from './origin-format.ts';
import {
  isMarkedWhiteout,
  isWhiteoutDevice,
  NO_MARKS,
  type OverlayMarks,
  overlayMarks,
  shownXattrs,
} from './overlay-marks.ts';
import { UnionNumbers } from './union-numbers.ts';

/** How many directories to remember at most, at about 200 bytes each. */
const DIRECTORIES_MAX = 65_536;

/** A directory of a component that is part of a directory of the union. */
interface DirectoryPart extends UnionPart {
  /** True: empty files in the directory are whiteouts if they have the attribute `whiteout`. */
  readonly hasMarkedWhiteouts: boolean;
}

interface UnionDirectory {
  readonly ino: Ino;
  /** The parent, and the name there; undefined for the root. */
  readonly place: { readonly directory: UnionDirectory; readonly name: Name } | undefined;
  /** Uppermost first. Undefined until needed, and always if a component is live, since the parts may then change. */
  parts: readonly DirectoryPart[] | undefined;
}

/**
 * The entry of a component for a name or path. `hidden`: a whiteout, or a path that leads through something other than
 * a directory. Either hides the name in the components below.
 */
type Met =
  | { readonly is: 'hidden' }
  | { readonly is: 'file'; readonly dentry: DentryRecord }
  | { readonly is: 'directory'; readonly dentry: DentryRecord; readonly marks: OverlayMarks };

export class UnionLayer implements DerivedLower {
  readonly id: LayerId;
  readonly isBase = true;
  readonly isLive: boolean;
  readonly rootIno: Ino;
  readonly components: readonly FrozenTree[];
  private readonly numbers: UnionNumbers;
  private readonly root: UnionDirectory;
  private readonly directories = new Map<Ino, UnionDirectory>();
  private isWalked = false;

  /** `stored` reads the table of origins for a number of this layer. */
  constructor(id: LayerId, components: readonly FrozenTree[], stored: (ino: Ino) => Uint8Array | undefined) {
    this.id = id;
    this.components = components;
    this.isLive = components.some(({ live }) => live !== undefined);
    this.numbers = new UnionNumbers((ino) => {
      const origin = stored(ino);
      if (origin !== undefined) this.teach(origin);
      return origin;
    });
    this.rootIno = this.numbers.numberOf(0, components[0]!.root);
    this.root = { ino: this.rootIno, place: undefined, parts: undefined };
    this.directories.set(this.rootIno, this.root);
  }

  mayHave(ino: Ino): boolean {
    return isDerived(ino);
  }

  // Inodes.

  inode(ino: Ino): InodeRecord | undefined {
    const part = this.partBehind(ino);
    const record = part && this.recordOf(part);
    if (part === undefined || record === undefined) return undefined;
    this.requireWhole(part, record);
    return this.shownRecord(ino, record);
  }

  /** A component's record of an inode, as the union shows it. */
  private shownRecord(ino: Ino, record: InodeRecord): InodeRecord | undefined {
    const isDirectory = kindOfMode(record.mode) === DT_DIR;
    const directory = isDirectory ? this.directory(ino) : undefined;
    if (isDirectory && directory === undefined) return undefined;
    return {
      ...record,
      nlink: directory === undefined ? record.nlink : this.linksOf(directory),
      extentLayer: record.extentLayer === 0 ? 0 : this.id,
      xattrLayer: record.xattrLayer === 0 ? 0 : this.id,
      // 0 for other files. A component knows the directory that last got a name of the file, but not where the union
      // shows that directory.
      parent: directory === undefined ? (0 as Ino) : (directory.place?.directory.ino ?? this.rootIno),
    };
  }

  private recordOf({ component, ino }: UnionPart): InodeRecord | undefined {
    return this.components[component]?.record(ino);
  }

  /** ENOTSUP for a file whose bytes are in another layer. */
  private requireWhole({ component, ino }: UnionPart, record: InodeRecord): void {
    if (record.xattrLayer === 0 || !isFileMode(record.mode)) return;
    if (!this.marksOf(component, ino, record).isMetacopy) return;
    const note =
      'a lower has the mark `overlay.metacopy` on this file: its bytes are in another layer. ' +
      'Import that layer with metacopy=off, or the mounted overlay itself';
    throw new FsError('ENOTSUP', { note });
  }

  private marksOf(component: number, ino: Ino, record: InodeRecord): OverlayMarks {
    return record.xattrLayer === 0 ? NO_MARKS : overlayMarks(this.components[component]!.xattrs(ino, record));
  }

  /**
   * Two, plus the number of subdirectories of each part. The count is never too small, so removing subdirectories never
   * takes it below two. The count is too large where two parts have a subdirectory of the same name, because an exact
   * count would make every stat list the directory.
   */
  private linksOf(directory: UnionDirectory): number {
    let links = 2;
    for (const part of this.partsOf(directory)) links += Math.max(0, (this.recordOf(part)?.nlink ?? 2) - 2);
    return links;
  }

  runs(ino: Ino): readonly Run[] {
    const part = this.partBehind(ino);
    const record = part && this.recordOf(part);
    if (part === undefined || record === undefined) return [];
    return this.components[part.component]!.runs(part.ino, record);
  }

  xattrs(ino: Ino): Map<string, Buffer> | undefined {
    const part = this.partBehind(ino);
    const record = part && this.recordOf(part);
    if (part === undefined || record === undefined) return undefined;
    return shownXattrs(this.components[part.component]!.xattrs(part.ino, record));
  }

  // Names.

  dentry(directory: Ino, name: Name): DentryRecord | undefined {
    const above = this.directory(directory);
    if (above === undefined) return undefined;
    for (const part of this.partsOf(above)) {
      const met = this.meet(part, name);
      if (met === undefined) continue;
      return met.is === 'hidden' ? undefined : this.shown(above, name, part.component, met.dentry);
    }
    return undefined;
  }

  list(directory: Ino): NamedDentry[] {
    const above = this.directory(directory);
    if (above === undefined) return [];
    const parts = this.partsOf(above);
    const names = new Map<Name, DentryRecord | undefined>();
    for (const part of parts) {
      for (const { name, dentry } of this.components[part.component]!.names(part.ino)) {
        if (names.has(name)) continue;
        const isHidden = this.isHidden(part, dentry);
        names.set(name, isHidden ? undefined : this.shown(above, name, part.component, dentry));
      }
    }
    const shown: NamedDentry[] = [];
    for (const [name, dentry] of names) if (dentry !== undefined) shown.push({ name, dentry });
    return parts.length === 1 ? shown : shown.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  names(directory: Ino): Name[] {
    return this.list(directory).map(({ name }) => name);
  }

  /** The union's own entry for a component's entry. Remembers the place of a directory. */
  private shown(
    directory: UnionDirectory,
    name: Name,
    component: number,
    { ino, kind }: DentryRecord,
  ): DentryRecord {
    const number = this.numbers.numberOf(component, ino);
    if (kind === DT_DIR) this.remember({ ino: number, place: { directory, name }, parts: undefined });
    return { ino: number, kind };
  }

  private remember(directory: UnionDirectory): UnionDirectory {
    const known = this.directories.get(directory.ino);
    if (known !== undefined && !this.isLive) return known;
    if (this.directories.size >= DIRECTORIES_MAX) {
      this.directories.clear();
      this.directories.set(this.rootIno, this.root);
    }
    if (directory.ino !== this.rootIno) this.directories.set(directory.ino, directory);
    return directory;
  }

  private meet(part: DirectoryPart, name: Name): Met | undefined {
    const dentry = this.components[part.component]!.entry(part.ino, name);
    if (dentry === undefined) return undefined;
    if (this.isHidden(part, dentry)) return { is: 'hidden' };
    if (dentry.kind !== DT_DIR) return { is: 'file', dentry };
    const record = this.components[part.component]!.record(dentry.ino);
    return record === undefined
      ? undefined
      : { is: 'directory', dentry, marks: this.marksOf(part.component, dentry.ino, record) };
  }

  /** True when a component's entry is a whiteout. */
  private isHidden({ component, hasMarkedWhiteouts }: DirectoryPart, { ino, kind }: DentryRecord): boolean {
    if (kind !== DT_CHR && !(hasMarkedWhiteouts && kind === DT_REG)) return false;
    const chain = this.components[component]!;
    const record = chain.record(ino);
    if (record === undefined) return false;
    return (
      isWhiteoutDevice(record) || (hasMarkedWhiteouts && isMarkedWhiteout(record, chain.xattrs(ino, record)))
    );
  }

  // Merging.

  private partsOf(directory: UnionDirectory): readonly DirectoryPart[] {
    if (directory.parts !== undefined) return directory.parts;
    const { place } = directory;
    const parts = place ? this.merge(this.partsOf(place.directory), place.name) : this.rootParts();
    if (!this.isLive) directory.parts = parts;
    return parts;
  }

  private rootParts(): DirectoryPart[] {
    const parts: DirectoryPart[] = [];
    for (const [component, tree] of this.components.entries()) {
      const ino = tree.root;
      const record = tree.record(ino);
      if (record === undefined) continue;
      const marks = this.marksOf(component, ino, record);
      parts.push({ component, ino, hasMarkedWhiteouts: marks.hasMarkedWhiteouts });
      if (marks.isOpaque) break;
    }
    return parts;
  }

  /** The parts of a directory, given the parts of its parent. */
  private merge(above: readonly DirectoryPart[], name: Name): DirectoryPart[] {
    const parts: DirectoryPart[] = [];
    let wanted = name;
    for (const at of above) {
      const met = this.meet(at, wanted);
      if (met === undefined) continue;
      if (met.is !== 'directory') break;
      parts.push(partOf(at.component, met));
      const { isOpaque, redirect } = met.marks;
      if (isOpaque) break;
      if (redirect?.startsWith('/') === true) {
        this.follow(redirect, at.component + 1, parts);
        break;
      }
      // A relative redirect is another name in the same directory.
      if (redirect !== undefined) wanted = redirect as Name; // The cast: the kernel wrote a file name.
    }
    return parts;
  }

  /** Adds the directories that the components from `from` on have at `path`, the redirect of a higher component. */
  private follow(path: string, from: number, parts: DirectoryPart[]): void {
    let names = namesOf(path);
    for (let component = from; component < this.components.length; component++) {
      const met = this.meetPath(component, names);
      if (met === undefined) continue;
      if (met.is !== 'directory') return;
      parts.push(partOf(component, met));
      const { isOpaque, redirect } = met.marks;
      if (isOpaque) return;
      if (redirect?.startsWith('/') === true) names = namesOf(redirect);
      else if (redirect !== undefined) names = [...names.slice(0, -1), redirect as Name]; // The cast: as in `merge`.
    }
  }

  private meetPath(component: number, names: readonly Name[]): Met | undefined {
    const { root } = this.components[component]!;
    let at: DirectoryPart = { component, ino: root, hasMarkedWhiteouts: false };
    let met: Met | undefined;
    for (const name of names) {
      if (met !== undefined) {
        if (met.is !== 'directory') return { is: 'hidden' };
        at = partOf(component, met);
      }
      met = this.meet(at, name);
      if (met === undefined) return undefined;
    }
    return met;
  }

  // Finding directories by number.

  private directory(ino: Ino): UnionDirectory | undefined {
    const part = this.partBehind(ino);
    if (part === undefined) return undefined;
    const known = this.directories.get(ino);
    // In a live component another directory may have taken the place of the known one.
    if (known !== undefined && (!this.isLive || this.withPart(known, part.component, part.ino) !== undefined))
      return known;
    const found = this.climb(part);
    if (found?.ino === ino) return found;
    // A redirect may have moved the directory, so that its names in the component do not lead to it in the union.
    this.walk();
    return this.directories.get(ino);
  }

  /**
   * The component and inode that a number stands for; undefined for an unknown number. Walks the whole union for a
   * hashed number that is not known.
   */
  private partBehind(ino: Ino): UnionPart | undefined {
    const known = this.numbers.partOf(ino);
    if (known !== undefined || !isDerived(ino)) return known;
    this.walk();
    return this.numbers.partOf(ino);
  }

  /**
   * Visits every inode, so that hashed numbers and directories become known. Does so at most once, and never in a live
   * union.
   */
  private walk(): void {
    if (this.isWalked || this.isLive) return;
    this.isWalked = true;
    for (const _ino of this.shownInodes());
  }

  /**
   * The directory of the union that a component's directory is part of. Follows the parents up to the component's root,
   * then the names back down in the union.
   */
  private climb({ component, ino }: UnionPart): UnionDirectory | undefined {
    const chain = this.components[component];
    if (chain === undefined) return undefined;
    const way: Ino[] = [];
    const seen = new Set<Ino>();
    for (let at = ino; at !== chain.root; ) {
      const record = chain.record(at);
      // In a damaged component parents may lead round in circles.
      if (record === undefined || kindOfMode(record.mode) !== DT_DIR || seen.has(at)) return undefined;
      seen.add(at);
      way.push(at);
      at = record.parent;
    }
    let [found, above] = [this.withPart(this.root, component, chain.root), chain.root];
    for (const next of way.reverse()) {
      const named = chain.names(above).find(({ dentry }) => dentry.ino === next);
      const dentry = found && named && this.dentry(found.ino, named.name);
      const directory = dentry?.kind === DT_DIR ? this.directories.get(dentry.ino) : undefined;
      found = directory && this.withPart(directory, component, next);
      above = next;
    }
    return found;
  }

  private withPart(directory: UnionDirectory, component: number, ino: Ino): UnionDirectory | undefined {
    const has = this.partsOf(directory).some((part) => part.component === component && part.ino === ino);
    return has ? directory : undefined;
  }

  /** Every inode with a name in the union, once. */
  *shownInodes(): Generator<Ino> {
    const seen = new Set<Ino>();
    const left = [this.root];
    yield this.rootIno;
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      for (const { name, dentry } of this.list(next.ino)) {
        if (seen.has(dentry.ino)) continue;
        seen.add(dentry.ino);
        yield dentry.ino;
        if (dentry.kind !== DT_DIR) continue;
        left.push(this.remember({ ino: dentry.ino, place: { directory: next, name }, parts: undefined }));
      }
    }
  }

  /** The records of the inodes that the union shows, including files that `requireWhole` refuses. */
  *shownRecords(): Generator<[Ino, InodeRecord]> {
    for (const ino of this.shownInodes()) {
      const part = this.partBehind(ino);
      const record = part && this.recordOf(part);
      const shown = record && this.shownRecord(ino, record);
      if (shown !== undefined) yield [ino, shown];
    }
  }

  /** Includes the numbers of files that a higher component hides. */
  shownAs(layer: LayerId, ino: Ino): Ino[] {
    return this.components.flatMap((tree, component) =>
      tree.shownAs(layer, ino).map((number) => this.numbers.numberOf(component, number)),
    );
  }

  // Numbers of derived components.

  origin(ino: Ino): Uint8Array | undefined {
    const part = this.numbers.isHashed(ino) ? this.partBehind(ino) : undefined;
    if (part === undefined) return undefined;
    return encodeUnionOrigin(part, this.components[part.component]?.derived?.origin(part.ino));
  }

  learn(ino: Ino, origin: Uint8Array): void {
    this.numbers.learn(ino, this.teach(origin));
  }

  /**
   * Decodes an origin and returns the part that it names. If the origin contains the component's own origin of the
   * inode, hands that to the component, which could not find the inode otherwise. EIO if there is no such component.
   */
  private teach(origin: Uint8Array): UnionPart {
    const { part, inner } = decodeUnionOrigin(origin);
    if (this.components[part.component] === undefined)
      throw new FsError('EIO', { note: `layer ${this.id} has fewer trees than an origin says; run fsck` });
    if (inner.length > 0) this.components[part.component]?.derived?.learn(part.ino, inner);
    return part;
  }

  placeOf(ino: Ino): { readonly directory: Ino; readonly name: Name } | undefined {
    const place = this.directories.get(ino)?.place;
    if (place !== undefined) return { directory: place.directory.ino, name: place.name };
    const part = this.partBehind(ino);
    const there = part && this.components[part.component]?.derived?.placeOf(part.ino);
    const above = there && this.climb({ component: part.component, ino: there.directory });
    return above && { directory: above.ino, name: there.name };
  }

  hostFile(ino: Ino): HostFile | undefined {
    const part = this.partBehind(ino);
    const live = part && this.components[part.component]?.live;
    return live && this.recordOf(part)?.extentLayer === live.id ? live.hostFile(part.ino) : undefined;
  }

  forgetSeen(): void {
    for (const { live } of this.components) live?.forgetSeen();
  }

  close(): void {
    for (const { lowers } of this.components) for (const layer of lowers) layer.close?.();
  }
}

function namesOf(path: string): Name[] {
  return path.split('/').filter((part) => part !== '') as Name[]; // The cast: parts of a path are names.
}

function partOf(component: number, { dentry, marks }: Extract<Met, { is: 'directory' }>): DirectoryPart {
  return { component, ino: dentry.ino, hasMarkedWhiteouts: marks.hasMarkedWhiteouts };
}
