/** Commands that run in several forks at once: none keeps the tree of another in use. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { rametMain, ScratchCommand } from '../../testing/command/scratch-command.ts';
import { mountsOnly } from '../../testing/host/mounts-only.ts';

/** A store with forks `try-1` and `try-2` of one tree. */
function withForks(context: TestContext): ScratchCommand {
  const scratch = new ScratchCommand(context);
  mkdirSync(scratch.at('repo'));
  writeFileSync(scratch.at('repo/file'), 'as imported\n');
  scratch.must('init');
  scratch.must('import', 'repo', '--name', 'base');
  scratch.must('fork', 'base', 'try-1');
  scratch.must('fork', 'base', 'try-2');
  return scratch;
}

/** A command that runs in a fork: it has written the fork's name to `file`, and ends when its stdin ends. */
class RunningCommand {
  private readonly child: ChildProcess;
  private readonly fork: string;

  private constructor(child: ChildProcess, fork: string) {
    this.child = child;
    this.fork = fork;
  }

  static async start(scratch: ScratchCommand, context: TestContext, fork: string): Promise<RunningCommand> {
    const command = 'echo "$0" > file; echo started; cat; cat file';
    const child = spawn(process.execPath, [rametMain, 'run', fork, '--', 'sh', '-c', command, fork], {
      cwd: scratch.directory,
      env: scratch.environment(),
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    context.after(() => child.kill('SIGKILL'));
    const [said] = await once(child.stdout, 'data');
    assert.equal(String(said), 'started\n');
    return new RunningCommand(child, fork);
  }

  /** Ends the command, which must still see its own tree and nothing of the other's. */
  async end(): Promise<void> {
    const ended = once(this.child, 'exit');
    const [[said]] = await Promise.all([once(this.child.stdout!, 'data'), this.child.stdin!.end()]);
    assert.equal(String(said), `${this.fork}\n`);
    assert.deepEqual(await ended, [0, null]);
  }
}

describe('ramet run, twice at once', { skip: mountsOnly }, () => {
  for (const [first, second] of [
    ['try-1', 'try-2'],
    ['try-2', 'try-1'],
  ] as const) {
    test(`${first}, which began first, ends first: it can be dropped while ${second} runs`, async (context) => {
      const scratch = withForks(context);
      const one = await RunningCommand.start(scratch, context, first);
      const other = await RunningCommand.start(scratch, context, second);
      await one.end();
      assert.equal(scratch.must('cat', `${first}:/file`), `${first}\n`);
      scratch.must('drop', first);
      await other.end();
      scratch.must('drop', second);
    });
  }

  test('the command that began last ends first: its fork can be dropped while the other runs', async (context) => {
    const scratch = withForks(context);
    const one = await RunningCommand.start(scratch, context, 'try-1');
    const other = await RunningCommand.start(scratch, context, 'try-2');
    await other.end();
    scratch.must('drop', 'try-2');
    await one.end();
    scratch.must('drop', 'try-1');
  });
});
