/** The `ramet` program in a scratch directory. When the test ends, an owner process that it started is stopped. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { stopOwner } from '../owner/stop-owner.ts';

export const rametMain = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));

/** Tests compare what a command prints, so Node must not print these warnings. Warnings of leaks remain. */
export const NODE_OPTIONS = [
  process.env.NODE_OPTIONS ?? '',
  '--disable-warning=ExperimentalWarning',
  '--disable-warning=DeprecationWarning',
].join(' ');

/** An owner of a test that nothing stops ends after this time without work. */
const OWNER_IDLE_MS = '2000';

export interface Outcome {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export class ScratchCommand {
  readonly directory: string;

  constructor(context: TestContext) {
    this.directory = mkdtempSync(join(tmpdir(), 'ramet-test-'));
    context.after(async () => {
      await stopOwner(this.at('.ramet'));
      rmSync(this.directory, { recursive: true, force: true });
    });
  }

  at(name: string): string {
    return join(this.directory, name);
  }

  environment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
    const { RAMET_STORE: _outer, ...inherited } = process.env;
    return { ...inherited, NODE_OPTIONS, RAMET_OWNER_IDLE_MS: OWNER_IDLE_MS, ...more };
  }

  run(...args: string[]): Outcome {
    return this.runWith({}, ...args);
  }

  runWith(environment: Readonly<Record<string, string>>, ...args: string[]): Outcome {
    const { status, stdout, stderr } = spawnSync(process.execPath, [rametMain, ...args], {
      cwd: this.directory,
      env: this.environment(environment),
      encoding: 'utf8',
    });
    return { code: status, out: stdout, err: stderr };
  }

  /** Runs a command that must succeed and print nothing on stderr; returns its stdout. */
  must(...args: string[]): string {
    const { code, out, err } = this.run(...args);
    assert.deepEqual([code, err], [0, ''], `ramet ${args.join(' ')}`);
    return out;
  }

  json(...args: string[]): unknown {
    return JSON.parse(this.must(...args, '--json'));
  }

  /** Runs a command that must fail with this exit code; returns the one line that it prints on stderr. */
  mustFail(code: number, ...args: string[]): string {
    const outcome = this.run(...args);
    assert.equal(outcome.code, code, `ramet ${args.join(' ')}: ${outcome.err}`);
    assert.match(outcome.err, /^[^\n]+\n$/, 'one line');
    return outcome.err.trimEnd();
  }
}
