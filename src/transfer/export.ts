/** Writes a fork or snapshot to a host directory or a tar archive. */
import { once } from 'node:events';
import { createWriteStream, realpathSync } from 'node:fs';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { codeOfErrno, FsError, nameToString } from '../base/index.ts';
import { mountsOf, type System } from '../sys/index.ts';
import type { TreeFiles } from '../vfs/index.ts';
import { exportDirectory } from './export-directory.ts';
import { type ExportFormat, type ExportReport, ExportTally } from './export-report.ts';
import { TarExport } from './export-tar.ts';
import { Pacing } from './pacing.ts';
import type { TransferProgress } from './tally.ts';
import { TreeReader } from './tree-walk.ts';

export interface ExportOptions {
  /** Default: 'directory'. */
  readonly format?: ExportFormat | undefined;
  /**
   * Directories of the host that show the tree. An export into one of them is refused, because the copy would be part
   * of the export.
   */
  readonly shownAt?: readonly string[] | undefined;
  /** Called some ten times a second with the progress of the export. */
  readonly progress?: ((state: TransferProgress) => void) | undefined;
}

/**
 * Writes an open tree to `destination`: a directory that is absent or empty, a tar file that does not exist yet, or
 * (tar) a stream. The copy keeps content, holes (in a directory only), hard links, symlinks, nodes, extended
 * attributes, modes, times to the nanosecond, and owners where the host allows it (root).
 *
 * Errors: ENOENT (the destination's parent is missing); EEXIST, ENOTDIR, ENOTEMPTY (something is at the destination);
 * EINVAL (the destination is in a directory that shows the tree); EACCES, ENOSPC, EIO, with the path. After an error,
 * everything written so far stays.
 */
export async function exportFileSystem(
  system: System,
  name: string,
  fileSystem: TreeFiles,
  destination: string | Writable,
  options: ExportOptions = {},
): Promise<ExportReport> {
  return await exportReader(system, new TreeReader(name, fileSystem), destination, options);
}

/** Writes the tree that a reader shows. */
export async function exportReader(
  system: System,
  reader: TreeReader,
  destination: string | Writable,
  options: ExportOptions,
): Promise<ExportReport> {
  const started = performance.now();
  const tally = new ExportTally();
  const pacing = new Pacing(() => options.progress?.(tally.progress(reader.lastPath)));
  const where = typeof destination === 'string' ? path.resolve(destination) : '-';
  const format = options.format ?? (typeof destination === 'string' ? 'directory' : 'tar');
  if (typeof destination !== 'string') {
    if (format !== 'tar')
      throw new FsError('EINVAL', { syscall: 'export', note: 'only a tar can go to a stream' });
    await new TarExport(reader, tally, pacing, destination).all();
  } else if (format === 'tar') {
    await toTarFile(where, (output) => new TarExport(reader, tally, pacing, output).all());
  } else {
    requireElsewhere(where, options.shownAt ?? []);
    await exportDirectory(system, reader, tally, pacing, where);
  }
  return tally.report(reader.name, where, format, performance.now() - started);
}

/**
 * EINVAL if the destination lies in a directory that shows the tree, unless it lies in another mount inside that
 * directory.
 */
function requireElsewhere(destination: string, shownAt: readonly string[]): void {
  const place = realPlace(destination);
  const mounts = mountsOf().map(({ directory }) => nameToString(directory));
  const within = shownAt.find(
    (directory) =>
      isWithin(place, directory) &&
      !mounts.some((mount) => mount !== directory && isWithin(mount, directory) && isWithin(place, mount)),
  );
  if (within === undefined) return;
  const note = `a tree cannot be exported into itself, and ${within} shows it: choose a directory elsewhere`;
  throw new FsError('EINVAL', { syscall: 'export', path: destination, note });
}

function realPlace(destination: string): string {
  try {
    return path.join(realpathSync(path.dirname(destination)), path.basename(destination));
  } catch {
    // The parent does not exist: making the directory reports that.
    return destination;
  }
}

function isWithin(place: string, directory: string): boolean {
  return place === directory || place.startsWith(directory === '/' ? '/' : `${directory}/`);
}

/** Names of tar files that the export compresses with gzip. */
const GZIPPED = /\.(?:gz|tgz)$/;

async function toTarFile(file: string, write: (output: Writable) => Promise<void>): Promise<void> {
  const output = createWriteStream(file, { flags: 'wx', highWaterMark: 4 * 1024 * 1024 });
  try {
    await once(output, 'open');
    // The next write, or the end, reports that the stream has failed; errors of destroying it add nothing.
    output.on('error', () => undefined);
    if (GZIPPED.test(file)) {
      const gzip = createGzip();
      const written = pipeline(gzip, output);
      await Promise.all([written, write(gzip).then(() => gzip.end())]);
      return;
    }
    await write(output);
    output.end();
    await once(output, 'close');
  } catch (error) {
    output.destroy();
    throw asFsError(error, file);
  }
}

/** Converts an error of node:fs to an `FsError`. */
function asFsError(error: unknown, file: string): unknown {
  if (error instanceof FsError || !(error instanceof Error)) return error;
  const { errno, syscall } = error as NodeJS.ErrnoException;
  if (errno === undefined) return error;
  return new FsError(codeOfErrno(Math.abs(errno)), { syscall: syscall ?? 'write', path: file });
}
