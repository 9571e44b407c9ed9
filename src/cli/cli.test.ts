/** The `ramet` program, run for real: what it prints, what it changes, and the exit codes that scripts rely on. */

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { rametMain, ScratchCommand } from '../../testing/command/scratch-command.ts';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { seededBytes } from '../../testing/trees/odd-tree.ts';
import { compareTrees, describeHostTree } from '../../testing/trees/tree-compare.ts';
import { StoreEngine } from '../store/index.ts';
import { createSystem } from '../sys/index.ts';
import { createProgram } from './program.ts';

function withBase(context: TestContext): ScratchCommand {
  const scratch = new ScratchCommand(context);
  mkdirSync(scratch.at('repo/src'), { recursive: true });
  writeFileSync(scratch.at('repo/README'), 'read me\n');
  writeFileSync(scratch.at('repo/src/x.ts'), 'const x = 1;\n');
  writeFileSync(scratch.at('repo/large'), seededBytes(1, 2_000_000));
  symlinkSync('README', scratch.at('repo/link'));
  scratch.must('init');
  scratch.must('import', 'repo', '--name', 'base');
  return scratch;
}

describe('help and usage', () => {
  test('every command has a description, an example and --help', async () => {
    const program = await createProgram([]);
    const names = program.commands.map((command) => command.name());
    const trees = 'init import fork ls cat cp rm drop diff export snapshot du stat pages gc fsck';
    for (const name of `${trees} run mount umount owner`.split(' ')) assert.ok(names.includes(name), name);
    for (const command of program.commands) {
      assert.notEqual(command.description(), '', command.name());
      let help = '';
      command.configureOutput({ writeOut: (text) => (help += text) });
      command.outputHelp();
      assert.match(help, new RegExp(`Examples?:\\n  \\$ ramet ${command.name()}`), command.name());
      assert.match(help, /--store/, command.name());
    }
  });

  test('--help exits with 0; wrong usage exits with 2, and prints a line or an object', (context) => {
    const scratch = new ScratchCommand(context);
    assert.equal(scratch.run('--help').code, 0);
    assert.match(scratch.run('--help').out, /^Usage: ramet/);
    assert.equal(scratch.run('fork', '--help').code, 0);
    const bare = scratch.run();
    assert.deepEqual([bare.code, bare.out], [2, '']);
    assert.match(bare.err, /^Usage: ramet/);
    const group = scratch.run('owner');
    assert.deepEqual([group.code, group.out], [2, '']);
    assert.match(group.err, /^Usage: ramet owner.*\n {2}stop /s);
    assert.match(scratch.mustFail(2, 'owner', 'frobnicate'), /^ramet: unknown command 'frobnicate'/);
    assert.match(
      scratch.mustFail(2, 'mount', 'a', 'b', '--io', 'fast'),
      /cached, shared, direct: see `ramet/,
    );
    assert.match(scratch.mustFail(2, 'frobnicate'), /^ramet: unknown command 'frobnicate'/);
    assert.match(scratch.mustFail(2, 'fork'), /missing required argument 'from'/);
    assert.match(scratch.mustFail(2, 'ls', '--bogus'), /unknown option '--bogus'/);
    assert.match(scratch.mustFail(2, 'cat', 'no-colon'), /NAME:\/path/);
    assert.match(scratch.mustFail(2, 'cp', 'a', 'b'), /NAME:\/path/);
    assert.match(scratch.mustFail(2, 'rm', 'base:/'), /whole tree/);
    assert.match(scratch.mustFail(2, 'import', 'x', '--concurrency', '0'), /whole number/);
    const problem = JSON.parse(scratch.mustFail(2, 'ls', '--bogus', '--json'));
    assert.equal(problem.error.code, 'USAGE');
  });
});

describe('the store', () => {
  test('is ./.ramet, or $RAMET_STORE, or --store, the last one first', (context) => {
    const scratch = new ScratchCommand(context);
    scratch.must('init');
    assert.ok(existsSync(scratch.at('.ramet/VERSION')));
    assert.equal(scratch.runWith({ RAMET_STORE: scratch.at('two') }, 'init').code, 0);
    assert.ok(existsSync(scratch.at('two/VERSION')));
    const third = scratch.runWith({ RAMET_STORE: scratch.at('two') }, 'init', '--store', 'three', '--json');
    assert.deepEqual(JSON.parse(third.out), { store: scratch.at('three') });
  });

  test('that is missing, or there already, gives exit code 1 and the way out', (context) => {
    const scratch = new ScratchCommand(context);
    assert.match(scratch.mustFail(1, 'ls'), /there is no store here.*`ramet init`/);
    const problem = JSON.parse(scratch.mustFail(1, 'ls', '--json')).error;
    assert.equal(problem.code, 'ERR_STORE_NOT_FOUND');
    assert.match(problem.hint, /ramet init/);
    scratch.must('init');
    assert.match(scratch.mustFail(1, 'init'), /there is a store already/);
  });
});

describe('trees', () => {
  test('are imported, forked, listed, snapshot and dropped', (context) => {
    const scratch = withBase(context);
    assert.equal(scratch.must('fork', 'base', 'try'), "forked 'base' as 'try'\n");
    assert.equal(scratch.must('fork', 'base'), 'base-1\n');
    assert.equal(scratch.must('fork', 'base'), 'base-2\n');
    scratch.must('snapshot', 'try', 'done');
    const listed = scratch.json('ls') as {
      name: string;
      kind: string;
      source: string;
      created: string;
      id: number;
    }[];
    assert.deepEqual(
      listed.map(({ name, kind, source }) => [name, kind, source]),
      [
        ['base', 'snapshot', scratch.at('repo')],
        ['base-1', 'fork', 'base'],
        ['base-2', 'fork', 'base'],
        ['done', 'snapshot', 'try'],
        ['try', 'fork', 'base'],
      ],
    );
    assert.match(listed[0]!.created, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
    assert.match(scratch.must('ls'), /^NAME +KIND +FROM +CREATED\nbase +snapshot /);
    scratch.must('drop', 'base-1', 'base-2');
    assert.deepEqual(scratch.json('drop', 'done'), { dropped: ['done'] });
    assert.equal((scratch.json('ls') as unknown[]).length, 2);
  });

  test('get the name of their directory when none is given', (context) => {
    const scratch = withBase(context);
    const report = scratch.json('import', 'repo') as Record<string, unknown>;
    assert.equal(report.name, 'repo');
    assert.equal(report.files, 3);
    assert.equal(report.symlinks, 1);
    assert.equal(report.storedBytes, 0);
  });

  test('that are missing or taken give exit code 1, and nothing changes', (context) => {
    const scratch = withBase(context);
    assert.match(scratch.mustFail(1, 'import', 'repo', '--name', 'base'), /'base' is taken/);
    assert.match(scratch.mustFail(1, 'import', 'nowhere'), /ENOENT.*nowhere/);
    assert.match(scratch.mustFail(1, 'import', 'repo/README'), /ENOTDIR/);
    assert.match(scratch.mustFail(1, 'import', 'repo', '--name', 'a/b'), /EINVAL|cannot be a name/);
    assert.match(scratch.mustFail(1, 'fork', 'nope', 'x'), /no fork or snapshot named 'nope'/);
    assert.match(scratch.mustFail(1, 'fork', 'base', 'base'), /'base' is taken/);
    assert.match(scratch.mustFail(1, 'snapshot', 'nope', 'x'), /named 'nope'/);
    assert.match(scratch.mustFail(1, 'drop', 'base', 'nope'), /named 'nope'/);
    for (const name of ['', 'x'.repeat(300)])
      assert.match(scratch.mustFail(1, 'drop', name), /there is no fork/);
    assert.match(scratch.mustFail(1, 'diff', 'nope'), /named 'nope'/);
    assert.match(scratch.mustFail(1, 'export', 'nope', 'out'), /nope/);
    assert.match(scratch.mustFail(1, 'cat', 'nope:/a'), /named 'nope'/);
    const problem = JSON.parse(scratch.mustFail(1, 'fork', 'nope', 'x', '--json')).error;
    assert.deepEqual(
      [problem.code, typeof problem.message, typeof problem.hint],
      ['ENOENT', 'string', 'string'],
    );
    assert.deepEqual(
      (scratch.json('ls') as { name: string }[]).map(({ name }) => name),
      ['base'],
    );
  });
});

test('a fork that another process has open gives exit code 1 and its process id; others are free', async (context) => {
  const scratch = withBase(context);
  scratch.must('fork', 'base', 'try');
  const engine = await StoreEngine.open(scratch.at('.ramet'));
  try {
    engine.openTree('try');
    const line = scratch.mustFail(1, 'ls', 'try');
    assert.match(line, /'try' is in use/);
    assert.ok(line.includes(String(process.pid)), line);
    for (const args of [
      ['drop', 'try'],
      ['fork', 'try', 'x'],
      ['diff', 'try'],
      ['export', 'try', 'out'],
      ['rm', 'try:/a'],
    ]) {
      assert.match(scratch.mustFail(1, ...args), /'try' is in use/);
    }
    assert.equal(scratch.must('cat', 'base:/README'), 'read me\n');
    scratch.must('fork', 'base', 'other');
  } finally {
    await engine.close();
  }
  assert.equal(scratch.must('cat', 'try:/README'), 'read me\n');
});

describe('files', () => {
  test('are listed, shown and described', (context) => {
    const scratch = withBase(context);
    assert.equal(scratch.must('ls', 'base'), 'README\nlarge\nlink@\nsrc/\n');
    assert.equal(scratch.must('ls', 'base:/src'), 'x.ts\n');
    assert.match(scratch.must('ls', '-l', 'base:/'), /^MODE +LINKS.*\n-rw-r--r-- +1 .*README\n/);
    const [file] = scratch.json('ls', 'base:/src') as Record<string, unknown>[];
    assert.deepEqual([file?.name, file?.type, file?.size], ['x.ts', 'file', 13]);
    assert.equal(scratch.must('cat', 'base:/README', 'base:/src/x.ts'), 'read me\nconst x = 1;\n');
    const stat = scratch.json('stat', 'base:/link') as Record<string, unknown>;
    assert.deepEqual([stat.type, stat.target, stat.path], ['symlink', 'README', 'base:/link']);
    assert.match(scratch.must('stat', 'base:/README'), /size +8 bytes/);
  });

  test('with control characters in their names do not reach the terminal as such', (context) => {
    const scratch = new ScratchCommand(context);
    mkdirSync(scratch.at('odd'));
    writeFileSync(scratch.at('odd/\u001b[31mred\n'), '');
    scratch.must('init');
    scratch.must('import', 'odd');
    assert.equal(scratch.must('ls', 'odd'), '\\x1b[31mred\\x0a\n');
    const [file] = scratch.json('ls', 'odd:/') as { name: string }[];
    assert.equal(file?.name, '\u001b[31mred\n');
  });

  test('that are missing fail; cat goes on with the others', (context) => {
    const scratch = withBase(context);
    assert.match(scratch.mustFail(1, 'ls', 'base:/nope'), /ENOENT.*base:\/nope/);
    assert.match(scratch.mustFail(1, 'stat', 'base:/nope'), /ENOENT.*base:\/nope/);
    const { code, out, err } = scratch.run('cat', 'base:/nope', 'base:/README', 'base:/src');
    assert.equal(code, 1);
    assert.equal(out, 'read me\n');
    assert.match(err, /^ramet: ENOENT.*base:\/nope[^\n]*\nramet: EISDIR.*base:\/src[^\n]*\n$/);
  });

  test('cat ends quietly when nobody reads any more', async (context) => {
    const scratch = withBase(context);
    const child = spawn(process.execPath, [rametMain, 'cat', 'base:/large'], { cwd: scratch.directory });
    let err = '';
    child.stderr.on('data', (piece: Buffer) => {
      err += piece.toString();
    });
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on('close', resolve));
    assert.deepEqual([code, err], [0, '']);
  });

  test('are removed, one by one or whole directories', (context) => {
    const scratch = withBase(context);
    scratch.must('fork', 'base', 'try');
    assert.match(scratch.mustFail(1, 'rm', 'base:/README'), /snapshot and never changes/);
    assert.match(scratch.mustFail(1, 'rm', 'try:/src'), /EISDIR.*-r/);
    assert.match(scratch.mustFail(1, 'rm', 'try:/nope'), /ENOENT/);
    scratch.must('rm', '-f', 'try:/nope');
    scratch.must('rm', 'try:/README');
    assert.deepEqual(scratch.json('rm', '-r', 'try:/src'), { removed: 2 });
    assert.equal(scratch.must('ls', 'try'), 'large\nlink@\n');
    assert.equal(scratch.must('ls', 'base'), 'README\nlarge\nlink@\nsrc/\n');
  });
});

describe('cp', () => {
  test('goes from the host into a fork, back, and from fork to fork', (context) => {
    const scratch = withBase(context);
    scratch.must('fork', 'base', 'try');
    writeFileSync(scratch.at('patch'), 'patched', { mode: 0o755 });
    scratch.must('cp', 'patch', 'try:/README');
    scratch.must('cp', 'patch', 'try:/new');
    scratch.must('cp', 'patch', 'try:/src');
    assert.equal(scratch.must('cat', 'try:/README', 'try:/new', 'try:/src/patch'), 'patched'.repeat(3));
    assert.equal((scratch.json('stat', 'try:/new') as { mode: string }).mode, '0755');
    assert.equal((scratch.json('stat', 'try:/README') as { mode: string }).mode, '0644');
    scratch.must('cp', 'try:/README', 'back');
    assert.equal(readFileSync(scratch.at('back'), 'utf8'), 'patched');
    const counts = scratch.json('cp', 'base:/large', 'try:/copy');
    const none = { directories: 0, attributesLeftOut: [] };
    assert.deepEqual(counts, { ...none, files: 1, reflinks: 1, bytes: 2_000_000 });
    const { trees } = scratch.json('du') as { trees: { name: string; exclusiveBytes: number }[] };
    assert.ok(trees.find(({ name }) => name === 'try')!.exclusiveBytes < 100_000);
  });

  test('-r takes whole directories, -p owners, times and attributes too', { skip: nativeOnly }, (context) => {
    const scratch = withBase(context);
    scratch.must('fork', 'base', 'try');
    assert.match(scratch.mustFail(1, 'cp', 'repo', 'try:/'), /EISDIR.*-r/);
    scratch.must('cp', '-rp', 'repo', 'try:/in');
    scratch.must('cp', '-rp', 'try:/in', 'out');
    const system = createSystem();
    const expected = describeHostTree(system, scratch.at('repo'));
    assert.deepEqual(compareTrees(expected, describeHostTree(system, scratch.at('out'))), []);
    scratch.must('cp', '-r', 'try:/in', 'out');
    assert.equal(readlinkSync(scratch.at('out/in/link')), 'README');
    // A symlink on the command line is followed, as cp(1) does.
    scratch.must('cp', 'try:/link', 'followed');
    assert.equal(readFileSync(scratch.at('followed'), 'utf8'), 'read me\n');
  });

  test('copies data that is not frozen yet from fork to fork', (context) => {
    const scratch = withBase(context);
    scratch.must('fork', 'base', 'one');
    scratch.must('fork', 'base', 'two');
    writeFileSync(scratch.at('patch'), seededBytes(7, 100_000));
    scratch.must('cp', 'patch', 'one:/patch');
    assert.equal((scratch.json('cp', 'one:/patch', 'two:/patch') as { reflinks: number }).reflinks, 0);
    scratch.must('cp', 'two:/patch', 'back');
    assert.ok(readFileSync(scratch.at('back')).equals(seededBytes(7, 100_000)));
  });

  test('refuses what cp refuses', (context) => {
    const scratch = withBase(context);
    scratch.must('fork', 'base', 'try');
    assert.match(scratch.mustFail(1, 'cp', 'nope', 'try:/x'), /ENOENT.*nope/);
    assert.match(scratch.mustFail(1, 'cp', 'try:/nope', 'x'), /ENOENT.*try:\/nope/);
    assert.match(scratch.mustFail(1, 'cp', 'repo/README', 'try:/no/such/x'), /ENOENT.*try:\/no\/such\/x/);
    assert.match(scratch.mustFail(1, 'cp', 'repo/README', 'repo/large', 'try:/README'), /ENOTDIR/);
    assert.match(scratch.mustFail(1, 'cp', 'try:/README', 'try:/README'), /same file/);
    assert.match(scratch.mustFail(1, 'cp', '-r', 'try:/src', 'try:/src/inside'), /into itself/);
    assert.match(scratch.mustFail(1, 'cp', '-r', 'try:/', 'try:/src'), /into itself/);
    scratch.must('cp', '-r', 'try:/src', 'try:/src-2');
    assert.match(scratch.mustFail(1, 'cp', 'repo/README', 'base:/x'), /never changes/);
    assert.equal(scratch.must('cat', 'try:/README'), 'read me\n');
  });

  test('reports the error of the host for a path of the host', (context) => {
    const scratch = withBase(context);
    scratch.must('fork', 'base', 'try');
    symlinkSync('nowhere', scratch.at('dangling'));
    symlinkSync('loop', scratch.at('loop'));
    const says = (from: string, to: string, problem: RegExp): void =>
      assert.match(scratch.mustFail(1, 'cp', from, to), problem, `${from} ${to}`);
    says('repo/README/x', 'try:/x', /ENOTDIR: not a directory, statx? '.*\/README\/x'$/);
    says('try:/README', 'repo/README/x', /ENOTDIR: not a directory, statx? '.*\/README\/x'$/);
    says('dangling', 'try:/x', /ENOENT: no such file or directory, cp '.*\/dangling'$/);
    says('dangling/x', 'try:/x', /ENOENT: no such file or directory, cp '.*\/dangling\/x'$/);
    says('try:/README', 'dangling/x', /ENOENT: no such file or directory, open '.*\/dangling\/x'$/);
    says('loop', 'try:/x', /ELOOP: too many symbolic links encountered, statx? '.*\/loop'$/);
  });

  test('follows a symlink to a directory whose name is not UTF-8', (context) => {
    const scratch = withBase(context);
    scratch.must('fork', 'base', 'try');
    const directory = Buffer.concat([Buffer.from(scratch.at('d')), Buffer.of(0xff)]);
    mkdirSync(directory);
    writeFileSync(Buffer.concat([directory, Buffer.from('/file')]), 'content');
    symlinkSync(directory, scratch.at('to'));
    scratch.must('cp', 'to/file', 'try:/copy');
    assert.equal(scratch.must('cat', 'try:/copy'), 'content');
    scratch.must('cp', 'try:/README', 'to/out');
    scratch.must('cp', '-r', 'try:/src', 'to');
    assert.deepEqual(readdirSync(directory).sort(), ['file', 'out', 'src']);
  });

  test('of a pipe makes a fifo: /dev/stdin leads to no path', { skip: nativeOnly }, (context) => {
    const scratch = withBase(context);
    scratch.must('fork', 'base', 'try');
    const pipe = 'echo data | "$0" "$1" cp /dev/stdin try:/in';
    const options = { cwd: scratch.directory, env: scratch.environment() };
    assert.equal(spawnSync('sh', ['-c', pipe, process.execPath, rametMain], options).status, 0);
    assert.equal((scratch.json('stat', 'try:/in') as { type: string }).type, 'fifo');
  });
});

describe('differences and sizes', () => {
  test('diff compares with the source, or two trees, and exits with 0 either way', (context) => {
    const scratch = withBase(context);
    scratch.must('fork', 'base', 'try');
    assert.equal(scratch.must('diff', 'try'), '');
    scratch.must('rm', 'try:/README');
    scratch.must('cp', 'repo/large', 'try:/src/x.ts');
    assert.equal(scratch.must('diff', 'try'), 'D /README\nM /src/x.ts (content, times)\n');
    assert.equal(scratch.must('diff', 'try', 'base'), 'A /README\nM /src/x.ts (content, times)\n');
    const { a, b, changes } = scratch.json('diff', 'try') as { a: string; b: string; changes: unknown[] };
    assert.deepEqual([a, b], ['base', 'try']);
    assert.deepEqual(changes[0], {
      path: '/README',
      from: null,
      kind: 'removed',
      type: 'file',
      parts: [],
      sizeBefore: 8,
      sizeAfter: null,
    });
    assert.match(scratch.mustFail(1, 'diff', 'base'), /no tree of this store/);
  });

  test('export writes a directory or a tar, and never over anything', { skip: nativeOnly }, (context) => {
    const scratch = withBase(context);
    const report = scratch.json('export', 'base', 'out') as Record<string, unknown>;
    assert.deepEqual([report.files, report.format], [3, 'directory']);
    const system = createSystem();
    const expected = describeHostTree(system, scratch.at('repo'), { holes: true });
    assert.deepEqual(
      compareTrees(expected, describeHostTree(system, scratch.at('out'), { holes: true })),
      [],
    );
    assert.match(scratch.mustFail(1, 'export', 'base', 'out'), /ENOTEMPTY/);
    scratch.must('export', 'base', 'out.tar');
    assert.match(scratch.mustFail(1, 'export', 'base', 'out.tar'), /EEXIST/);
    const piped = spawnSync(process.execPath, [rametMain, 'export', 'base', '-'], {
      cwd: scratch.directory,
      maxBuffer: 2 ** 24,
    });
    assert.equal(piped.status, 0);
    assert.ok(piped.stdout.equals(readFileSync(scratch.at('out.tar'))));
    assert.equal(
      scratch.mustFail(2, 'export', 'base', '-', '--format', 'directory').startsWith('ramet:'),
      true,
    );
  });

  test('du, stat and pages show figures', (context) => {
    const scratch = withBase(context);
    scratch.must('fork', 'base', 'try');
    assert.match(scratch.must('du', '--shared'), /NAME .*OWN +SHARED\nbase /);
    const du = scratch.json('du', '--shared') as {
      trees: { name: string; sharedBytes: number }[];
      diskBytes: number;
    };
    assert.ok(du.trees.every(({ sharedBytes }) => sharedBytes >= 2_000_000));
    assert.ok(du.diskBytes >= 2_000_000);
    const stat = scratch.json('stat') as { forks: number; snapshots: number };
    assert.deepEqual([stat.forks, stat.snapshots], [1, 1]);
    assert.match(scratch.must('stat', 'try'), /made from +base/);
    const drawn = scratch.must('pages', 'try:/large');
    assert.match(drawn, /^try:\/large, 489 pages of 4096 bytes\n0 private, 489 shared, 0 holes/);
    assert.match(drawn, /shared with base/);
    const pages = scratch.json('pages', 'try:/large') as { sharedCount: number; runs: { trees: string[] }[] };
    assert.equal(pages.sharedCount, 489);
    assert.deepEqual(
      pages.runs.map(({ trees }) => trees),
      [['base']],
    );
    assert.match(scratch.mustFail(1, 'pages', 'try:/src'), /EISDIR.*try:\/src/);
    assert.match(scratch.mustFail(1, 'pages', 'try:/nope'), /ENOENT.*try:\/nope/);
  });

  test('gc frees what was dropped, and fsck finds a sound store sound and a damaged one damaged', (context) => {
    const scratch = withBase(context);
    assert.match(scratch.must('fsck', '--scrub'), /the store is clean/);
    const blobs = scratch.at('.ramet/blobs');
    const files = readdirSync(blobs, { recursive: true, encoding: 'utf8' }).map((name) => join(blobs, name));
    const blob = files.find((file) => statSync(file).size === 2_000_000)!;
    const bytes = readFileSync(blob);
    bytes[100_000]! ^= 1;
    writeFileSync(blob, bytes);
    const { code, out } = scratch.run('fsck', '--scrub', '--json');
    assert.equal(code, 1);
    assert.equal((JSON.parse(out) as { isClean: boolean }).isClean, false);
    scratch.must('drop', 'base');
    scratch.must('gc');
    const report = scratch.json('gc') as { blobsWaiting: number };
    assert.equal(report.blobsWaiting, 0);
    assert.ok(!existsSync(blob));
  });

  test('fsck reports a damaged page of the tables on which LMDB would end the process', (context) => {
    const scratch = withBase(context);
    const tables = scratch.at('.ramet/meta/data.mdb');
    const sound = readFileSync(tables);
    // Bytes 18 and 19 of a page are its flags; 2 is a leaf. Damage to a leaf that is free goes unnoticed.
    const leaves = Array.from({ length: sound.length / 4096 }, (_, page) => page * 4096 + 18).filter(
      (at) => at > 2 * 4096 && sound.readUInt16LE(at) === 2,
    );
    const failure = leaves.reduceRight<string | undefined>((found, at) => {
      if (found !== undefined) return found;
      const damaged = Buffer.from(sound);
      damaged.writeUInt16LE(3, at);
      writeFileSync(tables, damaged);
      const { code, err } = scratch.run('fsck');
      return code === 1 ? err : undefined;
    }, undefined);
    assert.match(failure ?? '', /tables.*page \d+.*restore the meta directory/s);
    writeFileSync(tables, sound);
    scratch.must('fsck');
  });
});
