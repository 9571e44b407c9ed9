/** `importTree`: a directory of the host becomes a snapshot. */
import path from 'node:path';
import { FsError } from '../../base/index.ts';
import { EarlierVersion, type LayerBuilder, type StoreEngine } from '../../store/index.ts';
import { isDirectoryMode, onHost } from './host-tree.ts';
import type { ImportReport } from './import-report.ts';
import { type ImportOptions, TreeImport } from './tree-import.ts';

/**
 * Imports `hostDirectory` as a snapshot called `options.name`: files, directories, symlinks, hard links,
 * holes, extended attributes, modes, owners and times to the nanosecond. Identical contents are stored once, and so are
 * the blocks that a changed file has in common with its earlier version: in `options.against`, or else in the latest
 * snapshot of the same directory. Mount points inside are followed; the store's own directory is left out.
 *
 * Errors: EEXIST (the name is taken) before anything is read; ENOENT, ENOTDIR, EACCES of the directory;
 * EACCES, EIO … of a file, named, unless `skipUnreadable`; ENOSPC; ECANCELED. After an error nothing of the
 * import stays.
 */
export async function importTree(
  target: StoreEngine,
  hostDirectory: string,
  options: ImportOptions,
): Promise<ImportReport> {
  const started = performance.now();
  const source = path.resolve(hostDirectory);
  const sourcePath = Buffer.from(source, 'utf8');
  const { system } = target;
  const stat = onHost('scandir', sourcePath, () => system.statHost(sourcePath, true));
  if (!isDirectoryMode(stat.mode)) throw new FsError('ENOTDIR', { syscall: 'scandir', path: source });
  onHost('scandir', sourcePath, () => system.readHostDirectory(sourcePath));
  const builder = target.buildLayer(options.name, source);
  let run: TreeImport;
  try {
    const earlier = EarlierVersion.find(target, source, options.against);
    run = new TreeImport(system, builder, target.directory, options, earlier);
  } catch (error) {
    giveUp(builder);
    throw error;
  }
  try {
    await run.all(sourcePath, stat);
    builder.finish();
  } catch (error) {
    await run.settle();
    giveUp(builder);
    throw error;
  }
  return run.tally.report(options.name, source, performance.now() - started);
}

/**
 * On a full or failing disk even giving up may fail: gc removes what is left, and the first error is the one
 * to tell.
 */
function giveUp(builder: LayerBuilder): void {
  try {
    builder.abort();
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
  }
}
