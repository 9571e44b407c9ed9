/** `importTree`: makes a snapshot of a host directory or an archive. */
import path from 'node:path';
import { FsError, isDirectoryMode, isFileMode } from '../base/index.ts';
import { HostFiles } from '../files/index.ts';
import { directoryIdentity } from '../lower/index.ts';
import type { LayerBuilder, StoreEngine } from '../store/index.ts';
import { EarlierVersion } from '../survey/index.ts';
import { O_DIRECTORY, O_RDONLY } from '../sys/index.ts';
import { ArchiveImport } from './archive-import.ts';
import { ByteStream } from './byte-stream.ts';
import { withPath } from './host-tree.ts';
import type { ImportReport } from './import-report.ts';
import { type ImportOptions, TreeImport } from './tree-import.ts';

/**
 * Imports a host directory, or a tar archive (plain or gzip), as a snapshot called `options.name`: files, directories,
 * symlinks, hard links, extended attributes, modes, owners and times to the nanosecond; from a directory also holes.
 * Stores identical contents once, and also the blocks that a changed file has in common with its earlier version. That
 * version is the file in `options.against`, or else in the latest snapshot of the same directory. Follows mount points
 * inside; leaves out the store's own directory.
 *
 * With `whiteouts` the tree is a layer: whiteouts and opaque directories are stored in the form of overlayfs, so that
 * the tree can be a lower of a union. With `over` an archive is unpacked over that tree, and its whiteouts remove
 * entries.
 *
 * Errors: EEXIST (the name is taken) before anything is read; ENOENT, EACCES for the directory or archive; ENOTDIR
 * where the path is neither; EACCES, EIO … for a file, with its path, unless `skipUnreadable`; EINVAL for an archive
 * that is damaged, ends early, or leads out of the tree; EFBIG, ENAMETOOLONG for an archive beyond the limits; ENOTSUP
 * for a layer whose files have their bytes elsewhere; ENOSPC; ECANCELED. After an error nothing of the import stays.
 */
export async function importTree(
  target: StoreEngine,
  hostPath: string,
  options: ImportOptions,
): Promise<ImportReport> {
  const started = performance.now();
  const source = path.resolve(hostPath);
  const { mode } = hostCall(source, () => target.system.statHost(Buffer.from(source, 'utf8'), true));
  if (isFileMode(mode)) return await importArchive(target, source, options, started);
  if (!isDirectoryMode(mode)) throw new FsError('ENOTDIR', { syscall: 'scandir', path: source });
  if (options.over !== undefined) {
    const note =
      'only an archive can be unpacked over a tree: import the directory with --whiteouts, and `fork --lower` both';
    throw new FsError('EINVAL', { syscall: 'import', path: source, note });
  }
  const root = hostCall(source, () => target.system.open(source, O_RDONLY | O_DIRECTORY));
  try {
    return await importDirectory(target, source, root, options, started);
  } finally {
    target.system.close(root);
  }
}

async function importDirectory(
  target: StoreEngine,
  source: string,
  root: number,
  options: ImportOptions,
  started: number,
): Promise<ImportReport> {
  const { system } = target;
  const builder = target.buildLayer(options.name, source);
  const files = new HostFiles(system, source, root, { keepsDirectories: true });
  let run: TreeImport | undefined;
  try {
    const stat = system.statFile(root);
    const imported = directoryIdentity(system, root, stat);
    const earlier = EarlierVersion.find(target, source, options.against);
    run = new TreeImport(system, files, builder, target.directory, options, earlier);
    await run.all(stat);
    builder.finish(imported);
  } catch (error) {
    await run?.settle();
    giveUp(builder);
    throw error;
  } finally {
    files.end();
  }
  return run.tally.report(options.name, source, performance.now() - started);
}

/** Runs a call on the source; its error names the source. */
function hostCall<T>(source: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw withPath(error, 'scandir', source);
  }
}

async function importArchive(
  target: StoreEngine,
  source: string,
  { name, whiteouts, over, ...options }: ImportOptions,
  started: number,
): Promise<ImportReport> {
  const bytes = await ByteStream.open(source);
  try {
    const builder = target.buildLayer(name, over ?? source, over);
    // An archive that is unpacked over a tree is a layer of an image. In any other archive, names like `.wh.x` are
    // ordinary files by default.
    const form = whiteouts ?? (over === undefined ? 'none' : 'oci');
    const run = new ArchiveImport(target.system, builder, bytes, { ...options, whiteouts: form });
    try {
      await run.all();
      builder.finish();
    } catch (error) {
      giveUp(builder);
      throw error;
    }
    return run.tally.report(name, source, performance.now() - started);
  } finally {
    await bytes.close();
  }
}

/**
 * Removes what the import has stored. On a full or failing disk even that may fail; then gc removes the rest, and the
 * caller reports the first error.
 */
function giveUp(builder: LayerBuilder): void {
  try {
    builder.abort();
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
  }
}
