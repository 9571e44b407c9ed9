/** The host, through node:fs, as an actor: it checks the model. A tree is a directory, a fork is `cp -a`. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DumpEntry, dumpOf } from './dump.ts';
import {
  type Actor,
  contentOf,
  type Dump,
  describeBytes,
  describeStat,
  FIRST_PROCESS,
  FIRST_TREE,
  type HandleOperation,
  type Operation,
  type OperationName,
  type Outcome,
  type PathOperation,
  type StoreOperation,
  succeeded,
} from './operation.ts';

interface HostHandle {
  readonly tree: string;
  readonly fd: number;
}

const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();

/** The most bytes that one read returns. */
const READ_BYTES_MAX = 1 << 24;

export class HostActor implements Actor {
  readonly name = 'host';
  /** Operations that an actor on node:fs cannot do. */
  readonly lacks: ReadonlySet<OperationName> = new Set<OperationName>([
    'handOver',
    'mark',
    'powerCut',
    'punch',
    'clone',
    'cloneRange',
    'exchange',
    'whiteout',
    'setxattr',
    'getxattr',
    'removexattr',
    'map',
    'readView',
    'closeView',
    // The host has no directory that refuses writes by root.
    'snapshot',
  ]);
  private readonly directory = fs.mkdtempSync(join(tmpdir(), 'ramet-model-host-'));
  private readonly handles = new Map<number, HostHandle>();

  constructor() {
    fs.mkdirSync(this.root(FIRST_TREE));
    fs.chmodSync(this.root(FIRST_TREE), 0o755);
  }

  apply(operation: Operation): Outcome {
    try {
      if ('view' in operation) throw new Error('node:fs has no memory maps');
      if ('handle' in operation) return this.applyToHandle(operation);
      if ('path' in operation) return this.applyToPath(operation);
      return this.applyToStore(operation);
    } catch (error) {
      if (error instanceof Error && 'errno' in error && 'code' in error) return String(error.code);
      throw error;
    }
  }

  trees(): string[] {
    return fs.readdirSync(this.directory).sort();
  }

  dump(tree: string): Dump {
    return dumpOf(this.entriesBelow(this.root(tree), '/'));
  }

  close(): void {
    this.closeHandles(() => true);
    fs.rmSync(this.directory, { recursive: true, force: true });
  }

  private root(tree: string): string {
    return `${this.directory}/${tree}`;
  }

  private *entriesBelow(root: string, path: string): Generator<DumpEntry> {
    const hostPath = root + path;
    const stat = fs.lstatSync(path === '/' ? root : hostPath, { bigint: true });
    const entry = {
      path,
      identity: stat.ino,
      mode: Number(stat.mode),
      nlink: Number(stat.nlink),
      uid: Number(stat.uid),
      gid: Number(stat.gid),
      size: Number(stat.size),
      mtimeSeconds: Number(stat.mtimeNs / 1_000_000_000n),
      xattrs: NO_XATTRS,
    };
    if (stat.isFile()) yield { ...entry, content: fs.readFileSync(hostPath) };
    else if (stat.isSymbolicLink()) yield { ...entry, target: fs.readlinkSync(hostPath) };
    else {
      yield entry;
      for (const name of fs.readdirSync(hostPath)) {
        yield* this.entriesBelow(root, path === '/' ? `/${name}` : `${path}/${name}`);
      }
    }
  }

  private closeHandles(isClosed: (handle: HostHandle) => boolean): void {
    for (const [number, handle] of [...this.handles]) {
      if (!isClosed(handle)) continue;
      fs.closeSync(handle.fd);
      this.handles.delete(number);
    }
  }

  private applyToStore(operation: StoreOperation): Outcome {
    switch (operation.op) {
      case 'fork':
      case 'snapshot':
        execFileSync('cp', ['-a', this.root(operation.source), this.root(operation.tree)]);
        return succeeded();
      case 'drop':
        this.closeHandles((handle) => handle.tree === operation.tree);
        fs.rmSync(this.root(operation.tree), { recursive: true });
        return succeeded();
      case 'checkpoint':
      case 'collect':
      case 'dedupe':
        return succeeded();
      case 'reopen':
      case 'crash':
        // Trees never change hands here.
        if (operation.process === FIRST_PROCESS) this.closeHandles(() => true);
        return succeeded();
      default:
        throw new Error(`the host does not know '${operation.op}'`);
    }
  }

  private applyToPath(operation: PathOperation): Outcome {
    const path = this.root(operation.tree) + operation.path;
    switch (operation.op) {
      case 'create':
        fs.closeSync(fs.openSync(path, createFlags(operation.exclusive), operation.mode));
        return succeeded();
      case 'mkdir':
        fs.mkdirSync(path, operation.mode);
        return succeeded();
      case 'symlink':
        fs.symlinkSync(operation.target, path);
        return succeeded();
      case 'rmdir':
        fs.rmdirSync(path);
        return succeeded();
      case 'unlink':
        fs.unlinkSync(path);
        return succeeded();
      case 'rename':
        fs.renameSync(path, this.root(operation.tree) + operation.to);
        return succeeded();
      case 'link':
        fs.linkSync(path, this.root(operation.tree) + operation.to);
        return succeeded();
      default:
        return useFile(path, operation);
    }
  }

  private applyToHandle(operation: HandleOperation): Outcome {
    if (operation.op === 'open') {
      const fd = fs.openSync(this.root(operation.tree) + operation.path, operation.flags);
      this.handles.set(operation.handle, { tree: operation.tree, fd });
      return succeeded();
    }
    const handle = this.handles.get(operation.handle);
    if (handle === undefined) return 'EBADF';
    const { fd } = handle;
    switch (operation.op) {
      case 'close':
        fs.closeSync(fd);
        this.handles.delete(operation.handle);
        return succeeded();
      case 'readHandle':
        return succeeded(describeBytes(readBytes(fd, operation.length, operation.position)));
      case 'writeHandle':
        fs.writeSync(
          fd,
          contentOf(operation.length, operation.salt),
          0,
          operation.length,
          operation.position,
        );
        return succeeded();
      case 'truncateHandle':
        fs.ftruncateSync(fd, operation.size);
        return succeeded();
      case 'statHandle':
        return succeeded(describeStat(fs.fstatSync(fd)));
      case 'syncHandle':
        return succeeded();
    }
  }
}

function createFlags(isExclusive: boolean): number {
  return fs.constants.O_WRONLY | fs.constants.O_CREAT | (isExclusive ? fs.constants.O_EXCL : 0);
}

function readBytes(fd: number, length: number, position: number | null): Buffer {
  const bytes = Buffer.alloc(Math.min(length, READ_BYTES_MAX));
  return bytes.subarray(0, fs.readSync(fd, bytes, 0, bytes.length, position));
}

function withDescriptor<T>(path: string, flags: string | number, use: (fd: number) => T): T {
  const fd = fs.openSync(path, flags);
  try {
    return use(fd);
  } finally {
    fs.closeSync(fd);
  }
}

function useFile(path: string, operation: PathOperation): Outcome {
  switch (operation.op) {
    case 'write':
      withDescriptor(path, createFlags(false), (fd) =>
        fs.writeSync(
          fd,
          contentOf(operation.length, operation.salt),
          0,
          operation.length,
          operation.position,
        ),
      );
      return succeeded();
    case 'append':
      fs.appendFileSync(path, contentOf(operation.length, operation.salt));
      return succeeded();
    case 'replace':
      fs.writeFileSync(path, contentOf(operation.length, operation.salt));
      return succeeded();
    case 'read':
      return withDescriptor(path, 'r', (fd) =>
        succeeded(describeBytes(readBytes(fd, operation.length, operation.position))),
      );
    case 'truncate':
      fs.truncateSync(path, operation.size);
      return succeeded();
    case 'readlink':
      return succeeded(fs.readlinkSync(path));
    case 'readdir':
      return succeeded(fs.readdirSync(path).sort().join('|'));
    case 'stat':
      return succeeded(describeStat(operation.follow ? fs.statSync(path) : fs.lstatSync(path)));
    case 'chmod':
      fs.chmodSync(path, operation.mode);
      return succeeded();
    case 'chown':
      fs.lchownSync(path, operation.uid, operation.gid);
      return succeeded();
    case 'utimes':
      fs.utimesSync(path, operation.mtimeSeconds, operation.mtimeSeconds);
      return succeeded();
    default:
      throw new Error(`the host does not know '${operation.op}'`);
  }
}
