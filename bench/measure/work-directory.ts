/** Where benchmarks work: a temporary directory that is removed at the end, with what is mounted in it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { directoryOnDisk } from '../../src/demo/index.ts';
import { mountedPlaces } from '../../src/sys/index.ts';

/** Something to undo, in the reverse order of doing. */
type Undo = () => void;

export class WorkDirectory {
  readonly path: string;
  private readonly undos: Undo[] = [];

  constructor(parent: string = directoryOnDisk()) {
    this.path = mkdtempSync(path.join(parent, 'ramet-bench-'));
  }

  join(...names: readonly string[]): string {
    return path.join(this.path, ...names);
  }

  /** What is undone later, at the latest by `remove`. Returns a function that undoes it now. */
  onRemove(undo: Undo): Undo {
    let isDone = false;
    const once = (): void => {
      if (!isDone) undo();
      isDone = true;
    };
    this.undos.push(once);
    return once;
  }

  /** Also in the middle of an interrupted run: nothing stays mounted, and nothing that is mounted is emptied. */
  remove(): void {
    for (const undo of this.undos.splice(0).reverse()) {
      try {
        undo();
      } catch {
        // In use, or gone already. What is still mounted is taken off next; what cannot be removed fails below.
      }
    }
    const isInside = (directory: string): boolean => directory.startsWith(`${this.path}/`);
    for (const { directory } of mountedPlaces().reverse()) {
      if (isInside(directory)) runProgram('umount', '--lazy', directory);
    }
    // Processes that are just ending may still make a file.
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
  }
}

/** Runs a program of the host. Its standard error is in the message of the error it fails with. */
export function runProgram(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Why a program cannot be used here; undefined when it can. */
export function whyNotProgram(program: string): string | undefined {
  try {
    runProgram('sh', '-c', 'command -v "$1"', 'sh', program);
    return undefined;
  } catch {
    return `${program} is not installed`;
  }
}

export function whyNotRoot(): string | undefined {
  return process.getuid?.() === 0 ? undefined : 'mounting needs root';
}

/** What a program that failed said: the line with the error, or else the first. */
export function firstLine(error: unknown): string {
  const text =
    error instanceof Error && 'stderr' in error && error.stderr !== '' ? String(error.stderr) : String(error);
  const lines = text.trim().split('\n');
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines[0] ?? '';
}
