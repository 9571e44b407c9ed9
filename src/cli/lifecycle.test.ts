/** The commands that follow work in a fork: diff as text, commit, merge, rollback, export of changes; also killed. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ScratchCommand } from '../../testing/command/scratch-command.ts';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { swept } from '../../testing/pace/sweep.ts';
import { isRoot } from '../../testing/trees/odd-tree.ts';
import { SeededRandom } from '../base/index.ts';
import { StoreEngine } from '../store/index.ts';

function withFork(context: TestContext): ScratchCommand {
  const scratch = new ScratchCommand(context);
  mkdirSync(scratch.at('repo/src'), { recursive: true });
  writeFileSync(scratch.at('repo/README'), 'read me\n');
  writeFileSync(scratch.at('repo/src/x.ts'), 'one\ntwo\nthree\n');
  scratch.must('init');
  scratch.must('import', 'repo', '--name', 'base');
  scratch.must('fork', 'base', 'try-1');
  return scratch;
}

function put(scratch: ScratchCommand, text: string, where: string): void {
  writeFileSync(scratch.at('put'), text);
  scratch.must('cp', 'put', where);
}

function clean(scratch: ScratchCommand): void {
  scratch.must('gc');
  scratch.must('fsck', '--scrub');
}

describe('diff', () => {
  test('has counts, a patch and objects', (context) => {
    const scratch = withFork(context);
    put(scratch, 'one\n2\nthree\n', 'try-1:/src/x.ts');
    put(scratch, 'new\n', 'try-1:/new');
    scratch.must('rm', 'try-1:/README');
    assert.match(scratch.must('diff', 'try-1'), /^D \/README\nA \/new\nM \/src\/x\.ts/);
    const stat = scratch.must('diff', 'try-1', '--stat');
    assert.match(stat, /^ src\/x\.ts \| 2 \+-$/m);
    assert.match(stat, /^ 3 files changed, 2 insertions\(\+\), 2 deletions\(-\)$/m);
    const patch = scratch.must('diff', 'try-1', '--patch');
    execFileSync('git', ['apply', '-'], { cwd: scratch.at('repo'), input: patch });
    assert.deepEqual(readdirSync(scratch.at('repo')).sort(), ['new', 'src']);
    assert.equal(readFileSync(scratch.at('repo/src/x.ts'), 'utf8'), 'one\n2\nthree\n');
    const { files } = scratch.json('diff', 'try-1', '--patch') as { files: Record<string, unknown>[] };
    assert.deepEqual(
      files.map(({ path, kind, insertions }) => [path, kind, insertions]),
      [
        ['/README', 'removed', 0],
        ['/new', 'added', 1],
        ['/src/x.ts', 'modified', 1],
      ],
    );
    assert.match(scratch.mustFail(2, 'diff', 'try-1', '--patch', '--stat'), /cannot be used with/);
  });
});

test('a fork of a directory is compared with the directory, and committed to it', {
  skip: nativeOnly,
}, (context) => {
  const scratch = withFork(context);
  scratch.must('fork', './repo', 'direct');
  put(scratch, 'changed\n', 'direct:/README');
  assert.equal(scratch.must('diff', 'direct'), 'M /README (content, times)\n');
  assert.match(scratch.must('diff', 'direct', '--patch'), /^-read me\n\+changed\n/m);
  assert.equal((scratch.json('export', 'direct', 'upper', '--changes') as { files: number }).files, 1);
  assert.match(scratch.must('commit', 'direct'), /committed 'direct' to .*repo: 1 written, 0 removed/);
  assert.equal(scratch.must('diff', 'direct'), '');
});

describe('commit', () => {
  test('writes to the directory, refuses conflicts with exit code 1, and finishes when told', (context) => {
    const scratch = withFork(context);
    put(scratch, 'changed\n', 'try-1:/README');
    put(scratch, 'new\n', 'try-1:/src/new');
    assert.match(scratch.must('commit', 'try-1', '--dry-run'), /would commit 'try-1'.*2 written, 0 removed/);
    assert.match(scratch.must('commit', 'try-1'), /committed 'try-1' to .*repo: 2 written, 0 removed/);
    assert.equal(readFileSync(scratch.at('repo/README'), 'utf8'), 'changed\n');
    put(scratch, 'again\n', 'try-1:/README');
    writeFileSync(scratch.at('repo/README'), 'of the repo\n');
    const { code, out, err } = scratch.run('commit', 'try-1');
    assert.deepEqual([code, out], [1, 'C /README (changed in the target)\n']);
    assert.match(err, /1 path in .*repo changed since 'try-1' was made.*--skip-conflicts/);
    const refused = scratch.run('commit', 'try-1', '--json');
    assert.equal(refused.code, 1);
    const { conflicts, isDone } = JSON.parse(refused.out);
    assert.deepEqual([conflicts, isDone], [[{ path: '/README', kind: 'changed', isReplaced: false }], false]);
    scratch.must('commit', 'try-1', '--skip-conflicts');
    assert.equal(readFileSync(scratch.at('repo/README'), 'utf8'), 'of the repo\n');
    assert.match(scratch.must('commit', 'try-1', '--force'), /README \(changed in the target, replaced\)/);
    assert.equal(readFileSync(scratch.at('repo/README'), 'utf8'), 'again\n');
    clean(scratch);
  });

  test('of a fork of a fork merges into the first fork', (context) => {
    const scratch = withFork(context);
    scratch.must('fork', 'try-1', 'try-2');
    put(scratch, 'of try-2\n', 'try-2:/README');
    assert.match(scratch.must('commit', 'try-2'), /merged 'try-2' into 'try-1': 1 path taken/);
    assert.equal(scratch.must('cat', 'try-1:/README'), 'of try-2\n');
    assert.equal(readFileSync(scratch.at('repo/README'), 'utf8'), 'read me\n');
    scratch.must('commit', 'try-2', '--to', 'repo');
    assert.equal(readFileSync(scratch.at('repo/README'), 'utf8'), 'of try-2\n');
  });
});

describe('merge and rollback', () => {
  test('a merge puts two forks together, and a rollback takes it back', (context) => {
    const scratch = withFork(context);
    scratch.must('fork', 'base', 'try-2');
    put(scratch, '1\ntwo\nthree\n', 'try-1:/src/x.ts');
    put(scratch, 'one\ntwo\n3\n', 'try-2:/src/x.ts');
    const told = scratch.must('merge', 'try-1', 'try-2');
    assert.match(
      told,
      /merged 'try-1' into 'try-2'.*1 put together; back: `ramet rollback try-2 try-2\.before-merge`/,
    );
    assert.equal(scratch.must('cat', 'try-2:/src/x.ts'), '1\ntwo\n3\n');
    scratch.must('rollback', 'try-2', 'try-2.before-merge');
    assert.equal(scratch.must('cat', 'try-2:/src/x.ts'), 'one\ntwo\n3\n');
    assert.equal(scratch.must('cat', 'try-2.before-rollback:/src/x.ts'), '1\ntwo\n3\n');
    scratch.must('rollback', 'try-2', 'base', '--discard');
    assert.equal(scratch.must('diff', 'base', 'try-2'), '');
    assert.match(scratch.mustFail(1, 'rollback', 'base', 'try-2'), /'base' is a snapshot and never changes/);
    assert.match(scratch.mustFail(1, 'rollback', 'try-2', 'nope'), /no fork or snapshot named 'nope'/);
    clean(scratch);
  });

  test('conflicts change nothing without an option that settles them', (context) => {
    const scratch = withFork(context);
    scratch.must('fork', 'base', 'try-2');
    put(scratch, 'a\n', 'try-1:/README');
    put(scratch, 'b\n', 'try-2:/README');
    const { code, out, err } = scratch.run('merge', 'try-1', 'try-2');
    assert.deepEqual([code, out], [1, 'C /README (both-modified)\n']);
    assert.match(err, /1 conflict between 'try-1' and 'try-2', nothing was changed/);
    assert.equal(scratch.must('cat', 'try-2:/README'), 'b\n');
    const marked = scratch.run('merge', 'try-1', 'try-2', '--markers');
    assert.equal(marked.code, 1);
    assert.match(scratch.must('cat', 'try-2:/README'), /^<<<<<<< try-2\nb\n/);
    scratch.must('rollback', 'try-2', 'try-2.before-merge');
    scratch.must('merge', 'try-1', 'try-2', '--theirs');
    assert.equal(scratch.must('cat', 'try-2:/README'), 'a\n');
  });

  test('a fork that is mounted is reached through its owner, or has to be unmounted', {
    skip: nativeOnly || (!isRoot && 'mounts take root'),
  }, (context) => {
    const scratch = withFork(context);
    scratch.must('fork', 'base', 'try-2');
    mkdirSync(scratch.at('mnt'));
    scratch.must('mount', 'try-1', 'mnt');
    writeFileSync(scratch.at('mnt/README'), 'through the mount\n');
    assert.match(scratch.must('diff', 'try-1', '--patch'), /^\+through the mount$/m);
    scratch.must('export', 'try-1', 'layer.tar', '--changes');
    scratch.must('merge', 'try-1', 'try-2');
    assert.equal(scratch.must('cat', 'try-2:/README'), 'through the mount\n');
    scratch.must('commit', 'try-1');
    assert.equal(readFileSync(scratch.at('repo/README'), 'utf8'), 'through the mount\n');
    assert.match(scratch.mustFail(1, 'merge', 'try-2', 'try-1'), /mounted at .*mnt.*ramet umount try-1/);
    assert.match(scratch.mustFail(1, 'rollback', 'try-1', 'base'), /mounted at .*mnt.*ramet umount try-1/);
    scratch.must('umount', 'try-1');
    scratch.must('rollback', 'try-1', 'base');
    clean(scratch);
  });
});

test('export --changes makes a layer', (context) => {
  const scratch = withFork(context);
  put(scratch, 'changed\n', 'try-1:/src/x.ts');
  scratch.must('rm', 'try-1:/README');
  scratch.must('export', 'try-1', 'layer.tgz', '--changes');
  const listed = execFileSync('tar', ['tzf', scratch.at('layer.tgz')], { encoding: 'utf8' });
  assert.equal(listed, './\n./.wh.README\n./src/\n./src/x.ts\n');
  const report = scratch.json('export', 'try-1', 'upper', '--changes', '--format', 'overlay') as {
    whiteouts: number;
  };
  assert.equal(report.whiteouts, 1);
  assert.match(scratch.mustFail(2, 'export', 'try-1', 'x.tar', '--against', 'base'), /add --changes/);
  assert.match(scratch.mustFail(2, 'export', 'try-1', 'x', '--format', 'overlay'), /add --changes/);
});

const child = fileURLToPath(new URL('../../testing/command/lifecycle-child.js', import.meta.url));
const KILLS = swept({ sample: 3, long: 6, all: 100 });

/** Runs the child, and polls `isTime` once the store is open, to kill it. True if the child was killed. */
async function killed(args: readonly string[], isTime: () => boolean): Promise<boolean> {
  const running = spawn(process.execPath, [child, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(running, 'exit');
  await Promise.race([once(running.stdout, 'data'), ended]);
  while (running.exitCode === null && running.signalCode === null) {
    if (isTime()) running.kill('SIGKILL');
    await pause(0);
  }
  await ended;
  return running.signalCode === 'SIGKILL';
}

/** A store with a fork that has changed many files. */
async function withManyChanges(context: TestContext, files: number, isHost = false): Promise<ScratchCommand> {
  const scratch = withFork(context);
  for (let at = 0; at < files; at++) writeFileSync(scratch.at(`repo/src/f${at}`), `old ${at}\n`);
  scratch.must('import', 'repo', '--name', 'many');
  const engine = await StoreEngine.open(scratch.at('.ramet'));
  const work = isHost ? engine.forkHost(scratch.at('repo'), 'work', false) : engine.fork('many', 'work');
  const { fileSystem } = work;
  for (let at = 0; at < files; at++) {
    const file = fileSystem.open(`/src/f${at}`, 1, 0);
    fileSystem.write(file, Buffer.from('new'), 0, 3, 0);
    fileSystem.close(file);
  }
  fileSystem.unlink('/README');
  await engine.close();
  return scratch;
}

async function killCommits(context: TestContext, isHost: boolean): Promise<void> {
  const files = 600;
  const scratch = await withManyChanges(context, files, isHost);
  const textOf = (at: number): string => readFileSync(scratch.at(`repo/src/f${at}`), 'utf8');
  const counts: number[] = [];
  for (let round = 0; round < KILLS; round++) {
    const next = Array.from({ length: files }, (_, at) => at).filter((at) => textOf(at).startsWith('old'));
    // The commit is at work: it has renamed another batch of files, or written files beside their places.
    const isTime =
      round % 2 === 0
        ? () => next.some((at) => textOf(at).startsWith('new'))
        : () => readdirSync(scratch.at('repo/src')).some((name) => name.startsWith('.ramet-commit'));
    await killed(['commit', scratch.at('.ramet'), 'work'], isTime);
    let count = 0;
    for (let at = 0; at < files; at++) {
      assert.match(textOf(at), new RegExp(`^(?:old|new) ${at}\n$`));
      if (textOf(at).startsWith('new')) count++;
    }
    counts.push(count);
  }
  assert.ok(
    counts.some((count) => count > 0 && count < files),
    `some ended half way: ${counts}`,
  );
  scratch.must('commit', 'work');
  for (let at = 0; at < files; at++) assert.equal(textOf(at), `new ${at}\n`);
  assert.deepEqual(readdirSync(scratch.at('repo')), ['src']);
  const left = readdirSync(scratch.at('repo/src')).filter((name) => name.startsWith('.ramet-'));
  assert.deepEqual(left, []);
  assert.doesNotMatch(scratch.must('ls'), /committing/);
  if (isHost) assert.equal(scratch.must('diff', 'work'), '');
  clean(scratch);
}

test('a commit that is killed leaves whole files, and the next one finishes', async (context) => {
  await killCommits(context, false);
});

test('a killed commit of a fork of the directory itself leaves whole files; the next one empties the fork', {
  skip: nativeOnly,
}, async (context) => {
  await killCommits(context, true);
});

test('a merge that is killed leaves the fork as it was, or merged', async (context) => {
  const files = 150;
  const scratch = await withManyChanges(context, files);
  const random = new SeededRandom(2);
  scratch.must('fork', 'many', 'whole');
  let begunMs: number | undefined;
  await killed(['merge', scratch.at('.ramet'), 'work', 'whole'], () => {
    begunMs ??= performance.now();
    return false;
  });
  const mergeMs = performance.now() - (begunMs ?? 0);
  let kills = 0;
  for (let round = 0; round < KILLS; round++) {
    const name = `into-${round}`;
    scratch.must('fork', 'many', name);
    const delayMs = random.below(mergeMs);
    let atMs: number | undefined;
    const isTime = (): boolean => {
      atMs ??= performance.now() + delayMs;
      return performance.now() >= atMs;
    };
    if (await killed(['merge', scratch.at('.ramet'), 'work', name], isTime)) kills++;
    const count = scratch.must('diff', 'many', name).split('\n').length - 1;
    assert.ok(count === 0 || count === files + 1, `${count} changes: none of them or all`);
    scratch.must('merge', 'work', name);
    assert.equal(scratch.must('diff', 'work', name), '');
  }
  assert.doesNotMatch(scratch.must('ls'), /merging/);
  assert.ok(kills > 0, 'some were killed');
  clean(scratch);
});
