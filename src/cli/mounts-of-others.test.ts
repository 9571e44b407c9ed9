/**
 * Mounts inside mounts, over a store, or with a stopped server: no program that can do without them waits for ever, and
 * the mounts of a store keep working whatever happens to others.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { OddServer } from '../../testing/fuse/odd-server.ts';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { MountScene } from '../../testing/owner/mount-scene.ts';
import { isRunning, until } from '../../testing/pace/until.ts';
import { OwnerClient } from '../owner/index.ts';

const skip = mountsOnly;
/** After this time the kernel asks again for what it knows of a directory of the host. */
const HOST_VALID_MS = 1_000;

/** Clients give up on an owner that says nothing for this long. */
const ANSWER_MS = 60_000;

/** The time that `work` took, in milliseconds. */
function durationOf(work: () => void): number {
  const started = performance.now();
  work();
  return performance.now() - started;
}

/** A mount `outer` of store A over a live directory, and in it `outer/in` of store B; beside it `beside` of B. */
async function nested(scene: MountScene): Promise<{ readonly outer: number; readonly inner: number }> {
  scene.makeStore('A');
  scene.makeStore('B', 'one', 'two', 'three');
  scene.write('live/in/file', 'covered\n');
  mkdirSync(scene.at('live/in/empty'));
  scene.must('A', 'fork', scene.at('live'), 'live');
  for (const name of ['outer', 'beside', 'later']) scene.makeDirectory(name);
  const { pid: outer } = scene.mount('A', 'live', 'outer');
  const { pid: inner } = scene.mount('B', 'one', 'outer/in/empty');
  scene.mount('B', 'two', 'beside');
  await pause(HOST_VALID_MS + 200);
  return { outer, inner };
}

describe('a mount in a mount', { skip, concurrency: 2 }, () => {
  test('of the same store works, also through a symlink in the outer one, and is unmounted in any order', (context) => {
    const scene = new MountScene(context);
    scene.makeStore('A', 'one', 'two', 'three');
    scene.makeDirectory('place');
    scene.mount('A', 'one', 'place');
    assert.equal(scene.look('sh', '-c', 'mkdir place/in place/other; ln -s other place/link')?.err, '');
    scene.mount('A', 'two', 'place/in');
    assert.equal(scene.mount('A', 'three', 'place/link').directory, scene.at('place/other'));
    assert.equal(scene.read('place/in/file'), 'of A\n');
    const busy = scene.mustFail('A', 'umount', 'place');
    assert.match(
      busy,
      /EBUSY.*place\/in, \S+place\/other is mounted in it: unmount that first, or use --lazy/,
    );
    scene.must('A', 'umount', 'two');
    scene.must('A', 'umount', '--lazy', 'one');
    assert.deepEqual(scene.mounts('A'), {});
    scene.mount('A', 'two', 'place');
    assert.equal(scene.read('place/file'), 'of A\n');
  });

  test('whose outer server has stopped holds up nothing outside the outer mount', async (context) => {
    const scene = new MountScene(context);
    const { outer, inner } = await nested(scene);
    process.kill(outer, 'SIGSTOP');
    const tookMs = durationOf(() => {
      const said = scene.mustFail('B', 'umount', 'outer/in/empty');
      assert.match(said, /ETIMEDOUT.*what is mounted at \S+outer does not answer: let its server go on, or/);
    });
    assert.ok(tookMs < ANSWER_MS, `${tookMs} ms`);
    assert.deepEqual(Object.keys(scene.mounts('B')), ['one', 'two']);
    assert.equal(scene.read('beside/file'), 'of B\n');
    scene.mount('B', 'three', 'later');
    scene.must('B', 'snapshot', 'three', 'snapshot');
    scene.must('B', 'umount', 'two');
    const stopMs = durationOf(() => scene.must('B', 'owner', 'stop'));
    assert.ok(stopMs < ANSWER_MS, `${stopMs} ms`);
    await until(() => !isRunning(inner), 'the owner has ended');
    assert.equal(scene.must('B', 'cat', 'one:/file'), 'of B\n');
    process.kill(outer, 'SIGCONT');
    assert.match(scene.read('outer/in/empty/file') ?? '', /not connected/, 'and nobody took it for the tree');
    assert.equal(scene.read('outer/in/file'), 'covered\n');
  });

  test('whose outer server was killed says how to remove the outer mount', async (context) => {
    const scene = new MountScene(context);
    const { outer } = await nested(scene);
    process.kill(outer, 'SIGKILL');
    const said = scene.mustFail('B', 'umount', 'one');
    assert.match(said, /ENOTCONN.*the server of what is mounted at (\S+outer) is gone: .*`umount -l \1`/);
    assert.equal(scene.look('umount', '-l', scene.at('outer'))?.err, '');
    // Another test that runs now may have a copy of the mount for a while, in its own mount namespace.
    await until(() => !('one' in scene.mounts('B')), 'the owner lets go of it');
    assert.deepEqual(Object.keys(scene.mounts('B')), ['two']);
  });
});

describe('a store', { skip, concurrency: 2 }, () => {
  test('that another mount covers is still used by its owner', (context) => {
    const scene = new MountScene(context);
    scene.makeStore('A');
    scene.write('repo/source', 'x\n');
    scene.makeStore('repo/B', 'one');
    scene.must('A', 'fork', scene.at('repo'), 'over');
    scene.makeDirectory('place');
    scene.mount('repo/B', 'one', 'place');
    scene.mount('A', 'over', 'repo');
    assert.equal(scene.read('place/file'), 'of repo/B\n');
    assert.equal(scene.look('dd', 'if=/dev/urandom', 'of=place/new', 'bs=1M', 'count=4')?.out, '');
    const sum = scene.look('sha256sum', 'place/new')?.out.split(' ')[0];
    // The owner of the covered store has nothing open in the mount that covers it.
    scene.must('A', 'umount', 'over');
    assert.deepEqual((JSON.parse(scene.must('A', 'diff', 'over', '--json')) as { changes: [] }).changes, []);
    scene.must('repo/B', 'umount', 'one');
    scene.must('repo/B', 'export', 'one', 'out');
    assert.equal(scene.look('sha256sum', 'out/new')?.out.split(' ')[0], sum);
    assert.match(scene.must('repo/B', 'fsck', '--scrub'), /clean/);
  });

  test('has no mounts inside except those that its owner places there', (context) => {
    const scene = new MountScene(context);
    scene.makeStore('A', 'one', 'two');
    const place = scene.makeDirectory('A/run/mounts/two');
    assert.match(scene.mustFail('A', 'mount', 'one', place), /EBUSY.*it lies in the store: choose another/);
    assert.equal(scene.must('A', 'run', 'two', '--at', scene.at('A-base'), '--', 'cat', 'file'), 'of A\n');
    assert.deepEqual(readdirSync(scene.at('A/run/mounts')), []);
  });

  test('whose tables somebody keeps locked still serves its mounts', async (context) => {
    const scene = new MountScene(context);
    scene.makeStore('A', 'one', 'two');
    for (const name of ['place', 'other']) scene.makeDirectory(name);
    scene.mount('A', 'one', 'place');
    scene.mount('A', 'two', 'other');
    scene.look('touch', 'place/new');
    // The lock ends after 40 s, whatever happens; the owner waits for a quarter of that.
    const holder = spawn('flock', ['--no-fork', scene.at('A/meta'), 'sleep', '40'], { stdio: 'ignore' });
    context.after(() => holder.kill('SIGKILL'));
    await until(
      () => spawnSync('flock', ['--nonblock', scene.at('A/meta'), 'true']).status !== 0,
      'it is locked',
    );
    const owner = await OwnerClient.connect(scene.at('A'));
    const started = performance.now();
    await assert.rejects(owner!.request('settle', { forks: ['one'] }), {
      code: 'ETIMEDOUT',
      syscall: 'flock',
      path: scene.at('A/meta'),
      message: new RegExp(`process ${holder.pid} has had the tables of the store locked for 10 s`),
    });
    assert.ok(performance.now() - started < ANSWER_MS);
    assert.equal(scene.read('other/file'), 'of A\n');
    assert.equal(scene.look('sh', '-c', 'echo more >place/new; cat place/new')?.out, 'more\n');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    assert.deepEqual(await owner!.request('settle', { forks: ['one'] }), { settled: 1 });
    owner!.close();
  });
});

describe('a mount whose connection was aborted', { skip }, () => {
  /** Aborts the connection, like the watchdog or an administrator. */
  function abort(scene: MountScene, source: string): void {
    const line = readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .find((text) => text.includes(` ${scene.directory}/`) && text.includes(` ${source} `));
    const connection = /^\S+ \S+ \d+:(\d+)/.exec(line ?? '')?.[1];
    const control = scene.makeDirectory('control');
    const script = 'mount -t fusectl fusectl "$1" && echo 1 >"$1/$2/abort"; umount "$1"';
    assert.equal(scene.look('sh', '-c', script, 'sh', control, connection!)?.err, '');
  }

  test('stays in its place, so that nobody writes into the directory below', async (context) => {
    const scene = new MountScene(context);
    scene.makeStore('A', 'one');
    scene.makeDirectory('place');
    for (const target of ['one', 'place']) {
      scene.mount('A', 'one', 'place');
      abort(scene, 'ramet:one');
      await until(() => !('one' in scene.mounts('A')), 'the owner lets go of it');
      assert.match(scene.look('touch', 'place/lost')?.err ?? '', /not connected/);
      assert.match(scene.read('place/file') ?? '', /not connected/);
      assert.deepEqual(scene.mounts('A'), {});
      // Nobody has the tree open any more.
      assert.equal(scene.must('A', 'cat', 'one:/file'), 'of A\n');
      assert.match(scene.must('A', 'umount', target), /^unmounted .*place\n$/);
      assert.deepEqual(readdirSync(scene.at('place')), []);
    }
    scene.mount('A', 'one', 'place');
    abort(scene, 'ramet:one');
    await until(() => !('one' in scene.mounts('A')), 'the owner lets go of it');
    scene.mount('A', 'one', 'place');
    assert.equal(scene.read('place/file'), 'of A\n');
    scene.must('A', 'umount', 'one');
    assert.deepEqual(readdirSync(scene.at('place')), []);
  });

  test('leaves nothing behind in the store', async (context) => {
    const scene = new MountScene(context);
    scene.makeStore('A', 'one', 'two');
    scene.makeDirectory('place');
    // This mount keeps the owner alive.
    scene.mount('A', 'two', 'place');
    const owner = await OwnerClient.connect(scene.at('A'));
    await owner!.request('hold', { fork: 'one' });
    abort(scene, 'ramet:one');
    await until(() => readdirSync(scene.at('A/run/mounts')).length === 0, 'nothing is left of it');
    owner!.close();
    assert.equal(scene.must('A', 'run', 'one', '--at', scene.at('A-base'), '--', 'cat', 'file'), 'of A\n');
  });
});

describe('an owner that waits for a server which never answers', { skip, concurrency: 2 }, () => {
  /** Mounts a fork of the server's directory at `served`, another fork at `beside`, and lets a read time out. */
  async function waiting(context: TestContext, scene: MountScene): Promise<{ readonly owner: number }> {
    scene.makeStore('A', 'one');
    for (const name of ['served', 'beside']) scene.makeDirectory(name);
    const server = new OddServer(scene.at('odd'));
    context.after(() => server.end());
    const files = { file: { ino: 7, text: 'odd\n' } };
    server.show({ files });
    await server.start();
    scene.must('A', 'fork', scene.at('odd'), 'odd');
    const { pid } = scene.mount('A', 'odd', 'served');
    scene.mount('A', 'one', 'beside');
    assert.equal(scene.look('ls', 'served')?.out, 'file\n');
    server.show({ files, isStalled: true });
    await pause(HOST_VALID_MS + 500);
    assert.match(scene.read('served/file') ?? '', /timed out/);
    assert.equal(scene.read('beside/file'), 'of A\n');
    return { owner: pid };
  }

  test('and is killed leaves dead mounts, and a new owner takes its place', async (context) => {
    const scene = new MountScene(context);
    const { owner } = await waiting(context, scene);
    process.kill(owner, 'SIGKILL');
    const isDead = (): boolean => /not connected/.test(scene.look('ls', 'beside/lost')?.err ?? '');
    await until(isDead, 'the mount is dead');
    assert.match(scene.look('touch', 'beside/lost')?.err ?? '', /not connected/);
    scene.mount('A', 'one', 'beside');
    assert.equal(scene.read('beside/file'), 'of A\n');
  });

  test('and is stopped unmounts, and a new owner takes its place', async (context) => {
    const scene = new MountScene(context);
    await waiting(context, scene);
    scene.must('A', 'owner', 'stop');
    assert.deepEqual(readdirSync(scene.at('beside')), []);
    scene.mount('A', 'one', 'beside');
    assert.equal(scene.read('beside/file'), 'of A\n');
  });
});

describe('a command beside mounts', { skip, concurrency: 2 }, () => {
  test('run leaves what is mounted beside the fork where it is', (context) => {
    const scene = new MountScene(context);
    scene.makeStore('A', 'one');
    for (const name of ['mounts/one', 'mounts/data']) scene.makeDirectory(name);
    assert.equal(scene.look('mount', '-t', 'tmpfs', 'data', scene.at('mounts/data'))?.err, '');
    writeFileSync(scene.at('mounts/data/precious'), 'seen\n');
    scene.mount('A', 'one', 'mounts/one');
    const command = ['cat', 'file', scene.at('mounts/data/precious')];
    assert.equal(scene.must('A', 'run', 'one', '--', ...command), 'of A\nseen\n');
  });

  test('export does not write a tree into itself', (context) => {
    const scene = new MountScene(context);
    scene.makeStore('A', 'one');
    scene.write('live/sub/file', 'x\n');
    scene.makeDirectory('live/other');
    scene.must('A', 'fork', scene.at('live'), 'live');
    assert.equal(scene.look('mount', '-t', 'tmpfs', 'other', scene.at('live/other'))?.err, '');
    assert.match(
      scene.mustFail('A', 'export', 'live', 'live/sub/out'),
      /EINVAL.*cannot be exported into itself/,
    );
    scene.makeDirectory('place');
    scene.mount('A', 'one', 'place');
    assert.match(
      scene.mustFail('A', 'export', 'one', 'place/out'),
      /EINVAL.*into itself, and \S+place shows/,
    );
    assert.equal(scene.look('ls', 'place', 'live/sub')?.out, 'live/sub:\nfile\n\nplace:\nfile\n');
    // These are allowed: another tree, and a mount that is no part of the tree.
    scene.must('A', 'export', 'base', 'place/out');
    scene.must('A', 'export', 'base', 'live/other/out');
    assert.equal(scene.read('place/out/file'), 'of A\n');
  });

  test('fork takes no directory that is reached through a mount, or lies on one', (context) => {
    const scene = new MountScene(context);
    scene.makeStore('A', 'one');
    for (const name of ['place', 'outside', 'upper', 'work', 'merged', 'loop']) scene.makeDirectory(name);
    scene.mount('A', 'one', 'place');
    const script = `
      mkdir place/bound place/lower && mount --bind outside place/bound &&
      mount -t overlay none -o lowerdir=place/lower,upperdir=upper,workdir=work merged &&
      truncate -s 8M place/image && mkfs.ext4 -q place/image && mount -o loop place/image loop`;
    assert.equal(scene.look('sh', '-c', script.replaceAll(/(\w+dir=)/g, `$1${scene.directory}/`))?.err, '');
    for (const directory of ['place/bound', 'merged', 'loop'])
      assert.match(
        scene.mustFail('A', 'fork', scene.at(directory), 'none'),
        /ELOOP.*a tree that Ramet has mounted, or is reached through one/,
        directory,
      );
  });
});
