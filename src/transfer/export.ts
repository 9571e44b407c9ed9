/** `exportTree`: a fork or snapshot becomes a host directory or a tar archive. */
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
import { type ExportFormat, type ExportProgress, type ExportReport, ExportTally } from './export-report.ts';
import { TarExport } from './export-tar.ts';
import { Pacing } from './pacing.ts';
import { TreeReader } from './tree-walk.ts';

export interface ExportedTree {
  readonly fileSystem: TreeFiles;
  close(): void;
}

/** The part of a store that an export needs; `StoreEngine` is one. */
export interface ExportSource {
  readonly system: System;
  /** The tree of this name if it is open in this process. */
  openTreeOf(name: string): ExportedTree | undefined;
  openTree(name: string): ExportedTree;
}

export interface ExportOptions {
  /** Default: 'directory'. */
  readonly format?: ExportFormat | undefined;
  /** Directories of the host in which the tree is seen: one that is written there would be exported as well. */
  readonly shownAt?: readonly string[] | undefined;
  /** Called some ten times a second with the progress of the export. */
  readonly progress?: ((state: ExportProgress) => void) | undefined;
}

/**
 * Writes the tree `name` to `destination`: a directory that is absent or empty, a tar file that does not
 * exist yet, or (tar) a stream. What comes out equals what went in: content, holes (a directory only), hard
 * links, symlinks, nodes, extended attributes, modes and times to the nanosecond; owners where the host
 * allows it (root).
 *
 * Errors: ENOENT (no such tree, or the destination's parent is missing); EEXIST, ENOTDIR, ENOTEMPTY
 * (something is at the destination); EINVAL (a directory into itself); EACCES, ENOSPC, EIO, with the path. After an
 * error what was written so far stays.
 */
export async function exportTree(
  source: ExportSource,
  name: string,
  destination: string | Writable,
  options: ExportOptions = {},
): Promise<ExportReport> {
  const open = source.openTreeOf(name);
  if (open !== undefined) {
    return await exportFileSystem(source.system, name, open.fileSystem, destination, options);
  }
  const tree = source.openTree(name);
  try {
    return await exportFileSystem(source.system, name, tree.fileSystem, destination, options);
  } finally {
    tree.close();
  }
}

/** As `exportTree`, of a tree that is open already. */
export async function exportFileSystem(
  system: System,
  name: string,
  fileSystem: TreeFiles,
  destination: string | Writable,
  options: ExportOptions = {},
): Promise<ExportReport> {
  return await exportReader(system, new TreeReader(name, fileSystem), destination, options);
}

/** Writes what a reader shows. */
export async function exportReader(
  system: System,
  reader: TreeReader,
  destination: string | Writable,
  options: ExportOptions,
): Promise<ExportReport> {
  const started = performance.now();
  const tally = new ExportTally();
  const pacing = new Pacing(() => {
    const { files, directories, apparentBytes: bytes } = tally;
    options.progress?.({ files, directories, bytes, path: reader.lastPath });
  });
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

/** What is mounted somewhere in a directory is not part of the tree that is seen there. */
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
    // There is no such directory; making one in it reports that.
    return destination;
  }
}

function isWithin(place: string, directory: string): boolean {
  return place === directory || place.startsWith(directory === '/' ? '/' : `${directory}/`);
}

/** A tar whose name says so is compressed. */
const GZIPPED = /\.(?:gz|tgz)$/;

async function toTarFile(file: string, write: (output: Writable) => Promise<void>): Promise<void> {
  const output = createWriteStream(file, { flags: 'wx', highWaterMark: 4 * 1024 * 1024 });
  try {
    await once(output, 'open');
    output.on('error', leftToTheWriter);
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

/** The next write, or the end, reports that the stream has failed; errors of destroying it add nothing. */
function leftToTheWriter(): void {
  // Nothing: see above.
}

/** An error of node:fs in our own shape. */
function asFsError(error: unknown, file: string): unknown {
  if (error instanceof FsError || !(error instanceof Error)) return error;
  const { errno, syscall } = error as NodeJS.ErrnoException;
  if (errno === undefined) return error;
  return new FsError(codeOfErrno(Math.abs(errno)), { syscall: syscall ?? 'write', path: file });
}
