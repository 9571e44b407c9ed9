/** Operations of a history as plain objects, their results, and the interface of those that perform them. */
import { checksum64, SeededRandom } from '../../src/base/index.ts';

/** Flags of an open that keeps a handle: as those of fs.open. */
export type HandleFlags = 'r' | 'r+' | 'w+' | 'a+' | 'wx+';

interface On {
  /** Name of the tree. */
  readonly tree: string;
}

/**
 * Two processes work on one store. A tree belongs to one of them: the first to the first, a new one to its source's.
 */
export type ProcessNumber = 0 | 1;

interface By {
  readonly process: ProcessNumber;
}

interface OnPath extends On {
  /** Absolute within the tree. */
  readonly path: string;
}

interface OnHandle {
  /** Number of the handle, given by the history, never used twice. */
  readonly handle: number;
}

/** Bytes to write: `contentOf(length, salt)`. */
interface Content {
  readonly length: number;
  readonly salt: number;
}

/** What happens to trees and to the store. */
export type StoreOperation =
  | ({ readonly op: 'fork'; readonly source: string } & On)
  | ({ readonly op: 'snapshot'; readonly source: string } & On)
  /** The tree goes, with its handles; trees made from it stay. */
  | ({ readonly op: 'drop' } & On)
  /** Nothing that anyone sees changes. */
  | ({ readonly op: 'checkpoint' } & On)
  | ({ readonly op: 'collect' } & By)
  | ({ readonly op: 'dedupe' } & By)
  /** The process that has the tree closes it, with its handles, and the other one has it from here on. */
  | ({ readonly op: 'handOver' } & On)
  /** A process closes everything in good order and starts over; its handles are gone. */
  | ({ readonly op: 'reopen' } & By)
  /** A process dies and another takes its place: nothing acknowledged is lost, its handles are gone. */
  | ({ readonly op: 'crash' } & By)
  /** Both processes close everything, so that all is durable, and start over. */
  | { readonly op: 'mark' }
  /**
   * The power goes off, at most `CUT_OPERATIONS_MAX` operations after a mark; later, or without one, only the processes
   * die. Each tree is then in some state that it had since it was last durable, and of the blocks that were
   * overwritten since that state each is old or new. `salt` decides what is lost.
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
  /** Whole blocks of `from` are shared into `path`. */
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
  /** `position` null: where the handle is. */
  | ({ readonly op: 'readHandle'; readonly position: number | null; readonly length: number } & OnHandle)
  | ({ readonly op: 'writeHandle'; readonly position: number | null } & OnHandle & Content)
  | ({ readonly op: 'truncateHandle'; readonly size: number } & OnHandle)
  | ({ readonly op: 'statHandle' } & OnHandle)
  | ({ readonly op: 'syncHandle' } & OnHandle);

/** Memory maps: what `map` gave shows the file as it is now, as long as it was when mapped. */
export type ViewOperation =
  | ({ readonly op: 'map'; readonly view: number } & OnHandle)
  | { readonly op: 'readView'; readonly view: number }
  | { readonly op: 'closeView'; readonly view: number };

export type Operation = StoreOperation | PathOperation | HandleOperation | ViewOperation;
export type OperationName = Operation['op'];

/** Operations in which everything that a tree may be found with is kept. */
export const CUT_OPERATIONS_MAX = 24;

/** The name of the tree that every history begins with: writable and empty. */
export const FIRST_TREE = 'main';
/** The process that it belongs to. */
export const FIRST_PROCESS: ProcessNumber = 0;

/** 'ok', 'ok' and a value, or the code of an error. Two actors agree when these are equal. */
export type Outcome = string;

/** A tree as sorted lines, one a name, see `dump.ts`. */
export type Dump = readonly string[];

/** What is found in a tree after a power cut. */
export interface FoundTree {
  readonly dump: Dump;
  /** Of every regular file, by path. */
  readonly contents: ReadonlyMap<string, Buffer>;
}

/** Something that histories are played on. It starts with one empty tree, `FIRST_TREE`. */
export interface Actor {
  readonly name: string;
  /** Operations it cannot do; a run leaves them out for both sides. */
  readonly lacks: ReadonlySet<OperationName>;
  apply(operation: Operation): Outcome | Promise<Outcome>;
  /** Names of the trees, sorted. */
  trees(): readonly string[];
  dump(tree: string): Dump;
  /** Looks for inner contradictions; one line each. */
  problems?(): readonly string[];
  /** What a tree holds after a power cut, for somebody else to adopt. */
  found?(tree: string): FoundTree;
  /** After a power cut: continues from the state that was found where the rule allows it; else says what is wrong. */
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

/** What reading answers: how many bytes, and a hash of them. */
export function describeBytes(bytes: Uint8Array): string {
  return `${bytes.length}:${checksum64(bytes).toString(16)}`;
}

/** What stat answers, of that which must be equal everywhere. The size of a directory is the filesystem's own. */
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
