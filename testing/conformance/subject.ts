/** The subject of the suite: an object with the API of node:fs, and a directory for one case to work in. */
import type * as nodeFs from 'node:fs';

/** The synchronous functions of node:fs that the cases use, with Node's own types. */
type SyncName =
  | 'accessSync'
  | 'appendFileSync'
  | 'chmodSync'
  | 'chownSync'
  | 'closeSync'
  | 'copyFileSync'
  | 'cpSync'
  | 'existsSync'
  | 'fchmodSync'
  | 'fchownSync'
  | 'fdatasyncSync'
  | 'fstatSync'
  | 'fsyncSync'
  | 'ftruncateSync'
  | 'futimesSync'
  | 'lchownSync'
  | 'linkSync'
  | 'lstatSync'
  | 'lutimesSync'
  | 'mkdirSync'
  | 'mkdtempSync'
  | 'openSync'
  | 'opendirSync'
  | 'readFileSync'
  | 'readSync'
  | 'readdirSync'
  | 'readlinkSync'
  | 'readvSync'
  | 'realpathSync'
  | 'renameSync'
  | 'rmSync'
  | 'rmdirSync'
  | 'statSync'
  | 'symlinkSync'
  | 'truncateSync'
  | 'unlinkSync'
  | 'utimesSync'
  | 'writeFileSync'
  | 'writeSync'
  | 'writevSync';

type PromiseName =
  | 'access'
  | 'appendFile'
  | 'chmod'
  | 'chown'
  | 'copyFile'
  | 'cp'
  | 'lchown'
  | 'link'
  | 'lstat'
  | 'lutimes'
  | 'mkdir'
  | 'mkdtemp'
  | 'open'
  | 'opendir'
  | 'readFile'
  | 'readdir'
  | 'readlink'
  | 'realpath'
  | 'rename'
  | 'rm'
  | 'rmdir'
  | 'stat'
  | 'symlink'
  | 'truncate'
  | 'unlink'
  | 'utimes'
  | 'writeFile';

export interface FsPromisesLike extends Pick<typeof nodeFs.promises, PromiseName> {}

export interface FsLike extends Pick<typeof nodeFs, SyncName> {
  readonly promises: FsPromisesLike;
}

/** Features that not every subject has. A case that needs a missing one is skipped, with the reason printed. */
export interface SubjectFeatures {
  /** Operations act as user 0: chown works and permission bits do not stop reading and writing. */
  readonly root: boolean;
  /** Operations act as another user: permission bits are enforced. */
  readonly unprivileged: boolean;
  /** `blocks` of stat counts allocated space, so that a hole takes none. */
  readonly sparseBlocks: boolean;
  /** Times are kept to the nanosecond (the precision that the caller can express). */
  readonly nanosecondTimes: boolean;
  /** mtime and ctime move when data or metadata change. */
  readonly clockMoves: boolean;
}

export interface FsSubject {
  readonly name: string;
  readonly fs: FsLike;
  /** Absolute path of an empty directory, fresh for each case, with no trailing slash and no symbolic link in it. */
  readonly root: string;
  /** True when `fs` is node:fs over the host. */
  readonly isHost: boolean;
  /** The file mode creation mask in force, for example 0o022. */
  readonly umask: number;
  readonly features: SubjectFeatures;
}

export interface ConformanceCase {
  readonly name: string;
  readonly needs?: readonly (keyof SubjectFeatures)[];
  /** Throws when the subject is wrong. Closes every descriptor it opens. */
  run(subject: FsSubject): void | Promise<void>;
}

export interface CaseGroup {
  readonly name: string;
  readonly cases: readonly ConformanceCase[];
}
