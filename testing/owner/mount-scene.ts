/**
 * For tests of mounts that could block each other: several stores in one directory, whose owners may be stopped or
 * killed. All waits have a time limit, and at the end nothing is mounted and no owner is left.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { directoryOnDisk } from '../../src/demo/index.ts';
import type { MountRecord } from '../../src/owner/index.ts';
import { NODE_OPTIONS, type Outcome, rametMain } from '../command/scratch-command.ts';

const COMMAND_MS_MAX = 120_000;
const LOOK_MS_MAX = 30_000;

export class MountScene {
  readonly directory: string;
  private readonly owners = new Set<number>();

  constructor(context: TestContext) {
    this.directory = mkdtempSync(join(directoryOnDisk(), 'ramet-scene-'));
    context.after(() => this.end());
  }

  at(name: string): string {
    return join(this.directory, name);
  }

  /** Makes a file and the directories above it. */
  write(name: string, text: string): void {
    mkdirSync(dirname(this.at(name)), { recursive: true });
    writeFileSync(this.at(name), text);
  }

  makeDirectory(name: string): string {
    mkdirSync(this.at(name), { recursive: true });
    return this.at(name);
  }

  /** Runs `ramet` on the store `store`. The code is null if the command did not end in time. */
  run(store: string, ...args: string[]): Outcome {
    const command = [rametMain, '--store', this.at(store), ...args];
    const { status, stdout, stderr } = spawnSync(process.execPath, command, {
      cwd: this.directory,
      env: { ...process.env, NODE_OPTIONS, RAMET_OWNER_IDLE_MS: '60000', RAMET_OWNER_WAIT_MS: '1000' },
      encoding: 'utf8',
      timeout: COMMAND_MS_MAX,
      killSignal: 'SIGKILL',
    });
    return { code: status, out: stdout, err: stderr };
  }

  must(store: string, ...args: string[]): string {
    const { code, out, err } = this.run(store, ...args);
    assert.deepEqual([code, err], [0, ''], `ramet ${args.join(' ')}`);
    return out;
  }

  /** Runs `ramet`, which must fail with exit code 1; returns its stderr. */
  mustFail(store: string, ...args: string[]): string {
    const { code, err } = this.run(store, ...args);
    assert.equal(code, 1, `ramet ${args.join(' ')}: ${err}`);
    return err;
  }

  /** Makes an empty store, an import of a directory with the file `file`, and forks of it. */
  makeStore(store: string, ...forks: string[]): void {
    this.write(`${store}-base/file`, `of ${store}\n`);
    this.must(store, 'init');
    this.must(store, 'import', `${store}-base`, '--name', 'base');
    for (const fork of forks) this.must(store, 'fork', 'base', fork);
  }

  /** Mounts a tree at a directory; the command makes a missing directory unless a mount lies above. */
  mount(store: string, tree: string, directory: string): MountRecord {
    const record = JSON.parse(this.must(store, 'mount', tree, this.at(directory), '--json')) as MountRecord;
    this.owners.add(record.pid);
    return record;
  }

  mounts(store: string): Record<string, string> {
    const records = JSON.parse(this.must(store, 'ls', '--mounts', '--json')) as MountRecord[];
    return Object.fromEntries(records.map(({ fork, directory }) => [fork, directory]));
  }

  /** The output of a program; undefined if the program does not end in time. */
  look(program: string, ...args: string[]): { readonly out: string; readonly err: string } | undefined {
    const { stdout, stderr, error } = spawnSync(program, args, {
      cwd: this.directory,
      encoding: 'utf8',
      timeout: LOOK_MS_MAX,
      killSignal: 'SIGKILL',
    });
    return error === undefined ? { out: stdout, err: stderr } : undefined;
  }

  /** The content of a file, or the error of cat(1); undefined if cat does not end in time. */
  read(name: string): string | undefined {
    const seen = this.look('cat', name);
    return seen && seen.out + seen.err;
  }

  private mountPoints(): string[] {
    return readFileSync('/proc/self/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '')
      .filter((place) => place.startsWith(`${this.directory}/`))
      .reverse();
  }

  private end(): void {
    for (const pid of this.owners) {
      for (const signal of ['SIGCONT', 'SIGKILL'] as const) {
        try {
          process.kill(pid, signal);
        } catch {
          // The owner has ended already.
        }
      }
    }
    for (const place of this.mountPoints()) this.look('umount', '--lazy', place);
    rmSync(this.directory, { recursive: true, force: true });
  }
}
