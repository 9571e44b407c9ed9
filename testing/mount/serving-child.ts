/** Opens a store and serves mounts of its trees, as messages ask it to: see `MountServerProcess`. */
import { readFileSync } from 'node:fs';
import { FsError, sleepBlocking } from '../../src/base/index.ts';
import { createMountServer, type IoMode, type Mount, type MountServerOptions } from '../../src/fuse/index.ts';
import { StoreEngine, type Tree } from '../../src/store/index.ts';
import { importTree } from '../../src/transfer/index.ts';
import { answerAll } from '../processes/child.ts';
import { problemsOf } from '../stores/shared-store.ts';

/** The requests. Other users may enter the mounts. */
export type ServingRequest =
  | { readonly kind: 'import'; readonly directory: string; readonly name: string }
  | { readonly kind: 'empty'; readonly name: string }
  /** Makes a fork and leaves it open. */
  | { readonly kind: 'fork'; readonly source: string; readonly name: string }
  /** Makes a fork of a directory of the host and leaves it open. */
  | {
      readonly kind: 'forkHost';
      readonly directory: string;
      readonly name: string;
      readonly isPinned: boolean;
    }
  | { readonly kind: 'mount'; readonly tree: string; readonly directory: string; readonly io: IoMode }
  | { readonly kind: 'unmount'; readonly directory: string; readonly isLazy: boolean }
  /** Closes an open tree. */
  | { readonly kind: 'release'; readonly tree: string }
  | { readonly kind: 'memory' }
  /** Gives back the nodes of idle mounts now. */
  | { readonly kind: 'trim' }
  /** Asks how many inodes of the mounts the kernel keeps. */
  | { readonly kind: 'nodes' }
  | { readonly kind: 'fsck' }
  /** Serves nothing for `durationMs`. */
  | { readonly kind: 'stall'; readonly durationMs: number }
  | { readonly kind: 'close' };

/** The answer to a request; `code` is that of its error. */
export interface ServingAnswer {
  readonly code?: string;
  readonly message?: string;
  /** Answers `memory`: anonymous memory of this process. */
  readonly anonymousBytes?: number;
  /** Answers `trim`: the processor time that it took. */
  readonly cpuMs?: number;
  /** Answers `nodes`. */
  readonly nodes?: number;
  /** Answers `fsck`. */
  readonly problems?: readonly string[];
}

const engine = await StoreEngine.open(process.argv[2]!, { create: true });
// The argument is JSON: options of the server that differ from the defaults.
const server = createMountServer(JSON.parse(process.argv[3] ?? '{}') as MountServerOptions);
const trees = new Map<string, Tree>();
const mounts = new Map<string, Mount>();

function treeOf(name: string): Tree {
  const open = trees.get(name) ?? engine.openTreeOf(name) ?? engine.openTree(name);
  trees.set(name, open);
  return open;
}

/** RssAnon of proc_pid_status(5). */
function anonymousBytes(): number {
  const kibibytes = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return Number(kibibytes) * 1024;
}

async function handle(request: ServingRequest): Promise<ServingAnswer> {
  switch (request.kind) {
    case 'import':
      await importTree(engine, request.directory, { name: request.name });
      return {};
    case 'empty':
      trees.set(request.name, engine.createEmpty(request.name));
      return {};
    case 'fork':
      trees.set(request.name, engine.fork(request.source, request.name));
      return {};
    case 'forkHost':
      trees.set(request.name, engine.forkHost(request.directory, request.name, request.isPinned));
      return {};
    case 'mount': {
      const { tree, directory, io } = request;
      mounts.set(directory, await server.mount(treeOf(tree), directory, { io, allowOther: true }));
      return {};
    }
    case 'unmount': {
      const mount = mounts.get(request.directory);
      await mount?.unmount({ isLazy: request.isLazy });
      if (!request.isLazy) await mount?.ended;
      mounts.delete(request.directory);
      return {};
    }
    case 'release':
      trees.get(request.tree)?.close();
      trees.delete(request.tree);
      return {};
    case 'memory':
      return { anonymousBytes: anonymousBytes() };
    case 'trim': {
      const before = process.cpuUsage();
      await server.trim();
      const { user, system } = process.cpuUsage(before);
      return { cpuMs: (user + system) / 1000 };
    }
    case 'nodes':
      return { nodes: [...mounts.values()].reduce((sum, mount) => sum + mount.nodeCount, 0) };
    case 'fsck':
      return { problems: problemsOf(engine) };
    case 'stall':
      sleepBlocking(request.durationMs);
      return {};
    case 'close':
      await server.close();
      await engine.close();
      return {};
  }
}

answerAll<ServingRequest>(async (request) => {
  try {
    return await handle(request);
  } catch (error) {
    if (!(error instanceof FsError)) throw error;
    return { code: error.code, message: error.message };
  }
});
// The test process is gone: unmount everything.
process.on('disconnect', async () => {
  await server.close();
  process.exit();
});
process.send!('ready');
