/** Mounts whose owner process lives in another mount namespace: nothing may be written to the directory below them. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { type Outcome, rametMain, ScratchCommand } from '../../testing/command/scratch-command.ts';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { Store } from '../library/index.ts';
import { type MountRecord, OwnerClient } from '../owner/index.ts';

/** A store with forks `try-1` and `try-2` of one tree, and an empty directory for each to be mounted at. */
async function withForks(context: TestContext): Promise<ScratchCommand> {
  const scratch = new ScratchCommand(context);
  for (const name of ['repo', 'place', 'other']) mkdirSync(scratch.at(name));
  writeFileSync(scratch.at('repo/file'), 'as imported\n');
  const store = await Store.open(scratch.at('.ramet'));
  const base = await store.import(scratch.at('repo'), { name: 'base' });
  await base.fork('try-1');
  await base.fork('try-2');
  await store.close();
  return scratch;
}

/** Runs `ramet` in a mount namespace of its own, after a shell command; an owner that it starts stays there. */
function runAlone(scratch: ScratchCommand, first: string, ...args: string[]): Outcome {
  const command = ['sh', '-c', `${first} && exec "$@"`, 'sh', process.execPath, rametMain, ...args];
  const { status, stdout, stderr } = spawnSync('unshare', ['--mount', '--', ...command], {
    cwd: scratch.directory,
    env: scratch.environment(),
    encoding: 'utf8',
  });
  return { code: status, out: stdout, err: stderr };
}

function runElsewhere(scratch: ScratchCommand, ...args: string[]): void {
  // The new namespace must not hold the mounts of tests that run beside this one.
  const { code, err } = runAlone(scratch, 'umount -a -l -t fuse.ramet || true', ...args);
  assert.deepEqual([code, err], [0, '']);
}

async function mounts(scratch: ScratchCommand): Promise<readonly MountRecord[]> {
  const owner = await OwnerClient.connect(scratch.at('.ramet'));
  assert.ok(owner !== undefined);
  try {
    return await owner.request('mounts', {});
  } finally {
    owner.close();
  }
}

async function mountedForks(scratch: ScratchCommand): Promise<string[]> {
  return (await mounts(scratch)).map(({ fork }) => fork);
}

const WAY_OUT =
  /^ramet: 'try-\d' cannot be mounted at \S+, the owner process .*`nsenter -m -t \d+.* owner stop/;

describe('an owner process in another mount namespace', { skip: mountsOnly }, () => {
  test('ramet run does not run the command, neither in a fork that is mounted nor in another', async (context) => {
    const scratch = await withForks(context);
    runElsewhere(scratch, 'mount', 'try-1', 'place');
    for (const fork of ['try-1', 'try-2']) {
      assert.match(scratch.mustFail(1, 'run', fork, '--', 'sh', '-c', 'echo x > lost'), WAY_OUT);
    }
    assert.deepEqual(await mountedForks(scratch), ['try-1']);
    assert.deepEqual(readdirSync(scratch.at('place')), []);
    assert.deepEqual(readdirSync(scratch.at('.ramet/run/mounts')), []);
    assert.deepEqual(readdirSync(scratch.at('repo')), ['file']);
  });

  test('ramet mount says so, and leaves nothing mounted there', async (context) => {
    const scratch = await withForks(context);
    runElsewhere(scratch, 'mount', 'try-1', 'place');
    const [{ pid } = { pid: 0 }] = await mounts(scratch);
    const problem = scratch.mustFail(1, 'mount', 'try-2', 'other');
    assert.match(problem, WAY_OUT);
    assert.match(problem, new RegExp(`nsenter -m -t ${pid}\\b`));
    assert.deepEqual(await mountedForks(scratch), ['try-1']);
    scratch.must('owner', 'stop');
    scratch.must('mount', 'try-2', 'other');
    assert.equal(readFileSync(scratch.at('other/file'), 'utf8'), 'as imported\n');
  });

  test('fork.mount throws ENOTSUP, and the process can use the fork again', async (context) => {
    const scratch = await withForks(context);
    runElsewhere(scratch, 'mount', 'try-1', 'place');
    const store = await Store.open(scratch.at('.ramet'));
    try {
      const fork = await store.fork('try-2');
      await assert.rejects(fork.mount(scratch.at('other')), {
        code: 'ENOTSUP',
        syscall: 'mount',
        path: 'try-2',
        message: /another mount namespace/,
      });
      fork.fs.writeFileSync('/made', 'in the fork');
      assert.equal(fork.fs.readFileSync('/made', 'utf8'), 'in the fork');
      assert.deepEqual(await mountedForks(scratch), ['try-1']);
    } finally {
      await store.close();
    }
  });

  test('the other commands do not take the plain directory for a mounted fork', async (context) => {
    const scratch = await withForks(context);
    runElsewhere(scratch, 'mount', 'try-1', 'place');
    assert.match(scratch.mustFail(1, 'cp', 'repo/file', 'try-1:/lost'), /ENOTSUP.*`nsenter -m -t \d+/);
    assert.deepEqual(readdirSync(scratch.at('place')), []);
  });

  test('a run within a run fails if it cannot see the mounts of the owner outside', async (context) => {
    const scratch = await withForks(context);
    mkdirSync(scratch.at('seen'));
    const ramet = [process.execPath, rametMain, '--store', scratch.at('.ramet')];
    const inner = [...ramet, 'run', 'try-2', '--at', scratch.at('other'), '--', 'sh', '-c', 'echo x > lost'];
    const alone = ['unshare', '--mount', '--propagation', 'private', '--', ...inner];
    const { code, err } = scratch.run('run', 'try-1', '--at', scratch.at('seen'), '--', ...alone);
    assert.equal(code, 1);
    assert.match(err, WAY_OUT);
    assert.deepEqual(readdirSync(scratch.at('other')), []);
    assert.deepEqual(readdirSync(scratch.at('.ramet/run/mounts')), []);
  });
});
