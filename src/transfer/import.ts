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
 * symlinks, hard links, extended attributes, modes, owners and times to the nanosecond; of a directory holes as well.
 * Identical contents are stored once, and so are the blocks that a changed file has in common with its earlier version:
 * in `options.against`, or else in the latest snapshot of the same directory. Mount points inside are followed; the
 * store's own directory is left out.
 *
 * With `whiteouts` the tree is a layer, and what hides something of lower layers is stored as overlayfs has it, so
 * that it can be a lower of a union. With `over` an archive is unpacked over that tree, and whiteouts remove.
 *
 * Errors: EEXIST (the name is taken) before anything is read; ENOENT, EACCES of the directory or archive, ENOTDIR of
 * what is neither; EACCES, EIO … of a file, named, unless `skipUnreadable`; EINVAL of an archive that is damaged, ends
 * early, or leads out of the tree; EFBIG, ENAMETOOLONG of one beyond its bounds; ENOTSUP of a layer whose files have
 * their bytes elsewhere; ENOSPC; ECANCELED. After an error nothing of the import stays.
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
    const note = 'only an archive is unpacked over a tree: import it with --whiteouts, and fork --lower both';
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

/** Runs a call on the source; its error names it. */
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
    // An archive over a tree is an image's layer; by itself it may be anything.
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

/** On a full or failing disk even this may fail: gc then removes the rest, and the first error is the one to report. */
function giveUp(builder: LayerBuilder): void {
  try {
    builder.abort();
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
  }
}
