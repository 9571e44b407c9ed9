/** fsck passes over names: `filters` and `links`. */
import { DT_DIR, type Ino, isDirectoryMode, kindOfMode, type LayerId, type Name } from '../base/index.ts';
import { type FrozenTree, holderOf, isDerived } from '../lower/index.ts';
import type { DentryRecord, InodeRecord, MetaTables } from '../meta/index.ts';
import type { Checked, Findings } from './fsck-findings.ts';
import { isLiveLayer, layerView, standsOnLive } from './layer-view.ts';

/**
 * Checks that a layer with names in a directory also has that directory's record, and that the layer that a record
 * names for extended attributes has them.
 */
export function checkFilters(checked: Checked, findings: Findings): void {
  const { tables } = checked.engine;
  for (const layer of checked.settled.keys()) {
    const inos = new Set(tables.inodes.inos(layer));
    for (const directory of tables.dentries.directories(layer)) {
      findings.checked++;
      if (inos.has(directory)) continue;
      findings.add(`layer ${layer} has names in directory ${directory}, but no record of it`);
    }
    checkXattrs(checked, layer, findings);
  }
}

function checkXattrs({ engine, layers }: Checked, layer: LayerId, findings: Findings): void {
  const { tables } = engine;
  const view = layerView(tables, layers, layer);
  for (const [ino, { mode, xattrLayer }] of tables.inodes.entries(layer)) {
    if (mode === 0 || xattrLayer === 0 || isLiveLayer(layers, xattrLayer)) continue;
    findings.checked++;
    const holder = holderOf(view.lowers, ino, 'xattrLayer', xattrLayer);
    if (view.find(holder)?.xattrs(ino) !== undefined) continue;
    findings.add(
      `the attributes of inode ${ino} of layer ${layer} are not in layer ${xattrLayer}, which it names`,
    );
  }
}

/**
 * Checks that the link count of a file is the number of its names, and that a directory has one name, counts its
 * subdirectories, and records the parent that lists it.
 */
export function checkLinks(checked: Checked, findings: Findings): void {
  for (const layer of checked.settled.keys()) new LinkCheck(checked, findings, layer).run();
}

/**
 * Checks the link counts of one layer against the layers below, which were checked before. So every row is read once,
 * however many trees stand on the layer.
 */
class LinkCheck {
  private readonly tables: MetaTables;
  private readonly findings: Findings;
  private readonly layer: LayerId;
  private readonly root: Ino;
  private readonly above: FrozenTree;
  private readonly below: FrozenTree;
  private readonly isOnLive: boolean;
  /** How many names the layer adds (negative: removes), by inode. */
  private readonly links = new Map<Ino, number>();
  /** How many subdirectories the layer adds (negative: removes), by directory. */
  private readonly subdirectories = new Map<Ino, number>();

  constructor({ engine, layers }: Checked, findings: Findings, layer: LayerId) {
    const record = layers.get(layer)!;
    this.tables = engine.tables;
    this.findings = findings;
    this.layer = layer;
    this.root = record.root;
    this.above = layerView(engine.tables, layers, layer);
    this.below = layerView(engine.tables, layers, record.parent);
    this.isOnLive = standsOnLive(layers, record.parent);
  }

  run(): void {
    const moved: Ino[] = [];
    for (const [directory, { name, dentry }] of this.tables.dentries.entries(this.layer)) {
      this.findings.checked++;
      const now = dentry.ino === 0 ? undefined : dentry;
      const old = this.below.entry(directory, name);
      if (now !== undefined) this.checkEntry(directory, name, now);
      this.count(directory, old, -1);
      this.count(directory, now, 1);
      if (now?.kind === DT_DIR && old?.ino !== now.ino) moved.push(now.ino);
    }
    this.countDead();
    const inos = new Set(this.links.keys());
    for (const ino of this.tables.inodes.inos(this.layer)) inos.add(ino);
    // Inodes of a live layer are left out: the tables do not tell how many names they have in that layer.
    for (const ino of inos) if (!this.isOnLive || !isDerived(ino)) this.checkCount(ino);
    this.checkWayUp(moved);
  }

  private checkEntry(directory: Ino, name: Name, { ino, kind }: DentryRecord): void {
    const where = `name ${JSON.stringify(name)} in directory ${directory} of layer ${this.layer}`;
    const holder = this.above.record(directory);
    if (holder === undefined || !isDirectory(holder))
      this.findings.add(`${where}: ${directory} is no directory`);
    const target = this.above.record(ino);
    if (target === undefined) {
      this.findings.add(`${where} stands for inode ${ino}, which does not exist`);
      return;
    }
    if (kindOfMode(target.mode) !== kind)
      this.findings.add(`${where} says that inode ${ino} is of type ${kind}`);
    if (ino === this.root) this.findings.add(`${where} stands for the root`);
    if (isDirectory(target) && target.parent !== directory) {
      this.findings.add(`${where} is directory ${ino}, which says that it lies in ${target.parent}`);
    }
  }

  private count(directory: Ino, dentry: DentryRecord | undefined, by: number): void {
    if (dentry === undefined) return;
    this.links.set(dentry.ino, (this.links.get(dentry.ino) ?? 0) + by);
    if (dentry.kind !== DT_DIR) return;
    this.subdirectories.set(directory, (this.subdirectories.get(directory) ?? 0) + by);
  }

  /** Subtracts the names in directories that this layer removes. */
  private countDead(): void {
    for (const [ino, { mode }] of this.tables.inodes.entries(this.layer)) {
      if (mode !== 0) continue;
      for (const { dentry } of this.below.names(ino)) this.count(ino, dentry, -1);
    }
  }

  private checkCount(ino: Ino): void {
    const record = this.above.record(ino);
    const lower = this.below.record(ino);
    const names = nameCount(lower, this.root === ino) + (this.links.get(ino) ?? 0);
    this.findings.checked++;
    if (record === undefined) {
      // `checkEntry` reports names without an inode.
      if (lower !== undefined && names !== 0)
        this.findings.add(`${this.inode(ino)} is gone, but has ${names} names`);
      return;
    }
    if (!isDirectory(record)) {
      if (record.nlink !== names)
        this.findings.add(`${this.inode(ino)} has ${names} names and counts ${record.nlink}`);
      return;
    }
    const isNamed = ino === this.root ? 1 : names;
    const wantedNames = record.nlink === 0 ? 0 : 1;
    if (isNamed !== wantedNames) {
      this.findings.add(`${this.inode(ino)} is a directory with ${names} names, not ${wantedNames}`);
      return;
    }
    const inside = this.subdirectories.get(ino) ?? 0;
    const links = record.nlink === 0 ? 0 : (lower?.nlink ?? 2) + inside;
    if (record.nlink !== links) {
      this.findings.add(`${this.inode(ino)} is a directory that counts ${record.nlink} links, not ${links}`);
    }
  }

  private inode(ino: Ino): string {
    return `inode ${ino} of layer ${this.layer}`;
  }

  /** Checks that the parents of every new or moved directory lead to the root. */
  private checkWayUp(directories: readonly Ino[]): void {
    const good = new Set<Ino>([this.root]);
    for (const start of directories) {
      const way: Ino[] = [];
      let at: Ino | undefined = start;
      while (at !== undefined && !good.has(at) && !way.includes(at)) {
        way.push(at);
        at = this.above.record(at)?.parent;
      }
      if (at !== undefined && good.has(at)) for (const ino of way) good.add(ino);
      else this.findings.add(`directory ${start} of layer ${this.layer} cannot be reached from the root`);
    }
  }
}

function isDirectory(record: InodeRecord): boolean {
  return isDirectoryMode(record.mode);
}

/** How many names an inode has in the layers below, where `record` is its record. */
function nameCount(record: InodeRecord | undefined, isRoot: boolean): number {
  if (record === undefined) return 0;
  if (!isDirectory(record)) return record.nlink;
  return isRoot || record.nlink === 0 ? 0 : 1;
}
