/**
 * The protocol of the owner's socket: one JSON object per line. A request is `{ id, operation, parameters }`; its
 * answer is `{ id, result }` or `{ id, error }`. Answers come in the order in which the work ends, not in the order of
 * the requests. A client first says `hello` with its version; before that the owner accepts only `status` and `stop`.
 * The form of `hello` and `stop` is the same in every version.
 */
import type { IoMode } from '../fuse/index.ts';
import type { TreeInfo } from '../store/index.ts';
import type { WireError } from './wire-error.ts';

export const PROTOCOL_VERSION = 1;
/**
 * Maximum bytes of a request. The owner refuses a longer one and closes the connection. Names and paths are far
 * shorter.
 */
export const REQUEST_BYTES_MAX = 64 * 1024;
/** Maximum bytes of an answer that a client reads: enough for a list of some hundred thousand mounts. */
export const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

export const IO_MODES: readonly IoMode[] = ['cached', 'shared', 'direct'];

/** A tree that is mounted. */
export interface MountRecord {
  /** The name of the fork or snapshot. */
  readonly fork: string;
  /** Absolute path of the mount point. */
  readonly directory: string;
  /**
   * Device number (`major:minor`) of the mounted filesystem, which distinguishes it from other mounts. Absent where it
   * is unknown.
   */
  readonly device?: string | undefined;
  readonly io: IoMode;
  /** Time of the mount, ISO 8601. */
  readonly since: string;
  /** Process id of the owner, which serves the mount. */
  readonly pid: number;
  /** The owner's mount namespace, as `mountNamespace` names it. */
  readonly mountNamespace: string;
  /**
   * Ids of the processes whose connections hold the mount. Unless `isKept`, the mount ends with the last connection.
   */
  readonly holders: readonly number[];
  /** True: the mount stays until somebody unmounts it. */
  readonly isKept: boolean;
  /** True: the mount was unmounted lazily, and programs still use it. */
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
  /** Number of client connections, without the one that asks. */
  readonly connections: number;
  readonly residentBytes: number;
  /** Milliseconds after which an owner without mounts and connections ends. */
  readonly idleMs: number;
}

export interface MountParameters {
  readonly fork: string;
  /**
   * Absolute path of the mount point. The client checks it (`checkMountPoint`), because the owner must not look at a
   * path that may lie on one of its own mounts.
   */
  readonly directory: string;
  readonly io?: IoMode | undefined;
  readonly allowOther?: boolean | undefined;
  /** True: reads leave access times alone. */
  readonly noAtime?: boolean | undefined;
  /** True: the connection that asks holds the mount, which ends with its last holder. False: the mount `isKept`. */
  readonly isHeld?: boolean | undefined;
}

export interface UnmountReport {
  readonly fork: string;
  readonly directory: string;
  /** True if programs still use the mount: in another mount namespace, or since before a lazy unmount. */
  readonly isStillUsed: boolean;
  /** Process ids of those programs, as far as they are known. */
  readonly users: readonly number[];
}

export interface CloneParameters {
  /** Name of any tree of the store. Both paths are byte strings. */
  readonly source: string;
  readonly sourcePath: string;
  /** Name of a mounted tree. */
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
  /** Ends this connection's hold. `report` is null if the tree stays mounted. */
  release(parameters: { fork: string }): { report: UnmountReport | null };
  /** `target` is a mount point or the name of a tree. */
  unmount(parameters: { target: string; isLazy?: boolean | undefined }): UnmountReport;
  fork(parameters: { source: string; name: string }): TreeInfo;
  snapshot(parameters: { source: string; name: string }): TreeInfo;
  /** Makes a new file in a mounted tree. The file shares the blocks of a file of any tree. */
  clone(parameters: CloneParameters): object;
  /**
   * Checkpoints those of `forks` that are mounted, so that every process can read them from the tables. `settled` is
   * the number of these forks.
   */
  settle(parameters: { forks: readonly string[] }): { settled: number };
  /**
   * Freezes the layers that the mounted ones of `forks` write to, and puts a fresh layer on each. No content changes.
   * `frozen` is the number of these forks.
   */
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
