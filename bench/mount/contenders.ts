/** The contenders of the benchmark of mounts: each makes private, writable copies of one directory of the host. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import type { Absent } from '../../src/demo/index.ts';
import type { IoMode } from '../../src/fuse/index.ts';
import { MountServerProcess, whyNoMounts } from '../../testing/mount/mounted-fork.ts';
import {
  firstLine,
  runProgram,
  type WorkDirectory,
  whyNotProgram,
  whyNotRoot,
} from '../measure/work-directory.ts';
import { mountOverlay } from '../peers/mounts.ts';

/** A private copy of the source. */
export interface MountedCopy {
  readonly root: string;
  /** Directories of the host whose files hold the data of the copy. */
  readonly behind: readonly string[];
  /** True if the kernel caches pages of the copy's files in addition to those of the files in `behind`. */
  readonly hasOwnPages: boolean;
  unmount(): Promise<void>;
}

export interface MountContender {
  copy(): Promise<MountedCopy>;
  /** Anonymous memory of the processes that serve the copies, in bytes; 0 if the kernel serves them. */
  servingBytes(): Promise<number>;
  /** Makes the serving process free the memory of idle copies. Resolves to the CPU time of that, in milliseconds. */
  trim?(): Promise<number>;
  close(): Promise<void>;
}

export interface ContenderKind {
  readonly name: string;
  /** Prepares to make copies of `source`, a directory that does not change any more, or returns why it cannot. */
  open(source: string, work: WorkDirectory): Promise<MountContender | Absent>;
}

export const PEERS = ['ext4', 'overlayfs', 'fuse-overlayfs'] as const;
/** The contender that has to meet the budgets. */
export const OWN = 'Ramet';
export const OTHER_MODES = ['Ramet direct', 'Ramet shared', 'Ramet, no import'] as const;

let directories = 0;

function newDirectory(work: WorkDirectory, name: string): string {
  const directory = work.join(`${name}-${directories++}`);
  mkdirSync(directory);
  return directory;
}

/** Copies by `cp -a`. */
const ext4: ContenderKind = {
  name: 'ext4',
  async open(source, work) {
    const directory = newDirectory(work, 'copies');
    let count = 0;
    return {
      async copy() {
        const root = path.join(directory, `${count++}`);
        runProgram('cp', '-a', source, root);
        return {
          root,
          behind: [],
          hasOwnPages: true,
          unmount: async () => void runProgram('rm', '-r', root),
        };
      },
      servingBytes: async () => 0,
      close: async () => void runProgram('rm', '-r', directory),
    };
  },
};

const overlayfs: ContenderKind = {
  name: 'overlayfs',
  async open(source, work) {
    const reason = whyNotRoot();
    if (reason !== undefined) return { absentBecause: reason };
    const directory = newDirectory(work, 'overlays');
    let count = 0;
    const copy = async (): Promise<MountedCopy> => {
      const own = path.join(directory, `${count++}`);
      const { point, unmount } = mountOverlay(source, own, work);
      const behind = [source, path.join(own, 'upper')];
      return { root: point, behind, hasOwnPages: false, unmount: async () => unmount() };
    };
    try {
      await (await copy()).unmount();
    } catch (error) {
      return { absentBecause: `an overlay cannot be mounted here: ${firstLine(error)}` };
    }
    return { copy, servingBytes: async () => 0, close: async () => void runProgram('rm', '-r', directory) };
  },
};

function isMountPoint(point: string): boolean {
  return readFileSync('/proc/self/mounts', 'utf8').includes(` ${point} `);
}

/** RssAnon of proc_pid_status(5). */
function anonymousBytes({ pid }: ChildProcess): number {
  const kibibytes = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kibibytes) * 1024;
}

/** Starts fuse-overlayfs in the foreground, so that its memory can be looked at. */
async function mountFuseOverlay(
  source: string,
  own: string,
  work: WorkDirectory,
): Promise<[string, ChildProcess]> {
  const [upper, scratch, point] = ['upper', 'scratch', 'point'].map((part) => path.join(own, part));
  for (const part of [upper!, scratch!, point!]) mkdirSync(part, { recursive: true });
  const options = `lowerdir=${source},upperdir=${upper},workdir=${scratch}`;
  const child = spawn('fuse-overlayfs', ['-f', '-o', options, point!], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  // The program may be about to mount when the benchmark is interrupted.
  work.onRemove(() => child.kill('SIGKILL'));
  let complaint = '';
  child.stderr.on('data', (text: Buffer) => (complaint += text.toString()));
  while (!isMountPoint(point!)) {
    if (child.exitCode !== null) throw new Error(complaint);
    await setTimeout(2);
  }
  return [point!, child];
}

const fuseOverlayfs: ContenderKind = {
  name: 'fuse-overlayfs',
  async open(source, work) {
    const reason = whyNotRoot() ?? whyNotProgram('fuse-overlayfs');
    if (reason !== undefined) return { absentBecause: reason };
    const directory = newDirectory(work, 'fuse-overlays');
    const children = new Set<ChildProcess>();
    let count = 0;
    const copy = async (): Promise<MountedCopy> => {
      const own = path.join(directory, `${count++}`);
      const [root, child] = await mountFuseOverlay(source, own, work);
      children.add(child);
      const unmount = work.onRemove(() => runProgram('umount', root));
      return {
        root,
        behind: [source, path.join(own, 'upper')],
        hasOwnPages: true,
        async unmount() {
          const ended = once(child, 'exit');
          unmount();
          await ended;
          children.delete(child);
        },
      };
    };
    try {
      await (await copy()).unmount();
    } catch (error) {
      return { absentBecause: `fuse-overlayfs cannot be used here: ${firstLine(error)}` };
    }
    return {
      copy,
      servingBytes: async () => [...children].reduce((sum, child) => sum + anonymousBytes(child), 0),
      close: async () => void runProgram('rm', '-r', directory),
    };
  },
};

/** Stores by imported directory: the modes share one store, each through a process of its own. */
const stores = new Map<string, string>();

/** Starts a process that serves mounts, in one mode, of forks of an import of `source`, or of `source` (`isHost`). */
export async function mountRamet(
  io: IoMode,
  source: string,
  work: WorkDirectory,
  isHost = false,
): Promise<MountContender> {
  const storeDirectory = stores.get(source) ?? path.join(newDirectory(work, 'ramet-store'), 'store');
  const server = await MountServerProcess.start(newDirectory(work, `ramet-${io}`), storeDirectory);
  work.onRemove(() => server.child.process.kill('SIGKILL'));
  if (!stores.has(source) && !isHost) {
    await server.ask({ kind: 'import', directory: source, name: 'base' });
    stores.set(source, storeDirectory);
  }
  let count = 0;
  return {
    async copy() {
      const name = `${isHost ? 'host' : io}-${process.pid}-${count++}`;
      if (isHost) await server.ask({ kind: 'forkHost', directory: source, name, isPinned: false });
      else await server.ask({ kind: 'fork', source: 'base', name });
      const root = await server.mount(name, io);
      return {
        root,
        behind: isHost ? [source] : [path.join(storeDirectory, 'blobs')],
        hasOwnPages: true,
        async unmount() {
          await server.unmount(root);
          await server.ask({ kind: 'release', tree: name });
        },
      };
    },
    servingBytes: async () => (await server.ask({ kind: 'memory' })).anonymousBytes!,
    trim: async () => (await server.ask({ kind: 'trim' })).cpuMs!,
    async close() {
      await server.ask({ kind: 'close' });
      await server[Symbol.asyncDispose]();
    },
  };
}

function ramet(name: string, io: IoMode, isHost = false): ContenderKind {
  return {
    name,
    async open(source, work) {
      const reason = whyNoMounts();
      return reason === false ? mountRamet(io, source, work, isHost) : { absentBecause: reason };
    },
  };
}

export const CONTENDERS: readonly ContenderKind[] = [
  ext4,
  overlayfs,
  fuseOverlayfs,
  ramet('Ramet', 'cached'),
  ramet('Ramet direct', 'direct'),
  ramet('Ramet shared', 'shared'),
  ramet('Ramet, no import', 'cached', true),
];
