/** Forks of directories in which something is mounted: by the same owner process, by another one, by somebody else. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { ScratchCommand } from '../../testing/command/scratch-command.ts';
import { OddServer } from '../../testing/fuse/odd-server.ts';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { until } from '../../testing/pace/until.ts';

/** A program that takes longer is killed, and fails the test. */
const HANGS_MS = 30_000;
const IO = ['cached', 'direct', 'shared'] as const;

interface Seen {
  readonly out: string;
  readonly err: string;
  readonly tookMs: number;
}

/** Runs a program that looks at a mount; fails if the program hangs. */
function look(scratch: ScratchCommand, ...command: string[]): Seen {
  const started = performance.now();
  const options = {
    cwd: scratch.directory,
    encoding: 'utf8',
    timeout: HANGS_MS,
    killSignal: 'SIGKILL',
  } as const;
  const { stdout, stderr, signal } = spawnSync(command[0]!, command.slice(1), options);
  assert.equal(signal, null, `${command.join(' ')} hangs`);
  return { out: stdout, err: stderr, tookMs: performance.now() - started };
}

/** Looks in every way at a directory with a mount point, and into the mount point, which gives EXDEV. */
function lookEverywhere(scratch: ScratchCommand, directory: string, name: string): void {
  assert.match(look(scratch, 'ls', '-la', directory).out, new RegExp(`^d.* ${name}$`, 'm'));
  assert.match(look(scratch, 'stat', '-c', '%F', `${directory}/${name}`).out, /^directory/);
  assert.match(look(scratch, 'ls', `${directory}/${name}`).err, /Invalid cross-device link/);
  assert.match(look(scratch, 'cat', `${directory}/${name}/anything`).err, /Invalid cross-device link/);
  assert.match(look(scratch, 'find', directory).err, /Invalid cross-device link/);
  assert.match(look(scratch, 'grep', '-r', 'anything', directory).err, /Invalid cross-device link/);
  assert.match(look(scratch, 'sh', '-c', `echo x >${directory}/${name}/new`).err, /cross-device/i);
  assert.match(look(scratch, 'rmdir', `${directory}/${name}`).err, /cross-device/i);
  look(scratch, 'sh', '-c', `chmod 700 ${directory}/${name} && touch ${directory}/${name}`);
  look(scratch, process.execPath, '-e', `require('fs').readdirSync('${directory}', { withFileTypes: true })`);
}

/** A store beside directories to fork (`rec`, with the mount point `rec/mnt`, and `oth`) and places to mount at. */
function withDirectories(context: TestContext): ScratchCommand {
  const scratch = new ScratchCommand(context);
  for (const name of ['rec', 'rec/mnt', 'oth', 'othm', 'top']) mkdirSync(scratch.at(name));
  writeFileSync(scratch.at('rec/f'), 'one\n');
  writeFileSync(scratch.at('oth/g'), 'two\n');
  scratch.must('init');
  return scratch;
}

describe('ramet mount on a directory inside the one that the fork shows', { skip: mountsOnly }, () => {
  for (const io of IO) {
    test(`of one owner, --io ${io}`, (context) => {
      const scratch = withDirectories(context);
      scratch.must('fork', './rec', 'fx');
      scratch.must('fork', './oth', 'fo');
      scratch.must('mount', 'fo', 'othm', '--io', io);
      scratch.must('mount', 'fx', 'rec/mnt', '--io', io);
      lookEverywhere(scratch, 'rec/mnt', 'mnt');
      assert.equal(look(scratch, 'cat', 'othm/g').out, 'two\n');
      assert.match(look(scratch, 'cat', 'rec/mnt/f').out, /^one/);
      assert.match(scratch.must('ls', '--mounts'), /fx/);
      assert.equal(scratch.must('cat', 'fx:/f'), 'one\n');
      scratch.must('umount', 'fx');
      scratch.must('fsck');
    });
  }

  test('of two owners, each of which has a mount of the other inside', (context) => {
    const scratch = withDirectories(context);
    const other = withDirectories(context);
    scratch.must('fork', './rec', 'fx');
    other.must('fork', './rec', 'fy');
    scratch.must('mount', 'fx', other.at('rec/mnt'));
    other.must('mount', 'fy', scratch.at('rec/mnt'));
    lookEverywhere(scratch, other.at('rec/mnt'), 'mnt');
    lookEverywhere(other, scratch.at('rec/mnt'), 'mnt');
    assert.equal(readFileSync(`${scratch.at('rec/mnt')}/f`, 'utf8'), 'one\n');
    scratch.must('umount', other.at('rec/mnt'));
    other.must('umount', scratch.at('rec/mnt'));
  });

  test('a fork of /, with all that is mounted there', (context) => {
    const scratch = withDirectories(context);
    scratch.must('fork', './oth', 'fo');
    scratch.must('fork', '/', 'all');
    scratch.must('mount', 'fo', 'othm');
    scratch.must('mount', 'all', 'top');
    const inside = `top${scratch.directory}`;
    lookEverywhere(scratch, inside, 'othm');
    assert.equal(look(scratch, 'cat', `${inside}/oth/g`).out, 'two\n');
    assert.match(look(scratch, 'ls', 'top/proc/1').err, /Invalid cross-device link/);
    assert.ok(statSync(scratch.at('top/proc')).isDirectory());
    // The command itself reads the fork too.
    assert.match(scratch.mustFail(1, 'ls', `all:${scratch.directory}/othm`), /EXDEV/);
    scratch.must('cp', `all:${scratch.directory}/oth/g`, './copy');
    assert.equal(readFileSync(scratch.at('copy'), 'utf8'), 'two\n');
  });

  test('neither a mount of Ramet nor an overlay over it can be a lower', (context) => {
    const scratch = withDirectories(context);
    scratch.must('fork', './oth', 'fo');
    scratch.must('mount', 'fo', 'othm');
    const layers = `lowerdir=${scratch.at('othm')}:${scratch.at('rec')}`;
    assert.equal(spawnSync('mount', ['-t', 'overlay', 'none', '-o', layers, scratch.at('top')]).status, 0);
    try {
      for (const lower of ['./othm', './top', './top/mnt'])
        assert.match(scratch.mustFail(1, 'fork', lower, 'again'), /ELOOP/);
    } finally {
      spawnSync('umount', [scratch.at('top')]);
    }
  });
});

describe('ramet mount of a fork of the directory of another FUSE server', { skip: mountsOnly }, () => {
  test('shows it, and serves everybody else while that server does not answer', async (context) => {
    const scratch = withDirectories(context);
    const odd = new OddServer(scratch.at('odd'));
    const files = { a: { ino: 7, text: 'of a\n' }, b: { ino: 8, text: 'of b\n' } };
    odd.show({ files });
    await odd.start();
    try {
      scratch.must('fork', './odd', 'fx');
      scratch.must('fork', './oth', 'fo');
      const { code, err } = scratch.runWith({ RAMET_OWNER_WAIT_MS: '1000' }, 'mount', 'fx', 'top');
      assert.deepEqual([code, err], [0, '']);
      scratch.must('mount', 'fo', 'othm');
      assert.equal(look(scratch, 'cat', 'top/a').out, 'of a\n');
      assert.equal(look(scratch, 'ls', 'top').out, 'a\nb\n');
      assert.equal(look(scratch, 'sh', '-c', 'echo more >>top/a; cat top/a').out, 'of a\nmore\n');
      const usualMs = look(scratch, 'cat', 'othm/g').tookMs;
      odd.show({ files, isStalled: true });
      // The kernel trusts the names that it knows for a second.
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      const waiting = look(scratch, 'cat', 'top/b');
      assert.match(waiting.err, /timed out/i);
      const { out, tookMs } = look(scratch, 'cat', 'othm/g');
      assert.equal(out, 'two\n');
      assert.ok(tookMs < 3_000 + 5 * usualMs, `${tookMs} ms, and ${usualMs} ms before`);
      assert.match(look(scratch, 'cat', 'top/b').err, /timed out/i, 'which is not waited for again');
      odd.show({ files });
      await until(() => look(scratch, 'cat', 'top/b').out === 'of b\n', 'once it answers it is there');
      odd.show({ files, isStalled: true });
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      assert.match(look(scratch, 'cat', 'top/b').err, /timed out/i);
      scratch.must('owner', 'stop');
    } finally {
      await odd.end();
    }
    assert.match(scratch.run('owner', 'status').out, /no owner/i);
  });
});
