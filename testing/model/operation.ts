/** Operations of a history as plain objects, their outcomes, and the interface of the actors that perform them. */
import { checksum64, SeededRandom } from '../../src/base/index.ts';

/** Flags of an open that keeps a handle, with the meaning that fs.open gives them. */
export type HandleFlags = 'r' | 'r+' | 'w+' | 'a+' | 'wx+';

interface On {
  /** Name of the tree. */
  readonly tree: string;
}

/**
 * Two processes work on one store. Each tree belongs to one of them: the first tree to the first process, a new tree to
 * that of its source.
 */
export type ProcessNumber = 0 | 1;

interface By {
  readonly process: ProcessNumber;
}

interface OnPath extends On {
  /** An absolute path within the tree. */
  readonly path: string;
}

interface OnHandle {
  /** Number of the handle: the history assigns it, and never twice. */
  readonly handle: number;
}

/** Bytes to write: `contentOf(length, salt)`. */
interface Content {
  readonly length: number;
  readonly salt: number;
}

/** Operations on whole trees and on the store. */
export type StoreOperation =
  | ({ readonly op: 'fork'; readonly source: string } & On)
  | ({ readonly op: 'snapshot'; readonly source: string } & On)
  /** Removes the tree and its handles; trees made from it stay. */
  | ({ readonly op: 'drop' } & On)
  /** Changes nothing that an operation can see. */
  | ({ readonly op: 'checkpoint' } & On)
  | ({ readonly op: 'collect' } & By)
  | ({ readonly op: 'dedupe' } & By)
  /** The process that owns the tree closes it with its handles; from then on the other process owns it. */
  | ({ readonly op: 'handOver' } & On)
  /** A process closes everything properly and starts again; its handles are gone. */
  | ({ readonly op: 'reopen' } & By)
  /** A process dies and another takes its place: nothing acknowledged is lost, its handles are gone. */
  | ({ readonly op: 'crash' } & By)
  /** Both processes close everything, which makes all trees durable, and start again. */
  | { readonly op: 'mark' }
  /**
   * A power cut if there was a mark at most `CUT_OPERATIONS_MAX` operations ago; otherwise only the processes die.
   * After a power cut each tree is in some state that it had since it was last durable, and each block that was
   * overwritten after that state is old or new. `salt` decides what is lost.
   */
  | { readonly op: 'powerCut'; readonly salt: number };

export type PathOperation =
  | ({ readonly op: 'create'; readonly mode: number; readonly exclusive: boolean } & OnPath)
  | ({ readonly op: 'write'; readonly position: number } & OnPath & Content)
  | ({ readonly op: 'append' } & OnPath & Content)
  | ({ readonly op: 'replace' } & OnPath & Content)
  | ({ readonly op: 'read'; readonly position: number; readonly length: number } & OnPath)
  | ({ readonly op: 'truncate'; readonly size: number } & OnPath)
  | ({ readonly op: 'punch'; readonly position: number; readonly length: number } & OnPath)
  /** `path` becomes a clone of `from`, which may be in another tree. */
  | ({ readonly op: 'clone'; readonly fromTree: string; readonly from: string } & OnPath)
  /** Shares whole blocks of `from` with `path`. */
  | ({
      readonly op: 'cloneRange';
      readonly from: string;
      readonly fromPosition: number;
      readonly length: number;
      readonly position: number;
    } & OnPath)
  | ({ readonly op: 'mkdir'; readonly mode: number } & OnPath)
  | ({ readonly op: 'rmdir' } & OnPath)
  | ({ readonly op: 'unlink' } & OnPath)
  | ({ readonly op: 'rename'; readonly to: string } & OnPath)
  | ({ readonly op: 'exchange'; readonly to: string } & OnPath)
  /** A rename that leaves a whiteout. */
  | ({ readonly op: 'whiteout'; readonly to: string } & OnPath)
  | ({ readonly op: 'link'; readonly to: string } & OnPath)
  | ({ readonly op: 'symlink'; readonly target: string } & OnPath)
  | ({ readonly op: 'readlink' } & OnPath)
  | ({ readonly op: 'readdir' } & OnPath)
  | ({ readonly op: 'stat'; readonly follow: boolean } & OnPath)
  | ({ readonly op: 'chmod'; readonly mode: number } & OnPath)
  | ({ readonly op: 'chown'; readonly uid: number; readonly gid: number } & OnPath)
  | ({ readonly op: 'utimes'; readonly mtimeSeconds: number } & OnPath)
  | ({ readonly op: 'setxattr'; readonly name: string; readonly flags: number } & OnPath & Content)
  | ({ readonly op: 'getxattr'; readonly name: string } & OnPath)
  | ({ readonly op: 'removexattr'; readonly name: string } & OnPath);

export type HandleOperation =
  | ({ readonly op: 'open'; readonly flags: HandleFlags } & OnPath & OnHandle)
  | ({ readonly op: 'close' } & OnHandle)
  /** With `position` null, at the position of the handle. */
  | ({ readonly op: 'readHandle'; readonly position: number | null; readonly length: number } & OnHandle)
  | ({ readonly op: 'writeHandle'; readonly position: number | null } & OnHandle & Content)
  | ({ readonly op: 'truncateHandle'; readonly size: number } & OnHandle)
  | ({ readonly op: 'statHandle' } & OnHandle)
  | ({ readonly op: 'syncHandle' } & OnHandle);

/** Memory maps. A view has the length that the file had when it was mapped, and shows the present bytes. */
export type ViewOperation =
  | ({ readonly op: 'map'; readonly view: number } & OnHandle)
  | { readonly op: 'readView'; readonly view: number }
  | { readonly op: 'closeView'; readonly view: number };

export type Operation = StoreOperation | PathOperation | HandleOperation | ViewOperation;
export type OperationName = Operation['op'];

/** After a mark, the states of this many operations are kept. */
export const CUT_OPERATIONS_MAX = 24;

/** The name of the tree that every history begins with: writable and empty. */
export const FIRST_TREE = 'main';
/** The process that owns `FIRST_TREE`. */
export const FIRST_PROCESS: ProcessNumber = 0;

/** 'ok', 'ok' and a value, or the code of an error. Two actors agree if their outcomes are equal. */
export type Outcome = string;

/** A tree as sorted lines, one for each name: see `dump.ts`. */
export type Dump = readonly string[];

/** A tree as it is after a power cut. */
export interface FoundTree {
  readonly dump: Dump;
  /** The content of every regular file, by path. */
  readonly contents: ReadonlyMap<string, Buffer>;
}

/** Plays the operations of histories. It starts with one empty tree, `FIRST_TREE`. */
export interface Actor {
  readonly name: string;
  /** Operations that this actor cannot do; a run leaves them out for both sides. */
  readonly lacks: ReadonlySet<OperationName>;
  apply(operation: Operation): Outcome | Promise<Outcome>;
  /** Names of the trees, sorted. */
  trees(): readonly string[];
  dump(tree: string): Dump;
  /** Checks the actor's own consistency; one line for each problem. */
  problems?(): readonly string[];
  /** The tree as it is after a power cut, for the other actor to adopt. */
  found?(tree: string): FoundTree;
  /** After a power cut: continues from the found state if that is allowed; else returns what is wrong. */
  adopt?(found: (tree: string) => FoundTree): string | undefined;
  close(): void | Promise<void>;
}

/** `length` bytes that depend on every bit of `salt` and have no short period. */
export function contentOf(length: number, salt: number): Buffer {
  const random = new SeededRandom(salt);
  const bytes = Buffer.allocUnsafe(Math.ceil(length / 4) * 4);
  for (let at = 0; at < length; at += 4) bytes.writeUInt32LE(random.next32(), at);
  return bytes.subarray(0, length);
}

/** The outcome of a read: the number of bytes, and a hash of them. */
export function describeBytes(bytes: Uint8Array): string {
  return `${bytes.length}:${checksum64(bytes).toString(16)}`;
}

/** The fields of stat that must be equal for all actors; the size of a directory need not. */
export function describeStat(stat: {
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
}): string {
  const isDirectory = (stat.mode & 0o170000) === 0o040000;
  const size = isDirectory ? '' : ` size=${stat.size}`;
  return `${stat.mode.toString(8)} links=${stat.nlink} owner=${stat.uid}:${stat.gid}${size}`;
}

export function succeeded(value?: string): Outcome {
  return value === undefined ? 'ok' : `ok ${value}`;
}
