/** The calls of `BlockingCalls`. A worker thread or a child process makes them, because they may wait. */
import { spawnSync } from 'node:child_process';
import { existsSync, opendirSync, readlinkSync } from 'node:fs';
import { FsError, isFsError, nameToBytes } from '../base/index.ts';
import {
  createSystem,
  deviceMountedAt,
  deviceOfLink,
  fileLink,
  type Kernel,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  placeOf,
  type System,
  unmountAt,
} from '../sys/index.ts';

const HELPER = 'fusermount3';

const PLACE_TRIES = 20;
/** The error codes of an unmount if the mount is not, or no longer, at the path. */
const MOVED: ReadonlySet<string> = new Set(['EINVAL', 'ENOENT', 'ENOTDIR', 'ELOOP']);

/**
 * A mount point, and the number (`major:minor`) of the device that is mounted there; undefined for any device. If the
 * device is gone, the call does nothing; if it was moved, `unmount` and `sync` find its new place.
 */
export interface Place {
  readonly directory: string;
  readonly device: string | undefined;
}

/** Calls that walk a path, which may cross mounts of other servers. */
export type PathCall =
  /** mount(2) of the open device `descriptor`. */
  | {
      readonly kind: 'mount';
      readonly source: string;
      readonly directory: string;
      readonly hidesFiles: boolean;
      readonly type: string;
      readonly flags: number;
      readonly options: string;
      readonly descriptor: number;
    }
  /**
   * Mounts by fusermount3(1), for users without privileges. That program sends the descriptor of the device over the
   * socket `descriptor`.
   */
  | {
      readonly kind: 'mountByHelper';
      readonly directory: string;
      readonly options: string;
      readonly descriptor: number;
    }
  | (Place & { readonly kind: 'unmount'; readonly isLazy: boolean })
  /** syncfs(2): writes out what programs have stored through memory maps. */
  | (Place & { readonly kind: 'sync' })
  /** `Kernel.dropUnusedNames`, if the device is the uppermost mount there. */
  | (Place & { readonly kind: 'dropUnusedNames' })
  /** Looks up `path`, a byte string, below the root of the mounted device. */
  | (Place & { readonly kind: 'lookUp'; readonly path: string });

/** Makes the call, and waits for it. Throws an `FsError`. */
export function makeCall(kernel: Kernel, call: PathCall): void {
  switch (call.kind) {
    case 'mount': {
      const { source, directory, hidesFiles, type, flags, options, descriptor } = call;
      withMountPoint(directory, hidesFiles, (place) => {
        kernel.mount(source, place, type, flags, `fd=${descriptor},${options}`);
        requireInPlace(kernel, place, directory);
      });
      return;
    }
    case 'mountByHelper': {
      const { directory, options, descriptor } = call;
      runHelper(['-o', options, '--', directory], 'mount', directory, descriptor);
      return;
    }
    case 'unmount':
      unmountPatiently(kernel, call, call.isLazy);
      return;
    case 'sync': {
      const place = placeOf(call.device, call.directory, 'syncfs');
      if (place !== undefined) {
        withDirectory(place, O_RDONLY, (system, fd) => system.syncFileSystem(fd));
      }
      return;
    }
    case 'dropUnusedNames':
      if (deviceMountedAt(call.directory) === call.device) kernel.dropUnusedNames(call.directory);
      return;
    case 'lookUp':
      if (call.device === undefined || deviceMountedAt(call.directory) === call.device)
        lookUp(call.directory, call.path);
      return;
  }
}

/**
 * Opens a mount point, and gives `use` a path that leads to the opened directory even if a name in the original path
 * changes. ENOENT, ENOTDIR, ELOOP (there is a symlink in the path), EBUSY (something is mounted there already),
 * ENOTEMPTY. Without /proc, checks nothing and passes `directory` on.
 */
function withMountPoint(directory: string, hidesFiles: boolean, use: (place: string) => void): void {
  if (!existsSync('/proc/self/fd')) {
    use(directory);
    return;
  }
  const names = { syscall: 'mount', path: directory };
  withDirectory(directory, O_PATH | O_NOFOLLOW, (_, fd) => {
    const place = fileLink(fd);
    const found = readlinkSync(place);
    if (found !== directory)
      throw new FsError('ELOOP', { ...names, note: `it leads to ${found}: name that` });
    if (deviceMountedAt(directory) !== undefined) throw new FsError('EBUSY', names);
    if (!hidesFiles && !isEmpty(place)) throw new FsError('ENOTEMPTY', names);
    use(place);
  });
}

/**
 * Throws ESTALE, and unmounts again, if the new mount is not at `directory` because somebody renamed the mount point
 * before the mount. Looks several times, because a directory on the path may be renamed and come back.
 */
function requireInPlace(kernel: Kernel, link: string, directory: string): void {
  if (link === directory) return;
  const place = (): string => readlinkSync(link);
  for (let tries = 0; tries < PLACE_TRIES; tries++)
    if (place() === directory && deviceMountedAt(directory) !== undefined) return;
  try {
    unmountAt(kernel, place(), true, (found) => deviceOfLink(found) === deviceMountedAt(place()));
  } catch {
    // The mount ends when its device is closed.
  }
  throw new FsError('ESTALE', {
    syscall: 'mount',
    path: directory,
    note: 'somebody has moved it: try again',
  });
}

function isEmpty(directory: string): boolean {
  const listing = opendirSync(directory);
  try {
    return listing.readSync() === null;
  } finally {
    listing.closeSync();
  }
}

/** Makes the kernel look up the names of a path, through no symlink and no other mount. Opens no file (O_PATH). */
function lookUp(directory: string, path: string): void {
  withDirectory(directory, O_PATH, (system, root) => {
    system.close(system.openBeneath(root, nameToBytes(path), O_PATH | O_NOFOLLOW));
  });
}

function withDirectory(directory: string, flags: number, use: (system: System, fd: number) => void): void {
  const system = createSystem('native');
  const fd = system.open(directory, flags | O_DIRECTORY);
  try {
    use(system, fd);
  } finally {
    system.close(fd);
  }
}

/** Unmounts. Tries again if another user meanwhile renamed a directory on the path, and so moved the mount. */
function unmountPatiently(kernel: Kernel, { directory, device }: Place, isLazy: boolean): void {
  for (let tries = 1; ; tries++) {
    const place = placeOf(device, directory, 'umount');
    if (place === undefined) return;
    try {
      unmount(kernel, place, device, isLazy);
      return;
    } catch (error) {
      if (!isFsError(error) || !MOVED.has(error.code) || tries === PLACE_TRIES) throw error;
    }
  }
}

/** Unmounts by umount2(2), or by fusermount3(1) if this process lacks the privileges. */
function unmount(kernel: Kernel, directory: string, device: string | undefined, isLazy: boolean): void {
  try {
    unmountAt(kernel, directory, isLazy, (link) => device === undefined || deviceOfLink(link) === device);
  } catch (error) {
    if (!isFsError(error, 'EPERM')) throw error;
    runHelper(isLazy ? ['-u', '-z', '--', directory] : ['-u', '--', directory], 'umount', directory);
  }
}

/**
 * Runs fusermount3(1), which is set-user-ID root. To mount, it opens the device, mounts it, and sends the descriptor
 * over the socket that the environment variable _FUSE_COMMFD names.
 */
function runHelper(args: readonly string[], syscall: string, path: string, socket?: number): void {
  const stdio: (number | 'ignore' | 'pipe')[] = ['ignore', 'ignore', 'pipe'];
  if (socket !== undefined) stdio.push(socket);
  const env = { ...process.env, _FUSE_COMMFD: '3', LC_ALL: 'C' };
  const { error, status, stderr } = spawnSync(HELPER, args, { stdio, env, cwd: '/' });
  if (error !== undefined) {
    const note = `it takes root, or ${HELPER} from the package fuse3`;
    throw new FsError('EPERM', { syscall, path, note });
  }
  if (status === 0) return;
  const said = stderr.toString('utf8').trim().split('\n').pop() ?? '';
  const code = /busy/i.test(said) ? 'EBUSY' : /no such file/i.test(said) ? 'ENOENT' : 'EPERM';
  throw new FsError(code, { syscall, path, note: said });
}
