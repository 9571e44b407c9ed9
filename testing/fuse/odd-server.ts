/** For tests: starts the FUSE server of `odd-fuse.ts`, and sets what it shows. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { OddDirectory } from './odd-fuse.ts';

const PROGRAM = fileURLToPath(new URL('./odd-fuse.js', import.meta.url));

export class OddServer {
  readonly directory: string;
  private readonly control: string;
  private server: ChildProcess | undefined;

  /** Makes the directory at which `start` mounts the server. */
  constructor(directory: string) {
    this.directory = directory;
    this.control = `${directory}.json`;
    mkdirSync(directory);
  }

  /** Sets the files that the server shows from now on. */
  show(state: OddDirectory): void {
    writeFileSync(`${this.control}.new`, JSON.stringify(state));
    renameSync(`${this.control}.new`, this.control);
  }

  async start(): Promise<void> {
    this.server = spawn(process.execPath, [PROGRAM, this.directory, this.control], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(this.server.stdout!, 'data');
  }

  /** Kills the server and unmounts its directory. */
  async end(): Promise<void> {
    const { server } = this;
    if (server === undefined || server.exitCode !== null) return;
    const ended = once(server, 'exit');
    server.kill('SIGKILL');
    await ended;
    spawnSync('umount', ['-l', this.directory]);
  }
}
