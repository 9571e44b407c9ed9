/**
 * Mounts for tests and benchmarks, served by a separate process, because a process that waits for its own mount waits
 * for ever. Disposing a `MountServerProcess` kills the process and unmounts everything.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { directoryOnDisk } from '../../src/demo/index.ts';
import type { IoMode, MountServerOptions } from '../../src/fuse/index.ts';
import { createSystem } from '../../src/sys/index.ts';
import { Child } from '../processes/child.ts';
import type { ServingAnswer, ServingRequest } from './serving-child.ts';

/** Why nothing can be mounted here; false where it can. For the `skip` of a test. */
export function whyNoMounts(): false | string {
  if (process.platform !== 'linux') return 'mounts need Linux';
  if (process.getuid?.() !== 0) return 'mounting needs root';
  if (createSystem().kind !== 'native') return 'mounts need libc';
  try {
    closeSync(openSync('/dev/fuse', constants.O_RDWR));
    return false;
  } catch (error) {
    return `/dev/fuse cannot be opened: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Mount points at and below a directory, the deepest first: /proc/self/mounts, where a space is written \040. */
function mountPointsUnder(directory: string): string[] {
  const points = readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => (line.split(' ')[1] ?? '').replaceAll('\\040', ' '));
  return points.filter((point) => `${point}/`.startsWith(`${directory}/`)).reverse();
}

/** A store in a directory of its own, and the process that serves mounts of its trees. */
export class MountServerProcess implements AsyncDisposable {
  readonly directory: string;
  readonly storeDirectory: string;
  readonly child: Child;
  private readonly isOwnDirectory: boolean;

  private constructor(
    directory: string | undefined,
    storeDirectory: string | undefined,
    options: MountServerOptions,
  ) {
    this.isOwnDirectory = directory === undefined;
    this.directory = directory ?? mkdtempSync(join(directoryOnDisk(), 'ramet-mounts-'));
    // Other users must be able to reach the mounts below.
    chmodSync(this.directory, 0o755);
    this.storeDirectory = storeDirectory ?? join(this.directory, 'store');
    this.child = new Child('../mount/serving-child', this.storeDirectory, JSON.stringify(options));
  }

  /**
   * Works in `directory`, or else in a new one that is removed at the end; by default the store is in there. Several
   * processes may serve one store. `options` must be valid as JSON.
   */
  static async start(
    directory?: string,
    storeDirectory?: string,
    options: MountServerOptions = {},
  ): Promise<MountServerProcess> {
    const server = new MountServerProcess(directory, storeDirectory, options);
    await server.child.next();
    return server;
  }

  /** Sends a request to the process; throws an error of the filesystem with its code. */
  async ask(request: ServingRequest): Promise<ServingAnswer> {
    const answer = await this.child.ask<ServingAnswer>(request);
    if (answer.code === undefined) return answer;
    throw Object.assign(new Error(answer.message), { code: answer.code });
  }

  /** Mounts a tree (a fork, or a snapshot) at a new directory, and returns the path. */
  async mount(tree: string, io: IoMode = 'cached'): Promise<string> {
    const directory = join(this.directory, 'mounts', `${tree}-${io}`);
    mkdirSync(directory, { recursive: true });
    await this.ask({ kind: 'mount', tree, directory, io });
    return directory;
  }

  async unmount(directory: string, isLazy = false): Promise<void> {
    await this.ask({ kind: 'unmount', directory, isLazy });
  }

  /** Kills the process with SIGKILL. Its mounts answer ENOTCONN from then on. */
  async kill(): Promise<void> {
    await this.child.kill();
  }

  /** Unmounts everything that a killed process has left mounted. */
  clearMounts(): void {
    for (const point of mountPointsUnder(this.directory))
      execFileSync('umount', ['--lazy', point], { stdio: 'pipe' });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.kill();
    this.clearMounts();
    if (this.isOwnDirectory) rmSync(this.directory, { recursive: true, force: true });
  }
}
