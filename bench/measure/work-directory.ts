/** The temporary directory of a benchmark, which is removed at the end together with all mounts in it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { directoryOnDisk } from '../../src/demo/index.ts';
import { mountedPlaces } from '../../src/sys/index.ts';

/** Undoes one step of preparation. The steps are undone in reverse order. */
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

  /** Registers `undo`, which `remove` calls at the latest. Returns a function that calls it now, once in all. */
  onRemove(undo: Undo): Undo {
    let isDone = false;
    const once = (): void => {
      if (!isDone) undo();
      isDone = true;
    };
    this.undos.push(once);
    return once;
  }

  /** Unmounts everything inside, then removes the directory, so no mounted tree is emptied. Ends interrupted runs. */
  remove(): void {
    for (const undo of this.undos.splice(0).reverse()) {
      try {
        undo();
      } catch {
        // In use, or gone already. Mounts that are left are taken off next; files that cannot be removed fail below.
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

/** Runs a program of the host, and returns its output. If it fails, the error has its standard error. */
export function runProgram(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** The reason why a program cannot be used here; undefined if it can. */
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

/** The line with the error in the standard error of a failed program, or else its first line. */
export function firstLine(error: unknown): string {
  const text =
    error instanceof Error && 'stderr' in error && error.stderr !== '' ? String(error.stderr) : String(error);
  const lines = text.trim().split('\n');
  return lines.find((line) => /^\w*Error\b/.test(line)) ?? lines[0] ?? '';
}
