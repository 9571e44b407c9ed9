/** Mounts that are not where they were: unmounted while in use, covered by another mount, or moved. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { ScratchCommand } from '../command/scratch-command.ts';
import { mountsOnly } from '../host/mounts-only.ts';
import { until } from '../pace/until.ts';

/** Two forks, `one` and `two`, and a directory to mount each at. When the test ends, these are unmounted. */
function withForks(context: TestContext): ScratchCommand {
  // Hooks run in the order in which they were registered: this one before that of ScratchCommand, which removes files.
  context.after(() => {
    for (const name of ['places/one', 'places/two'])
      while (spawnSync('umount', ['--lazy', scratch.at(name)]).status === 0);
  });
  const scratch = new ScratchCommand(context);
  for (const name of ['repo', 'places/one', 'places/two']) mkdirSync(scratch.at(name), { recursive: true });
  writeFileSync(scratch.at('repo/file'), 'imported\n');
  scratch.must('init');
  scratch.must('import', 'repo', '--name', 'base');
  for (const name of ['one', 'two']) scratch.must('fork', 'base', name);
  return scratch;
}

/** A program that has a working directory there until the test ends. */
function user(context: TestContext, directory: string): ChildProcess {
  const child = spawn('sleep', ['60'], { cwd: directory });
  context.after(() => child.kill('SIGKILL'));
  return child;
}

/** Mounts a tmpfs with one file in it. */
function mountForeign(directory: string): void {
  must('mount', '-t', 'tmpfs', 'ramet-test', directory);
  writeFileSync(`${directory}/foreign`, 'theirs\n');
}

function must(command: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

/** Ends the owner with SIGTERM, and returns its log. */
async function endOwner(scratch: ScratchCommand): Promise<string> {
  const log = scratch.at('.ramet/run/owner.log');
  const { pid } = JSON.parse(readFileSync(log, 'utf8').split('\n')[0]!) as { pid: number };
  process.kill(pid, 'SIGTERM');
  await until(() => /"msg":"stopped"/.test(readFileSync(log, 'utf8')), 'it ends');
  return readFileSync(log, 'utf8');
}

describe('a mount that is not where it was', { skip: mountsOnly }, () => {
  test('unmounted lazily and in use: the ending owner stores it, and unmounts the others', async (context) => {
    const scratch = withForks(context);
    scratch.must('mount', 'one', 'places/one');
    writeFileSync(scratch.at('places/one/new'), 'kept\n');
    user(context, scratch.at('places/one'));
    scratch.must('umount', '--lazy', 'one');
    scratch.must('mount', 'two', 'places/two');
    assert.doesNotMatch(await endOwner(scratch), /not everything/);
    assert.deepEqual(readdirSync(scratch.at('places/two')), []);
    assert.equal(scratch.must('cat', 'one:/new'), 'kept\n');
  });

  test('unmounted lazily: another filesystem that was mounted there since then stays', async (context) => {
    const scratch = withForks(context);
    scratch.must('mount', 'one', 'places/one');
    user(context, scratch.at('places/one'));
    scratch.must('umount', '--lazy', 'one');
    mountForeign(scratch.at('places/one'));
    scratch.must('mount', 'two', 'places/two');
    assert.doesNotMatch(await endOwner(scratch), /not everything/);
    assert.deepEqual(readdirSync(scratch.at('places/one')), ['foreign']);
    assert.deepEqual(readdirSync(scratch.at('places/two')), []);
  });

  test('unmounted lazily: another tree can be mounted there', (context) => {
    const scratch = withForks(context);
    scratch.must('mount', 'one', 'places/one');
    user(context, scratch.at('places/one'));
    scratch.must('umount', '--lazy', 'one');
    scratch.must('mount', 'base', 'places/one');
    scratch.must('umount', 'places/one');
    assert.deepEqual(readdirSync(scratch.at('places/one')), []);
  });

  test('covered by another filesystem: unmounting is refused, and the other filesystem stays', async (context) => {
    const scratch = withForks(context);
    scratch.must('mount', 'one', 'places/one');
    scratch.must('mount', 'two', 'places/two');
    writeFileSync(scratch.at('places/one/new'), 'kept\n');
    mountForeign(scratch.at('places/one'));
    for (const options of [[], ['--lazy']]) {
      const problem = scratch.mustFail(1, 'umount', 'one', ...options);
      assert.match(problem, /EBUSY.*another filesystem is mounted over it: unmount that first/);
    }
    assert.match(await endOwner(scratch), /mounted over it.*not everything could be unmounted/);
    assert.deepEqual(readdirSync(scratch.at('places/one')), ['foreign']);
    assert.deepEqual(readdirSync(scratch.at('places/two')), []);
    assert.equal(scratch.must('cat', 'one:/new'), 'kept\n');
    must('umount', scratch.at('places/one'));
    must('umount', '--lazy', scratch.at('places/one'));
  });

  test('unmounted lazily by umount(8): the fork is in use, and its directory is free', (context) => {
    const scratch = withForks(context);
    scratch.must('mount', 'one', 'places/one');
    const { pid } = user(context, scratch.at('places/one'));
    must('umount', '--lazy', scratch.at('places/one'));
    mountForeign(scratch.at('places/one'));
    assert.match(scratch.must('umount', 'one'), new RegExp(`processes .*\\b${pid}\\b|programs still use it`));
    assert.deepEqual(readdirSync(scratch.at('places/one')), ['foreign']);
    must('umount', scratch.at('places/one'));
    scratch.must('mount', 'two', 'places/one');
  });

  test('moved with the directory above it: it is unmounted where it is', async (context) => {
    const scratch = withForks(context);
    scratch.must('mount', 'one', 'places/one');
    scratch.must('mount', 'two', 'places/two');
    renameSync(scratch.at('places'), scratch.at('moved'));
    scratch.must('umount', 'one');
    assert.deepEqual(readdirSync(scratch.at('moved/one')), []);
    assert.doesNotMatch(await endOwner(scratch), /not everything/);
    assert.deepEqual(readdirSync(scratch.at('moved/two')), []);
  });
});
