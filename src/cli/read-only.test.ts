/** A store on a read-only filesystem, and one that the user may only read: reading works, writing gives EROFS. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { rametMain, ScratchCommand } from '../../testing/command/scratch-command.ts';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { LEAVE_MOUNTS_OF_OTHERS } from '../../testing/host/own-namespace.ts';
import { asPlainUser, whyNoPlainUser } from '../../testing/mount/as-plain-user.ts';
import { swept } from '../../testing/pace/sweep.ts';

const ALL_READING = [
  'ls',
  'cat work:/file',
  'diff work',
  'fsck',
  'du',
  'stat work:/file',
  'ls snap:/',
  'ls --mounts',
];
const ALL_WRITING = [
  'drop work',
  'fork snap new',
  'gc',
  'rm work:/file',
  'snapshot work new',
  'drop snap',
  'dedupe',
];
/** Each is a start of the command: a few of them in `npm test`, all in a sweep. */
const READING = ALL_READING.slice(0, swept({ sample: 3, long: 8, all: 8 }));
const WRITING = ALL_WRITING.slice(0, swept({ sample: 2, long: 7, all: 7 }));

function storeWithTrees(context: TestContext): ScratchCommand {
  const command = new ScratchCommand(context);
  mkdirSync(command.at('tree'));
  writeFileSync(command.at('tree/file'), 'of the snapshot');
  writeFileSync(command.at('changed'), 'of the fork');
  command.must('init');
  command.must('import', command.at('tree'), '--name', 'snap');
  command.must('fork', 'snap', 'work');
  command.must('cp', command.at('changed'), 'work:/file');
  mkdirSync(command.at('readable'));
  mkdirSync(command.at('place'));
  mkdirSync(command.at('runtime'), { mode: 0o700 });
  return command;
}

/** Runs ramet commands on the store, seen at `readable/.ramet`; returns the exit code and output of each. */
function runAll(
  command: ScratchCommand,
  commands: readonly string[],
  run: (script: string) => ReturnType<typeof spawnSync>,
): Map<string, { code: number; out: string }> {
  const lines = commands.map(
    (line) => `echo "> ${line}"; "$NODE" "$RAMET" $OPTIONS ${line} 2>&1; echo "= $?"`,
  );
  const { status, stdout, stderr } = run(lines.join('\n'));
  assert.equal(status, 0, String(stderr));
  const outcomes = new Map<string, { code: number; out: string }>();
  for (const part of String(stdout).split(/^> /m).slice(1)) {
    const [, line = '', out = '', code] = /^(.*)\n([\s\S]*)= (\d+)\n$/.exec(part) ?? assert.fail(part);
    outcomes.set(line, { code: Number(code), out });
  }
  assert.equal(outcomes.size, commands.length, command.directory);
  return outcomes;
}

function check(outcomes: ReadonlyMap<string, { code: number; out: string }>): void {
  for (const line of READING)
    assert.equal(outcomes.get(line)?.code, 0, `${line}: ${outcomes.get(line)?.out}`);
  assert.equal(outcomes.get('cat work:/file')?.out, 'of the fork');
  for (const line of WRITING) {
    const { code, out } = outcomes.get(line)!;
    assert.equal(code, 1, line);
    assert.match(
      out,
      /^ramet: EROFS: .* \(the store is open for reading only, since it cannot be written: E/,
      line,
    );
  }
}

test('a store on a read-only mount can be read, exported and mounted', { skip: mountsOnly }, (context) => {
  const command = storeWithTrees(context);
  const bind = `${LEAVE_MOUNTS_OF_OTHERS}
    mount --bind "$1" "$1/readable" && mount -o remount,bind,ro "$1/readable" || exit 9
    OPTIONS="--store $1/readable/.ramet"`;
  const [exported, place] = [command.at('exported'), command.at('place')];
  const mounted = [
    `mount snap ${place}`,
    `export work ${exported}`,
    `umount ${place}`,
    'run work -- cat file',
  ];
  const outcomes = runAll(command, [...READING, ...WRITING, ...mounted], (script) =>
    spawnSync(
      'unshare',
      ['--mount', '--propagation', 'private', 'sh', '-c', `${bind}\n${script}`, 'sh', command.directory],
      {
        encoding: 'utf8',
        cwd: '/',
        env: {
          ...command.environment(),
          NODE: process.execPath,
          RAMET: rametMain,
          XDG_RUNTIME_DIR: command.at('runtime'),
        },
      },
    ),
  );
  check(outcomes);
  for (const line of mounted)
    assert.equal(outcomes.get(line)?.code, 0, `${line}: ${outcomes.get(line)?.out}`);
  assert.equal(outcomes.get('run work -- cat file')?.out, 'of the fork');
  assert.equal(readFileSync(`${exported}/file`, 'utf8'), 'of the fork');
  assert.deepEqual(readdirSync(command.at('.ramet/run')), [], 'nothing is left in the store');
});

test('a user who may only read a store can use all commands that read', {
  skip: whyNoPlainUser(),
}, (context) => {
  const command = storeWithTrees(context);
  spawnSync('chmod', ['-R', 'o+rX', command.directory]);
  mkdirSync(command.at('devices'));
  const settings = `export NODE="${process.execPath}" RAMET="${rametMain}"
    OPTIONS="--trust-store --store ${command.at('.ramet')}"`;
  const outcomes = runAll(command, [...READING, ...WRITING], (script) =>
    asPlainUser(command.at('devices'), 'sh', '-c', `${settings}\n${script}`),
  );
  check(outcomes);
  assert.ok(!existsSync(command.at('.ramet/run/told-exposed')));
});
