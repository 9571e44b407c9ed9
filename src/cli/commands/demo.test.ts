/** `ramet demo` as a program: table, JSON, interruption, wrong usage. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe('ramet demo', () => {
  let directory: string;
  let work: string;

  before(() => {
    directory = mkdtempSync(path.join(tmpdir(), 'cli-demo-test-'));
    work = path.join(directory, 'work');
    mkdirSync(work);
    mkdirSync(path.join(directory, 'tree'));
    for (let file = 0; file < 10; file++)
      writeFileSync(path.join(directory, 'tree', `file ${file}`), `content ${file}`);
  });

  after(() => rmSync(directory, { recursive: true, force: true }));

  /** Runs the command, and interrupts it as soon as `interruptWhen` returns true. */
  async function demo(args: readonly string[], interruptWhen?: () => boolean): Promise<Ended> {
    const places = ['--dir', work, '--tree', path.join(directory, 'tree')];
    const child = spawn(process.execPath, [MAIN, 'demo', ...places, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString();
    });
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    while (interruptWhen !== undefined && child.exitCode === null) {
      if (interruptWhen()) {
        child.kill('SIGINT');
        break;
      }
      await delay(5);
    }
    return { code: await ended, stdout, stderr };
  }

  it('prints a table, and exits with 0 when every byte is right', async () => {
    const { code, stdout, stderr } = await demo(['--size', '1MiB', '--forks', '2']);
    assert.equal(stderr, '');
    assert.equal(code, 0);
    assert.match(stdout, /^tree +11 files/m);
    assert.match(stdout, /^time to fork +\d+\.\d{3} ms median/m);
    assert.match(stdout, /^Every byte of every fork is what it must be/m);
    assert.deepEqual(readdirSync(work), []);
  });

  it('prints one JSON value with --json', async () => {
    const { code, stdout, stderr } = await demo(['--size', '1048576', '--forks', '2', '--json']);
    assert.equal(stderr, '');
    assert.equal(code, 0);
    // The cast: the members have the type `unknown`, and the assertions below check them.
    const result = JSON.parse(stdout) as {
      files: unknown;
      forks: unknown;
      bigFileBytes: unknown;
      problems: unknown;
      seconds: unknown;
    };
    assert.equal(result.files, 11);
    assert.equal(result.forks, 2);
    assert.equal(result.bigFileBytes, 2 ** 20);
    assert.deepEqual(result.problems, []);
    assert.equal(typeof result.seconds, 'number');
  });

  it('removes everything when it is interrupted', async () => {
    const hasBegun = (): boolean => readdirSync(work).length > 0;
    const { code, stdout, stderr } = await demo(['--size', '512MiB', '--forks', '16'], hasBegun);
    assert.equal(code, 130);
    assert.equal(stdout, '');
    assert.match(stderr, /^ramet: the demo was interrupted; nothing of it is left\n$/);
    assert.deepEqual(readdirSync(work), []);
  });

  it('refuses wrong usage with 2, and a tree that is not there with 1', async () => {
    for (const args of [
      ['--size', 'much'],
      ['--size', '-1'],
      ['--forks', '0'],
      ['--forks', 'x'],
      ['--what'],
    ]) {
      const { code, stderr } = await demo(args);
      assert.equal(code, 2, `${args.join(' ')}: ${stderr}`);
      assert.equal(stderr.trimEnd().split('\n').length, 1);
    }
    const { code, stderr } = await demo(['--tree', path.join(directory, 'missing')]);
    assert.equal(code, 1);
    assert.match(stderr, /^ramet: ENOENT: .*missing/);
    assert.deepEqual(readdirSync(work), []);
  });
});
