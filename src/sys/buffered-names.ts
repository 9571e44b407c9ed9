/** Names in an open directory, by node:fs: through the directory's own link in /proc, or by its path elsewhere. */
import {
  closeSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmdirSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { FsError } from '../base/index.ts';
import { attempt, HAS_PROC, openAt, pathIn } from './name-calls.ts';
import { openByNames, type StepCalls } from './open-by-names.ts';
import { O_NOFOLLOW } from './open-flags.ts';
import type { NamedCalls } from './parts.ts';

const MODE_DEFAULT = 0o666;

/** Runs a call on a name; errors name no path. */
function at<T>(syscall: string, directory: number, name: Buffer, call: (path: Buffer) => T): T {
  return attempt(syscall, undefined, undefined, () => call(pathIn(directory, name)));
}

const steps: StepCalls = {
  open(directory, name, flags, mode) {
    const path = pathIn(directory, name);
    const fd = withoutPath(() => openAt(path, flags | O_NOFOLLOW, mode));
    if (HAS_PROC || isAt(path, fd)) return fd;
    closeSync(fd);
    throw new FsError('ELOOP', { syscall: 'open', note: 'something else came to its place meanwhile' });
  },
  modeOf: (fd) => fstatSync(fd).mode,
  close: closeSync,
};

function isAt(path: Buffer, fd: number): boolean {
  const [found, opened] = [lstatSync(path, { bigint: true }), fstatSync(fd, { bigint: true })];
  return found.ino === opened.ino && found.dev === opened.dev;
}

function withoutPath<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw error instanceof FsError ? new FsError(error.code, { syscall: error.syscall }) : error;
  }
}

export const bufferedNames: Omit<NamedCalls, 'lstatAt' | 'makeNodeAt'> = {
  openAt: (directory, path, flags, mode = MODE_DEFAULT) => openByNames(steps, directory, path, flags, mode),
  readLinkAt: (directory, name) =>
    attempt('readlink', name, undefined, () => readlinkSync(pathIn(directory, name), { encoding: 'buffer' })),
  makeDirectoryAt: (directory, name, mode) =>
    at('mkdir', directory, name, (path) => void mkdirSync(path, { mode })),
  symlinkAt: (target, directory, name) => at('symlink', directory, name, (path) => symlinkSync(target, path)),
  linkAt: (from, existing, directory, name) =>
    at('link', directory, name, (path) => linkSync(pathIn(from, existing), path)),
  renameAt: (from, existing, directory, name) =>
    at('rename', directory, name, (path) => renameSync(pathIn(from, existing), path)),
  unlinkAt: (directory, name) => at('unlink', directory, name, unlinkSync),
  removeDirectoryAt: (directory, name) => at('rmdir', directory, name, (path) => rmdirSync(path)),
};
