/**
 * Exports the changes of a tree as a layer: new and modified files, the directories that they lie in, and a whiteout
 * for each removed name. As a tar the export is a layer of the OCI image specification (layer.md), as a directory a
 * layer of overlayfs (overlayfs.rst). Applied to the tree before the changes, the layer gives the tree after them. No
 * directory is opaque, since removed names are listed one by one.
 */
import type { Writable } from 'node:stream';
import { FsError, isDirectoryMode, type Name } from '../base/index.ts';
import type { StoredTree, StoreEngine } from '../store/index.ts';
import { changedPaths, TreePaths } from '../survey/index.ts';
import type { TreeFiles } from '../vfs/index.ts';
import { exportReader } from './export.ts';
import type { ExportReport } from './export-report.ts';
import type { TransferProgress } from './tally.ts';
import { childPath, TreeReader } from './tree-walk.ts';
import { OCI_PREFIX } from './whiteouts.ts';

/** `oci`: a tar, compressed with gzip if the name ends in .gz or .tgz; `overlay`: a directory. */
export type ChangesFormat = 'oci' | 'overlay';

export interface ChangesOptions {
  readonly format?: ChangesFormat | undefined;
  readonly progress?: ((state: TransferProgress) => void) | undefined;
}

/** A tree to export: its files, and its rows before and after the changes. */
export interface ChangedTree {
  readonly name: string;
  readonly files: TreeFiles;
  readonly before: StoredTree;
  readonly after: StoredTree;
}

/**
 * Writes the differences between `before` and `after` to `destination`. Errors are those of `exportFileSystem`; EINVAL
 * for a name that begins with `.wh.`, which in a tar layer is a whiteout.
 */
export async function exportChanges(
  engine: StoreEngine,
  tree: ChangedTree,
  destination: string | Writable,
  { format = 'oci', progress }: ChangesOptions = {},
): Promise<ExportReport> {
  const reader = new ChangesReader(engine, tree, format);
  const options = { format: format === 'oci' ? 'tar' : 'directory', progress } as const;
  return await exportReader(engine.system, reader, destination, options);
}

class ChangesReader extends TreeReader {
  /** The names that are in the layer (`shownIn`) and the names that it removes (`goneFrom`), by directory. */
  private readonly shownIn = new Map<string, Set<Name>>();
  private readonly goneFrom = new Map<string, Name[]>();
  private readonly format: ChangesFormat;

  constructor(engine: StoreEngine, { name, files, before, after }: ChangedTree, format: ChangesFormat) {
    super(name, files);
    this.format = format;
    const { gone, put } = changedPaths(engine, before, after);
    for (const path of put.keys()) this.show(path);
    // Put a changed file in the layer under all its names; a name left out would still lead to the old file.
    for (const [, paths] of new TreePaths(after).linkedAt(put.keys()))
      for (const path of paths) this.show(path);
    for (const path of gone.keys()) {
      const { directory, last } = parted(path);
      const ino = after.inoAt(directory);
      // No whiteout is needed for an entry of a removed directory, which goes with it, or for a name under which the
      // layer has something new.
      if (put.has(path) || ino === undefined) continue;
      if (!isDirectoryMode(after.record(ino)?.mode ?? 0)) continue;
      this.show(directory);
      const list = this.goneFrom.get(directory);
      if (list === undefined) this.goneFrom.set(directory, [last]);
      else list.push(last);
    }
  }

  /** Puts a path in the layer, and every directory that leads to it. */
  private show(path: string): void {
    let at = path;
    while (at !== '/' && at !== '') {
      const { directory, last } = parted(at);
      const names = this.shownIn.get(directory) ?? new Set();
      this.shownIn.set(directory, names.add(last));
      at = directory;
    }
  }

  override names(path: string): Name[] {
    const names = [...(this.shownIn.get(path) ?? [])].sort((a, b) => (a < b ? -1 : 1));
    const marked = this.format === 'oci' ? names.find((name) => name.startsWith(OCI_PREFIX)) : undefined;
    if (marked === undefined) return names;
    throw new FsError('EINVAL', {
      syscall: 'export',
      path: this.shown(childPath(path, marked)),
      note: "a tar layer takes a name that begins with '.wh.' for a whiteout: use the format overlay",
    });
  }

  override whiteouts(path: string): readonly Name[] {
    return [...(this.goneFrom.get(path) ?? [])].sort((a, b) => (a < b ? -1 : 1));
  }
}

function parted(path: string): { readonly directory: string; readonly last: Name } {
  const slash = path.lastIndexOf('/');
  // The cast: what follows the last slash of a path is a name.
  return { directory: path.slice(0, slash) || '/', last: path.slice(slash + 1) as Name };
}
