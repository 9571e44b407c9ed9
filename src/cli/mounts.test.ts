/** The commands that mount, and all others on a mounted fork: the real program, with mounts in the kernel. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { rametMain, ScratchCommand } from '../../testing/command/scratch-command.ts';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { until } from '../../testing/pace/until.ts';
import { Store } from '../library/index.ts';
import { type MountRecord, OwnerClient } from '../owner/index.ts';

const skip = mountsOnly;

/** A store with a snapshot of `repo`, a fork of it, and an empty directory to mount at. */
async function withFork(context: TestContext): Promise<ScratchCommand> {
  const scratch = new ScratchCommand(context);
  mkdirSync(scratch.at('repo/src'), { recursive: true });
  writeFileSync(scratch.at('repo/README'), 'read me\n');
  writeFileSync(scratch.at('repo/src/x.ts'), 'const x = 1;\n');
  symlinkSync('/README', scratch.at('repo/src/absolute'));
  mkdirSync(scratch.at('place'));
  const store = await Store.open(scratch.at('.ramet'));
  const base = await store.import(scratch.at('repo'), { name: 'base' });
  await base.fork('try-1');
  await store.close();
  return scratch;
}

async function mounts(scratch: ScratchCommand): Promise<readonly MountRecord[]> {
  const owner = await OwnerClient.connect(scratch.at('.ramet'));
  if (owner === undefined) return [];
  try {
    return await owner.request('mounts', {});
  } finally {
    owner.close();
  }
}

async function ownerPid(scratch: ScratchCommand): Promise<number> {
  const [record] = await mounts(scratch);
  assert.ok(record !== undefined);
  return record.pid;
}

describe('ramet mount', { skip, concurrency: 2 }, () => {
  test('shows the tree in the directory, writable, until it is unmounted', async (context) => {
    const scratch = await withFork(context);
    assert.match(scratch.must('mount', 'try-1', 'place'), /^mounted 'try-1' at .*place\n$/);
    assert.equal(readFileSync(scratch.at('place/README'), 'utf8'), 'read me\n');
    writeFileSync(scratch.at('place/new'), 'from outside\n');
    const [record, ...others] = await mounts(scratch);
    assert.deepEqual(others, []);
    assert.deepEqual(
      [record!.fork, record!.directory, record!.io, record!.pid],
      ['try-1', scratch.at('place'), 'cached', await ownerPid(scratch)],
    );
    assert.match(
      scratch.must('ls', '--mounts'),
      /^NAME +DIRECTORY +IO +SINCE.*\ntry-1 +\S+place +cached +\d{4}-/,
    );
    symlinkSync('place', scratch.at('link'));
    assert.match(scratch.must('umount', 'link'), /^unmounted 'try-1' from .*place\n$/);
    assert.deepEqual(readdirSync(scratch.at('place')), []);
    assert.equal(scratch.must('cat', 'try-1:/new'), 'from outside\n');
    assert.match(scratch.must('ls', '--mounts'), /^nothing is mounted/);
  });

  test('dedupe lets blocks written through a mount share space with equal ones elsewhere', async (context) => {
    const scratch = await withFork(context);
    const bytes = Buffer.from(Array.from({ length: 16 * 4096 }, (_, index) => (index * 7919) >> 5));
    scratch.must('mount', 'try-1', 'place');
    writeFileSync(scratch.at('place/new'), bytes);
    writeFileSync(scratch.at('repo/new'), bytes);
    scratch.must('import', 'repo', '--name', 'other');
    const report = scratch.json('dedupe') as { bytesShared: number; forksSkipped: string[] };
    assert.deepEqual([report.bytesShared >= bytes.length, report.forksSkipped], [true, []]);
    assert.deepEqual(readFileSync(scratch.at('place/new')), bytes);
    // gc waits for the owner, which looks every two seconds for changes of dedupe to follow.
    await until(
      () => (scratch.json('gc') as { blobsWaiting: number }).blobsWaiting === 0,
      'gc waits no more',
    );
    scratch.must('umount', 'place');
    assert.deepEqual(scratch.must('cat', 'try-1:/new').length, scratch.must('cat', 'other:/new').length);
    assert.match(scratch.must('fsck', '--scrub'), /clean|no problem/);
  });

  test('an open file that the kernel itself reads keeps its bytes when dedupe splits the file', async (context) => {
    const scratch = await withFork(context);
    const [one, two] = [1, 2].map((seed) =>
      Buffer.from(
        Array.from({ length: 2 ** 21 }, (_, at) => (Math.imul(at + 1, 2_654_435_761 * seed) >>> 13) & 255),
      ),
    ) as [Buffer, Buffer];
    one.copy(two, 0, 0, 2 ** 20);
    for (const [name, bytes] of [
      ['one', one],
      ['two', two],
    ] as const) {
      mkdirSync(scratch.at(name));
      writeFileSync(scratch.at(`${name}/large`), bytes);
      scratch.must('import', name);
    }
    scratch.must('mount', 'two', 'place', '--io', 'shared');
    const fd = openSync(scratch.at('place/large'), 'r');
    const read = (): Buffer => {
      const bytes = Buffer.alloc(two.length);
      assert.equal(readSync(fd, bytes, 0, bytes.length, 0), bytes.length);
      return bytes;
    };
    assert.ok(read().equals(two));
    assert.ok((scratch.json('dedupe', '--gc') as { bytesUnused: number }).bytesUnused >= 2 ** 20);
    // Longer than the owner takes to move its lease up; the open file keeps the owner from doing so.
    await new Promise((resolve) => setTimeout(resolve, 5000));
    scratch.json('gc');
    assert.ok(read().equals(two));
    closeSync(fd);
    await until(
      () => (scratch.json('gc') as { blobsWaiting: number }).blobsWaiting === 0,
      'gc waits no more',
    );
    assert.ok(readFileSync(scratch.at('place/large')).equals(two));
    scratch.must('umount', 'place');
  });

  test('a snapshot is read-only, and the mount has the mode that --io names', async (context) => {
    const scratch = await withFork(context);
    scratch.must('mount', 'base', 'place', '--io', 'direct');
    assert.equal(await (await mounts(scratch))[0]!.io, 'direct');
    assert.equal(readFileSync(scratch.at('place/README'), 'utf8'), 'read me\n');
    assert.throws(() => writeFileSync(scratch.at('place/README'), ''), { code: 'EROFS' });
    assert.deepEqual(scratch.json('umount', 'base'), {
      fork: 'base',
      directory: scratch.at('place'),
      isStillUsed: false,
      users: [],
    });
  });

  test('says in one line what is wrong with the tree, the place or the options', async (context) => {
    const scratch = await withFork(context);
    writeFileSync(scratch.at('file'), '');
    mkdirSync(scratch.at('other'));
    const wrong = [
      [1, ['none', 'place'], /no fork or snapshot named 'none': `ramet ls`/],
      [1, ['try-1', 'nowhere'], /ENOENT.*nowhere.*make it first/],
      [1, ['try-1', 'file'], /ENOTDIR.*a mount point is a directory/],
      [1, ['try-1', 'repo'], /ENOTEMPTY.*choose an empty directory/],
      [2, ['try-1', 'place', '--io', 'fast'], /cached, shared, direct/],
    ] as const;
    for (const [code, args, message] of wrong)
      assert.match(scratch.mustFail(code, 'mount', ...args), message);
    scratch.must('mount', 'try-1', 'place');
    assert.match(
      scratch.mustFail(1, 'mount', 'try-1', 'other'),
      /'try-1' cannot be mounted, it is mounted at .*place/,
    );
    assert.match(scratch.mustFail(1, 'mount', 'base', 'place'), /EBUSY.*something is mounted there already/);
    assert.match(scratch.mustFail(1, 'mount', 'try-1', 'place'), /'try-1' is mounted at \S+place already/);
    assert.match(scratch.mustFail(1, 'umount', 'other'), /nothing of this store is mounted at 'other'/);
    assert.match(scratch.mustFail(1, 'umount', 'try-2'), /'try-2' is not mounted/);
    assert.match(scratch.mustFail(2, 'ls', '--mounts', 'base'), /lists all mounts/);
  });

  test('a fork that another process has open gives EBUSY, and the message names the process', async (context) => {
    const scratch = await withFork(context);
    const holder = spawn(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        HOLDER,
        scratch.at('.ramet'),
        new URL('../index.js', import.meta.url).href,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    try {
      await once(holder.stdout, 'data');
      const problem = scratch.mustFail(1, 'mount', 'try-1', 'place');
      assert.match(problem, new RegExp(`'try-1' cannot be mounted, .*${holder.pid}.*close it there first`));
    } finally {
      holder.kill('SIGKILL');
    }
  });

  test('a busy mount is unmounted only lazily, and stays in use until its last program ends', async (context) => {
    const scratch = await withFork(context);
    scratch.must('snapshot', 'try-1', 'frozen');
    scratch.must('mount', 'try-1', 'place');
    const user = spawn('sleep', ['60'], { cwd: scratch.at('place') });
    try {
      const busy = scratch.mustFail(1, 'umount', 'place');
      assert.match(busy, new RegExp(`EBUSY.*processes ${user.pid} use it: end them, or use --lazy`));
      assert.match(scratch.must('umount', '--lazy', 'place'), /still use it/);
      assert.match(scratch.must('ls', '--mounts'), new RegExp(`\\(unmounted\\).*\\b${user.pid}\\b`));
      const problem = new RegExp(
        `was unmounted.* processes .*\\b${user.pid}\\b.* still use it: end them first`,
      );
      for (const args of [
        ['mount', 'try-1', 'place'],
        ['cat', 'try-1:/README'],
        ['drop', 'try-1'],
        ['rollback', 'try-1', 'frozen'],
      ]) {
        assert.match(scratch.mustFail(1, ...args), problem);
      }
    } finally {
      user.kill('SIGKILL');
    }
    await once(user, 'exit');
    await until(async () => (await mounts(scratch)).length === 0, 'the kernel lets go of it');
    assert.equal(scratch.must('cat', 'try-1:/README'), 'read me\n');
  });

  test('after the owner was killed, umount removes the dead mount by the name of its tree', async (context) => {
    const scratch = await withFork(context);
    const name = 'try-1';
    scratch.must('mount', name, 'place');
    writeFileSync(scratch.at('place/new'), 'kept');
    process.kill(await ownerPid(scratch), 'SIGKILL');
    await until(() => spawnSync('ls', [scratch.at('place')]).status !== 0, 'the mount is dead');
    assert.equal(scratch.must('umount', name), `unmounted '${name}' from ${scratch.at('place')}\n`);
    assert.deepEqual(readdirSync(scratch.at('place')), []);
    assert.equal(scratch.must('cat', `${name}:/new`), 'kept');
    assert.match(scratch.mustFail(1, 'umount', name), /is not mounted/);
  });

  test('after the owner was killed nothing is lost, and the same place can be mounted again', async (context) => {
    const scratch = await withFork(context);
    scratch.must('mount', 'try-1', 'place');
    scratch.must('fork', 'base', 'try-2');
    mkdirSync(scratch.at('second'));
    scratch.must('mount', 'try-2', 'second');
    for (const name of ['place', 'second']) writeFileSync(scratch.at(`${name}/written`), name);
    symlinkSync('second', scratch.at('link'));
    const pid = await ownerPid(scratch);
    process.kill(pid, 'SIGKILL');
    await until(() => !existsSync(`/proc/${pid}`), 'it is gone');
    assert.throws(() => readFileSync(scratch.at('place/written')), { code: 'ENOTCONN' });
    scratch.must('mount', 'try-1', 'place');
    assert.equal(readFileSync(scratch.at('place/written'), 'utf8'), 'place');
    assert.match(scratch.must('umount', 'link'), /whose owner process was killed/);
    assert.deepEqual(readdirSync(scratch.at('second')), []);
    assert.equal(scratch.must('cat', 'try-2:/written'), 'second');
  });
});

/** Holds a fork open until it is killed. */
const HOLDER = `
const [store, library] = process.argv.slice(1);
const { Store } = await import(library);
const fork = await (await Store.open(store)).fork('try-1');
console.log('open');
setInterval(() => fork.name, 1000);
`;

describe('other commands on a mounted fork', { skip, concurrency: 2 }, () => {
  test('fork, snapshot and diff see what programs have just written', async (context) => {
    const scratch = await withFork(context);
    scratch.must('mount', 'try-1', 'place');
    writeFileSync(scratch.at('place/new'), 'one');
    assert.deepEqual(scratch.must('diff', 'try-1'), 'A /new\n');
    scratch.must('fork', 'try-1', 'try-2');
    assert.match(scratch.must('snapshot', 'try-1', 'then'), /^made snapshot 'then' of 'try-1'/);
    writeFileSync(scratch.at('place/new'), 'two, longer');
    assert.equal(scratch.must('cat', 'try-2:/new'), 'one');
    assert.equal(scratch.must('cat', 'then:/new'), 'one');
    assert.deepEqual(scratch.must('diff', 'then', 'try-1'), 'M /new (content, times)\n');
    assert.equal(readFileSync(scratch.at('place/new'), 'utf8'), 'two, longer');
    assert.match(scratch.must('fork', 'try-1'), /^try-1-1\n/);
    assert.match(scratch.mustFail(1, 'fork', 'try-1', 'try-2'), /'try-2' is taken/);
    assert.match(scratch.mustFail(1, 'snapshot', 'try-1', 'then'), /'then' is taken/);
  });

  test('what a program stores through a shared mapping is in the fork that is made next', async (context) => {
    const scratch = await withFork(context);
    scratch.must('mount', 'try-1', 'place');
    const python = spawnSync('python3', ['-c', MAPPING, scratch.at('place/README'), rametMain], {
      cwd: scratch.directory,
      encoding: 'utf8',
    });
    if (python.error !== undefined) context.diagnostic('python3 is not there: nothing was stored');
    else assert.deepEqual([python.status, python.stderr], [0, '']);
    assert.equal(
      scratch.must('cat', 'try-2:/README'),
      python.error === undefined ? 'READ me\n' : 'read me\n',
    );
  });

  test('du, pages and stat count what is not in the tables yet', async (context) => {
    const scratch = await withFork(context);
    scratch.must('mount', 'try-1', 'place');
    writeFileSync(scratch.at('place/new'), Buffer.alloc(10_000, 'x'));
    const usage = scratch.json('du') as { trees: { name: string; files: number; exclusiveBytes: number }[] };
    const own = usage.trees.find(({ name }) => name === 'try-1')!;
    assert.deepEqual([own.files, own.exclusiveBytes], [3, 3 * 4096]);
    const pages = scratch.json('pages', 'try-1:/new') as { privateCount: number; sizeBytes: number };
    assert.deepEqual([pages.privateCount, pages.sizeBytes], [3, 10_000]);
    const shared = scratch.json('pages', 'try-1:/src/absolute') as { sharedCount: number };
    assert.equal(shared.sharedCount, 1);
    assert.match(scratch.mustFail(1, 'pages', 'try-1:/none'), /ENOENT.*try-1:\/none/);
    const stat = scratch.json('stat', 'try-1:/new') as { size: number; type: string };
    assert.deepEqual([stat.size, stat.type], [10_000, 'file']);
    assert.equal((scratch.json('stat', 'try-1') as { kind: string }).kind, 'fork');
  });

  test('drop refuses a mounted fork, and says where it is mounted', async (context) => {
    const scratch = await withFork(context);
    scratch.must('mount', 'try-1', 'place');
    scratch.must('fork', 'base', 'try-2');
    assert.match(
      scratch.mustFail(1, 'drop', 'try-2', 'try-1'),
      /'try-1' is mounted at .*place: `ramet umount try-1`, then drop it/,
    );
    scratch.must('stat', 'try-2');
    scratch.must('umount', 'try-1');
    scratch.must('drop', 'try-1');
  });

  test('ls, cat, cp, rm and export work through the mount, both ways', async (context) => {
    const scratch = await withFork(context);
    scratch.must('fork', 'base', 'try-2');
    scratch.must('mount', 'try-1', 'place');
    assert.equal(scratch.must('ls', 'try-1:/'), 'README\nsrc/\n');
    assert.equal(scratch.must('cat', 'try-1:/src/x.ts'), 'const x = 1;\n');
    writeFileSync(scratch.at('patch'), 'patched\n');
    chmodSync(scratch.at('patch'), 0o755);
    scratch.must('cp', '-p', 'patch', 'try-1:/src/patch');
    const [made, original] = [statSync(scratch.at('place/src/patch')), statSync(scratch.at('patch'))];
    assert.equal(readFileSync(scratch.at('place/src/patch'), 'utf8'), 'patched\n');
    assert.deepEqual([made.mode, made.mtimeMs], [original.mode, original.mtimeMs]);
    const within = scratch.json('cp', '-r', 'try-1:/src', 'try-1:/src2') as {
      files: number;
      reflinks: number;
    };
    assert.deepEqual([within.files, within.reflinks], [3, 2]);
    assert.equal(readlinkSync(scratch.at('place/src2/absolute')), '/README');
    const across = scratch.json('cp', '-r', 'try-1:/src', 'try-2:/copy') as {
      files: number;
      reflinks: number;
    };
    assert.deepEqual([across.files, across.reflinks], [3, 0]);
    assert.equal(scratch.must('cat', 'try-2:/copy/patch'), 'patched\n');
    const shared = scratch.json('cp', 'base:/README', 'try-1:/again') as { reflinks: number };
    assert.equal(shared.reflinks, 1);
    assert.equal((scratch.json('pages', 'try-1:/again') as { privateCount: number }).privateCount, 0);
    assert.equal(readFileSync(scratch.at('place/again'), 'utf8'), 'read me\n');
    assert.match(scratch.mustFail(1, 'cp', '-r', 'try-1:/src', 'try-1:/src/below'), /into itself/);
    assert.match(
      scratch.mustFail(1, 'cp', 'base:/README', 'try-1:/no/such/x'),
      /ENOENT.*try-1:\/no\/such\/x/,
    );
    assert.match(scratch.must('rm', '-r', 'try-1:/src2', 'try-1:/again'), /removed 5 entries/);
    assert.deepEqual(readdirSync(scratch.at('place')).sort(), ['README', 'src']);
    assert.match(scratch.mustFail(1, 'rm', 'try-1:/none'), /ENOENT.*'try-1:\/none'/);
    scratch.must('export', 'try-1', 'out');
    assert.deepEqual(readdirSync(scratch.at('out/src')).sort(), ['absolute', 'patch', 'x.ts']);
    scratch.must('export', 'try-1', 'out.tar');
    assert.ok(statSync(scratch.at('out.tar')).size > 3 * 512);
  });

  test('cp into a mounted fork shares blocks with snapshots and other mounted forks', async (context) => {
    const scratch = await withFork(context);
    scratch.must('fork', 'base', 'try-2');
    mkdirSync(scratch.at('second'));
    scratch.must('mount', 'try-1', 'place');
    scratch.must('mount', 'try-2', 'second');
    const copy = (...args: string[]): [number, number] => {
      const { files, reflinks } = scratch.json('cp', ...args) as { files: number; reflinks: number };
      return [files, reflinks];
    };
    assert.deepEqual(readdirSync(scratch.at('place')).length, 2);
    // A symlink is created anew: it counts as a file, but not as a reflink.
    assert.deepEqual(copy('-r', 'base:/src', 'try-1:/from-base'), [2, 1]);
    assert.deepEqual(copy('-r', 'try-1:/src', 'try-2:/from-mount'), [2, 1]);
    assert.deepEqual(readdirSync(scratch.at('place')).sort(), ['README', 'from-base', 'src']);
    assert.deepEqual(readdirSync(scratch.at('second/from-mount')).sort(), ['absolute', 'x.ts']);
    assert.equal(readFileSync(scratch.at('second/from-mount/x.ts'), 'utf8'), 'const x = 1;\n');
    const [made, original] = [
      statSync(scratch.at('place/from-base/x.ts')),
      statSync(scratch.at('repo/src/x.ts')),
    ];
    assert.deepEqual([made.mode, made.uid, made.size], [original.mode, process.getuid?.(), original.size]);
    // An existing file keeps its inode: cp writes the bytes into the file.
    const { ino } = statSync(scratch.at('place/from-base/x.ts'));
    assert.deepEqual(copy('base:/README', 'try-1:/from-base/x.ts'), [1, 0]);
    assert.equal(statSync(scratch.at('place/from-base/x.ts')).ino, ino);
    assert.equal(readFileSync(scratch.at('place/from-base/x.ts'), 'utf8'), 'read me\n');
    // Blocks that a program wrote since the last freeze are copied, not shared.
    writeFileSync(scratch.at('place/own'), 'own');
    assert.deepEqual(copy('try-1:/own', 'try-2:/own'), [1, 0]);
    assert.equal(readFileSync(scratch.at('second/own'), 'utf8'), 'own');
  });

  test('a symlink in the fork never leads to the host', async (context) => {
    const scratch = await withFork(context);
    scratch.must('mount', 'try-1', 'place');
    writeFileSync(scratch.at('secret'), 'of the host\n');
    const up = '../'.repeat(20);
    symlinkSync(scratch.at('secret'), scratch.at('place/absolute'));
    symlinkSync(`${up}${scratch.at('secret')}`, scratch.at('place/relative'));
    symlinkSync(scratch.directory, scratch.at('place/directory'));
    symlinkSync('/README', scratch.at('place/inside'));
    assert.equal(scratch.must('cat', 'try-1:/inside'), 'read me\n');
    for (const name of ['absolute', 'relative', 'directory/secret']) {
      assert.match(scratch.mustFail(1, 'cat', `try-1:/${name}`), /ENOENT/, name);
    }
    assert.match(scratch.mustFail(1, 'cat', `try-1:/${up}${scratch.at('secret')}`), /ENOENT/);
    scratch.mustFail(1, 'cp', 'patch', 'try-1:/directory/planted');
    scratch.mustFail(1, 'rm', 'try-1:/directory/secret');
    scratch.mustFail(1, 'rm', 'try-1:/..');
    scratch.must('rm', 'try-1:/absolute');
    assert.equal(readFileSync(scratch.at('secret'), 'utf8'), 'of the host\n');
    assert.ok(!existsSync(scratch.at('place/absolute')));
  });
});

/** Stores through a shared mapping, then makes a fork while only the kernel has the stored bytes. */
const MAPPING = `
import mmap, subprocess, sys
with open(sys.argv[1], 'r+b') as f:
    m = mmap.mmap(f.fileno(), 0)
    m[0:4] = b'READ'
    command = ['${process.execPath}', sys.argv[2], 'fork', 'try-1', 'try-2']
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
`;

describe('ramet run', { skip, concurrency: 2 }, () => {
  /** Starts `script` in the fork, and waits until it prints something. */
  async function running(
    scratch: ScratchCommand,
    script: string,
    environment: Readonly<Record<string, string>> = {},
    stderr: 'inherit' | 'pipe' = 'inherit',
  ): Promise<ChildProcess> {
    const child = spawn(process.execPath, [rametMain, 'run', 'try-1', '--', 'sh', '-c', script], {
      cwd: scratch.directory,
      env: scratch.environment(environment),
      stdio: ['ignore', 'pipe', stderr],
    });
    await once(child.stdout!, 'data');
    return child;
  }

  /**
   * A command that does not end by itself, with a child in its session, another in a session of its own, and daemons
   * whose parent has ended.
   */
  const TREE = `
    sleep 86399 & setsid sleep 86399 & (setsid sh -c 'sleep 86399 & exec sleep 86399' &)
    echo kept > kept; echo begun; while :; do sleep 0.05; done`;

  /** Processes of the commands: they work in `repo`, where a run shows them the fork. */
  function processesOf(scratch: ScratchCommand): string[] {
    return readdirSync('/proc').filter((pid) => {
      if (!/^[0-9]+$/.test(pid)) return false;
      try {
        return readlinkSync(`/proc/${pid}/cwd`) === scratch.at('repo');
      } catch {
        return false;
      }
    });
  }

  async function allEnded(scratch: ScratchCommand): Promise<void> {
    await until(() => processesOf(scratch).length === 0, 'the command and all its children end');
    await until(async () => (await mounts(scratch)).length === 0, 'the owner unmounts');
    assert.deepEqual(readdirSync(scratch.at('.ramet/run/mounts')), []);
    assert.equal(scratch.must('run', 'try-1', '--', 'cat', 'kept'), 'kept\n', 'it is free at once');
  }

  async function outcome(child: ChildProcess): Promise<number | NodeJS.Signals | null> {
    const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
    return code ?? signal;
  }

  test('the command sees the fork in place of the imported directory, and nobody else does', async (context) => {
    const scratch = await withFork(context);
    const said = scratch.must('run', 'try-1', '--', 'sh', '-c', 'pwd; ls; cat README; echo changed > README');
    assert.equal(said, `${scratch.at('repo')}\nREADME\nsrc\nread me\n`);
    assert.equal(readFileSync(scratch.at('repo/README'), 'utf8'), 'read me\n');
    assert.equal(scratch.must('cat', 'try-1:/README'), 'changed\n');
    assert.deepEqual(await mounts(scratch), []);
    assert.deepEqual(readdirSync(scratch.at('.ramet/run/mounts')), []);
  });

  test('passes stdin, arguments and the exit code on, 128 and the number for a signal', async (context) => {
    const scratch = await withFork(context);
    const piped = spawnSync(process.execPath, [rametMain, 'run', 'try-1', '--', 'cat', '-', './README'], {
      cwd: scratch.directory,
      env: scratch.environment(),
      input: 'from stdin\n',
      encoding: 'utf8',
    });
    assert.equal(piped.stdout, 'from stdin\nread me\n');
    assert.equal(scratch.run('run', 'try-1', '--', 'sh', '-c', 'exit 7').code, 7);
    assert.equal(scratch.run('run', 'try-1', '--', 'sh', '-c', 'kill -TERM $$').code, 143);
    const missing = scratch.run('run', 'try-1', '--', 'there-is-no-such-program');
    assert.equal(missing.code, 127);
    assert.match(missing.err, /there-is-no-such-program/);
    assert.equal(
      scratch.must('run', 'try-1', '--', 'echo', 'two  words', '--json', '$HOME'),
      'two  words --json $HOME\n',
    );
    const failing = scratch.run('run', 'base', '--', 'touch', 'x');
    assert.equal(failing.code, 1);
    assert.match(failing.err, /Read-only/);
  });

  test('--at names another place; a fork of a fork is followed back to the import', async (context) => {
    const scratch = await withFork(context);
    scratch.must('fork', 'try-1', 'deeper');
    scratch.must('snapshot', 'deeper', 'frozen');
    assert.equal(scratch.must('run', 'frozen', '--', 'pwd'), `${scratch.at('repo')}\n`);
    assert.equal(
      scratch.must('run', 'deeper', '--at', 'place', '--', 'sh', '-c', 'pwd; ls'),
      `${scratch.at('place')}\nREADME\nsrc\n`,
    );
    assert.match(
      scratch.mustFail(2, 'run', 'deeper', '--at', 'nowhere', '--', 'pwd'),
      /nowhere' is no directory here.*--at DIR/,
    );
    assert.match(scratch.mustFail(2, 'run', 'deeper', '--at', '/', '--', 'pwd'), /whole host/);
    assert.match(scratch.mustFail(1, 'run', 'none', '--', 'pwd'), /no fork or snapshot named 'none'/);
    assert.match(scratch.mustFail(2, 'run', 'deeper'), /missing required argument 'command'/);
    rmSync(scratch.at('repo'), { recursive: true });
    assert.match(
      scratch.mustFail(2, 'run', 'deeper', '--', 'pwd'),
      /imported from '.*repo', which is no directory here.*--at DIR/,
    );
    scratch.must('drop', 'try-1');
    // Now another tree, made later, has that name.
    scratch.must('fork', 'base', 'try-1');
    assert.match(scratch.mustFail(2, 'run', 'deeper', '--', 'pwd'), /imported from is not known.*--at DIR/);
  });

  test('a mounted fork is used where it is mounted, and stays mounted', async (context) => {
    const scratch = await withFork(context);
    scratch.must('mount', 'try-1', 'place');
    scratch.must('run', 'try-1', '--', 'sh', '-c', 'echo run > made');
    assert.equal(readFileSync(scratch.at('place/made'), 'utf8'), 'run\n');
    assert.equal((await mounts(scratch)).length, 1);
    assert.match(scratch.mustFail(1, 'run', 'try-1', '--io', 'direct', '--', 'true'), /--io cached/);
  });

  const FORWARDED = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGCONT'] as const;
  for (const signal of FORWARDED) {
    test(`${signal} reaches the command, whose exit code comes back`, async (context) => {
      const scratch = await withFork(context);
      const child = await running(
        scratch,
        `trap 'exit 42' ${signal.slice(3)}; echo begun; while :; do sleep 0.05; done`,
      );
      child.kill(signal);
      assert.equal(await outcome(child), 42);
      await until(async () => (await mounts(scratch)).length === 0, 'it is unmounted');
    });
  }

  test('two runs at once share one mount, which ends with the second', async (context) => {
    const scratch = await withFork(context);
    const [first, second] = await Promise.all([
      running(scratch, 'echo begun; while [ ! -e one ]; do sleep 0.05; done'),
      running(scratch, 'echo begun; while [ ! -e two ]; do sleep 0.05; done'),
    ]);
    const [record, ...others] = await mounts(scratch);
    assert.deepEqual(others, []);
    assert.deepEqual(new Set(record!.holders), new Set([first.pid, second.pid]));
    assert.equal(basename(record!.directory), 'try-1');
    assert.match(scratch.mustFail(1, 'umount', 'try-1'), /process(es)? [0-9, ]+ works? in it/);
    const ended = outcome(first);
    scratch.must('cp', 'repo/README', 'try-1:/one');
    assert.equal(await ended, 0);
    assert.deepEqual(
      (await mounts(scratch)).map(({ holders }) => holders),
      [[second.pid]],
    );
    const endedToo = outcome(second);
    scratch.must('cp', 'repo/README', 'try-1:/two');
    assert.equal(await endedToo, 0);
    assert.deepEqual(await mounts(scratch), []);
  });

  test('when ramet run is killed, all processes of the command and the mount end', async (context) => {
    const scratch = await withFork(context);
    const child = await running(scratch, TREE);
    await until(() => processesOf(scratch).length >= 5, 'all of them run');
    child.kill('SIGKILL');
    await outcome(child);
    await allEnded(scratch);
  });

  for (const signal of ['KILL', 'STOP']) {
    // kill(2) with -1 spares process 1 of the namespace and the caller, and nobody else of the run.
    const script = `kill -s ${signal} -- -1; ${TREE}`;

    test(`they end even if the command had sent SIG${signal} to all processes that it sees`, async (context) => {
      const scratch = await withFork(context);
      const child = await running(scratch, script);
      await until(() => processesOf(scratch).length >= 5, 'all of them run');
      child.kill('SIGKILL');
      await outcome(child);
      await allEnded(scratch);
      const late = scratch.run('run', '--timeout', '1', 'try-1', '--', 'sh', '-c', script);
      assert.deepEqual([late.code, late.out], [124, 'begun\n']);
      await allEnded(scratch);
    });
  }

  test('all processes also end when the one that leads them is killed from outside', async (context) => {
    const scratch = await withFork(context);
    const child = await running(scratch, TREE);
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').split(' ');
    // The other child is the owner, which `ramet run` has started.
    const leader = children.find((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'unshare\n');
    process.kill(Number(leader), 'SIGKILL');
    child.kill('SIGKILL');
    await outcome(child);
    await allEnded(scratch);
  });

  test('--timeout sends SIGTERM and ends all processes with the command: exit code 124', async (context) => {
    const scratch = await withFork(context);
    const script = `trap 'echo ended > ended; exit 3' TERM; ${TREE}`;
    const { code, out, err } = scratch.run('run', '--timeout', '2', 'try-1', '--', 'sh', '-c', script);
    assert.deepEqual([code, out], [124, 'begun\n']);
    assert.match(err, /^note: what the command left running ended with it: \w+(, \w+)+\n/);
    assert.equal(scratch.must('cat', 'try-1:/ended'), 'ended\n');
    await allEnded(scratch);
    assert.match(scratch.mustFail(2, 'run', '--timeout', '0', 'try-1', '--', 'true'), /number of seconds/);
  });

  test('when the owner is killed the command fails; what it had written stays, the next run works', async (context) => {
    const scratch = await withFork(context);
    const script = 'echo kept > kept; echo begun; while echo x > x; do sleep 0.05; done; exit 9';
    const { code, err, directory } = await withoutOwner(scratch, script);
    assert.deepEqual([code, err.match(/^ramet: ENOTCONN.*\n$/m)?.length], [9, 1], err);
    assert.throws(() => readdirSync(directory), { code: 'ENOTCONN' });
    assert.equal(scratch.must('run', 'try-1', '--', 'cat', 'kept'), 'kept\n');
    assert.ok(!existsSync(directory), 'the dead mount and its directory are gone');
  });

  test('a command that does not notice that the owner was killed fails all the same', async (context) => {
    const scratch = await withFork(context);
    const script = 'echo kept > kept; echo begun; while echo x > x; do sleep 0.05; done; exit 0';
    const { code, err } = await withoutOwner(scratch, script);
    // This run removes the dead mount.
    scratch.must('run', 'try-1', '--', 'true');
    assert.equal(code, 1);
    assert.match(err, /^ramet: ENOTCONN/m);
  });

  /** Runs `script`, kills the owner once the script has written `kept`, and returns how the run ended. */
  async function withoutOwner(
    scratch: ScratchCommand,
    script: string,
  ): Promise<{ code: unknown; err: string; directory: string }> {
    const child = await running(scratch, script, {}, 'pipe');
    let err = '';
    child.stderr?.on('data', (bytes: Buffer) => {
      err += bytes.toString();
    });
    const { pid, directory } = (await mounts(scratch))[0]!;
    await until(() => existsSync(`${directory}/kept`), 'the command has written');
    process.kill(pid, 'SIGKILL');
    const [code] = await once(child, 'close');
    return { code, err, directory };
  }

  test('processes that the command leaves running are named on stderr, and end with the command', async (context) => {
    const scratch = await withFork(context);
    const script = 'echo kept > kept; (setsid sleep 86399 >/dev/null 2>&1 &); exit 4';
    const { code, err } = scratch.run('run', 'try-1', '--', 'sh', '-c', script);
    assert.equal(code, 4);
    assert.match(err, /^note: what the command left running ended with it: (sh|setsid|sleep)\n/);
    assert.deepEqual(processesOf(scratch), []);
    await allEnded(scratch);
  });

  test('the command sees its own processes, and no others', async (context) => {
    const scratch = await withFork(context);
    const names = 'for process in /proc/[0-9]*; do read -r name <$process/comm; echo $name; done';
    const script = `${names}; kill -0 ${process.pid} 2>/dev/null || echo hidden`;
    assert.equal(scratch.must('run', 'try-1', '--', 'sh', '-c', script), 'sh\nsh\nsh\nhidden\n');
  });
});

describe('ramet owner', { skip }, () => {
  test('status shows the owner, stop ends the owner with its mounts, log shows what it did', async (context) => {
    const scratch = await withFork(context);
    assert.match(scratch.must('owner', 'status'), /^no owner process runs/);
    assert.deepEqual(scratch.json('owner', 'status'), { isRunning: false });
    assert.match(scratch.mustFail(1, 'owner', 'stop'), /no owner process runs/);
    assert.equal(scratch.must('owner', 'log'), '');
    scratch.must('mount', 'try-1', 'place');
    assert.match(
      scratch.must('owner', 'status'),
      /^process \d+ since .*\n1 mount, 0 other connections\n.*after 2 s/,
    );
    const pid = await ownerPid(scratch);
    assert.deepEqual(scratch.json('owner', 'stop'), { pid });
    assert.deepEqual(readdirSync(scratch.at('place')), []);
    assert.match(
      scratch.must('owner', 'log', '--lines', '2'),
      /^\S+ info unmounted fork=try-1 .*\n\S+ info stopped\n$/,
    );
    const events = scratch.json('owner', 'log') as { msg: string }[];
    assert.deepEqual(
      events.map(({ msg }) => msg),
      ['serving', 'mounted', 'stopping', 'unmounted', 'stopped'],
    );
    assert.match(scratch.mustFail(2, 'owner', 'log', '--lines', '0'), /whole number/);
  });

  test('SIGTERM unmounts and stores everything before it ends', async (context) => {
    const scratch = await withFork(context);
    scratch.must('mount', 'try-1', 'place');
    writeFileSync(scratch.at('place/new'), 'kept');
    const pid = await ownerPid(scratch);
    process.kill(pid, 'SIGTERM');
    await until(
      () => /"msg":"stopped"/.test(readFileSync(scratch.at('.ramet/run/owner.log'), 'utf8')),
      'it ends',
    );
    assert.deepEqual(readdirSync(scratch.at('place')), []);
    assert.equal(scratch.must('cat', 'try-1:/new'), 'kept');
    assert.match(scratch.must('owner', 'log'), /info stopping reason=SIGTERM mounts=1/);
  });

  test('stop unmounts lazily while a program works in a mount', async (context) => {
    const scratch = await withFork(context);
    scratch.must('mount', 'try-1', 'place');
    const user = spawn('sleep', ['60'], { cwd: scratch.at('place') });
    try {
      scratch.must('owner', 'stop');
      assert.deepEqual(readdirSync(scratch.at('place')), []);
      assert.ok(lstatSync(scratch.at('place')).isDirectory());
    } finally {
      user.kill('SIGKILL');
    }
    assert.equal(scratch.must('cat', 'try-1:/README'), 'read me\n');
  });
});
