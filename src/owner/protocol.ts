/**
 * The protocol of the owner's socket: one JSON object a line. A request is `{ id, operation, parameters }`; its answer
 * `{ id, result }` or `{ id, error }`. Answers come in the order in which the work ends, not in the order of the
 * requests. `hello` comes first and names the version; it and `stop` keep their form in every version.
 */
import type { IoMode } from '../fuse/index.ts';
import type { TreeInfo } from '../store/index.ts';
import type { WireError } from './wire-error.ts';

export const PROTOCOL_VERSION = 1;
/** The owner refuses a longer request, and closes its connection: names and paths are far shorter. */
export const REQUEST_BYTES_MAX = 64 * 1024;
/** The longest answer that a client reads: a list of some hundred thousand mounts. */
export const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export const IO_MODES: readonly IoMode[] = ['cached', 'shared', 'direct'];

/** A tree that is mounted. */
export interface MountRecord {
  /** The name of the fork or snapshot. */
  readonly fork: string;
  /** Absolute path of the mount point. */
  readonly directory: string;
  /** `major:minor` of what is mounted, by which it is told from what others mount; absent where that is unknown. */
  readonly device?: string | undefined;
  readonly io: IoMode;
  /** When it was mounted, ISO 8601. */
  readonly since: string;
  /** The process that serves the mount: the owner. */
  readonly pid: number;
  /** The owner's mount namespace, as `mountNamespace` names it. */
  readonly mountNamespace: string;
  /** Processes whose connection holds the mount. Unless `isKept`, the mount ends with the last of them. */
  readonly holders: readonly number[];
  /** The mount stays until somebody unmounts it. */
  readonly isKept: boolean;
  /** The mount was unmounted lazily, and programs still use it. */
  readonly isDetached: boolean;
  /** Process ids of those programs, as far as they are known. */
  readonly users: readonly number[];
}

/** The source name of a tree's mount in the kernel's tables of mounts, by which every process recognises it. */
export function mountSource(fork: string): string {
  return `ramet:${fork}`;
}

export interface OwnerStatus {
  readonly pid: number;
  readonly since: string;
  readonly store: string;
  readonly mounts: number;
  /** Connections of clients, without the one that asks. */
  readonly connections: number;
  readonly residentBytes: number;
  /** The owner ends after this many milliseconds without a mount and a connection. */
  readonly idleMs: number;
}

export interface MountParameters {
  readonly fork: string;
  /**
   * The client checks it (`checkMountPoint`): the owner must not look at a path that may lie on one of its own mounts.
   */
  readonly directory: string;
  readonly io?: IoMode | undefined;
  readonly allowOther?: boolean | undefined;
  /** Reads leave access times alone. */
  readonly noAtime?: boolean | undefined;
  /** The mount ends with the connection that asked for it. */
  readonly isHeld?: boolean | undefined;
}

export interface UnmountReport {
  readonly fork: string;
  readonly directory: string;
  /** Programs still use the mount, in another mount namespace or since before a lazy unmount. */
  readonly isStillUsed: boolean;
  /** Their process ids, as far as they are known. */
  readonly users: readonly number[];
}

export interface CloneParameters {
  /** Any tree of the store. Paths are byte strings. */
  readonly source: string;
  readonly sourcePath: string;
  /** A tree that is mounted. */
  readonly target: string;
  readonly targetPath: string;
}

/** Every operation, as a function of its parameters. */
export interface Operations {
  hello(parameters: { protocol: number; pid: number }): { protocol: number; pid: number };
  status(parameters: object): OwnerStatus;
  /** Answers, then ends the owner: unmounts everything, busy mounts lazily. */
  stop(parameters: object): { pid: number };
  mounts(parameters: object): readonly MountRecord[];
  mount(parameters: MountParameters): MountRecord;
  /** Holds a tree's mount until the connection ends: the existing one, or a new one in a directory of the store. */
  hold(parameters: Pick<MountParameters, 'fork' | 'io' | 'noAtime'>): MountRecord;
  /** Ends a hold. `report` is null if the tree stays mounted. */
  release(parameters: { fork: string }): { report: UnmountReport | null };
  /** `target` is a mount point or the name of a tree. */
  unmount(parameters: { target: string; isLazy?: boolean | undefined }): UnmountReport;
  fork(parameters: { source: string; name: string }): TreeInfo;
  snapshot(parameters: { source: string; name: string }): TreeInfo;
  /** A new file in a mounted tree that shares the blocks of a file of any tree. */
  clone(parameters: CloneParameters): object;
  /** Checkpoints mounted forks, so that every process can read them from the tables. */
  settle(parameters: { forks: readonly string[] }): { settled: number };
  /** Freezes the layers that mounted forks write to, under fresh ones. No content changes. */
  freeze(parameters: { forks: readonly string[] }): { frozen: number };
}

export type OperationName = keyof Operations;
export type Parameters<K extends OperationName> = globalThis.Parameters<Operations[K]>[0];
export type Result<K extends OperationName> = ReturnType<Operations[K]>;

export interface Request {
  readonly id: number;
  readonly operation: string;
  readonly parameters: unknown;
}

/** `id` is null where the request could not be read. */
export type Answer =
  | { readonly id: number | null; readonly result: unknown }
  | { readonly id: number | null; readonly error: WireError };
