/** For tests, in a mount namespace of its own: commands of `ramet` without /proc. Argument: a directory. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lutimesSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { rametMain } from '../command/scratch-command.ts';
import { leaveMountsOfOthers } from './own-namespace.ts';

const [, , work = ''] = process.argv;
process.chdir(work);
leaveMountsOfOthers();
mkdirSync('tree/sub', { recursive: true });
writeFileSync('tree/sub/file', 'content');
symlinkSync('file', 'tree/sub/link');
lutimesSync('tree/sub/link', 1000, 2000);
execFileSync('mkfifo', ['tree/fifo']);
chmodSync('tree/fifo', 0o640);
for (const path of ['tree', 'tree/sub', 'tree/sub/file'])
  execFileSync('setfattr', ['-n', 'user.of', '-v', path, path]);
execFileSync('setfattr', ['-h', '-n', 'trusted.of', '-v', 'link', 'tree/sub/link']);
writeFileSync('new', 'changed');
execFileSync('umount', ['--lazy', '/proc']);
assert.equal(existsSync('/proc/self'), false);

/** Runs a command that must succeed, and returns what it writes to stderr. */
function ramet(...args: string[]): string {
  const { status, stderr } = spawnSync(process.execPath, [rametMain, ...args], { encoding: 'utf8' });
  assert.equal(status, 0, `${args.join(' ')}: ${stderr}`);
  return stderr;
}

function attributesIn(directory: string): string {
  return execFileSync('getfattr', ['-dhR', '-m', 'user|trusted', '.'], { cwd: directory, encoding: 'utf8' });
}

ramet('init');
ramet('import', 'tree', '--name', 'base');
ramet('fork', 'base', 'fork');
// Extended attributes of a symlink can be written only through /proc: the command notes which are lost.
const lost = ramet('export', 'fork', 'out');
assert.match(lost, /sub\/link.*trusted\.of \(ENOTSUP\)/);
execFileSync('setfattr', ['-h', '-x', 'trusted.of', 'tree/sub/link']);
assert.equal(attributesIn('out'), attributesIn('tree'));
execFileSync('setfattr', ['-h', '-n', 'trusted.of', '-v', 'link', 'tree/sub/link']);
assert.equal(readlinkSync('out/sub/link'), 'file');
assert.equal(execFileSync('stat', ['-c', '%Y', 'out/sub/link'], { encoding: 'utf8' }), '2000\n');
assert.equal(statSync('out/fifo').mode & 0o7777, 0o640);

ramet('cp', 'new', 'fork:/sub/file');
ramet('cp', '-r', 'tree/sub', 'fork:/second');
ramet('commit', 'fork');
assert.equal(readFileSync('tree/sub/file', 'utf8'), 'changed');
assert.equal(readFileSync('tree/second/file', 'utf8'), 'content');
assert.equal(readlinkSync('tree/second/link'), 'file');
assert.ok(attributesIn('tree').includes('trusted.of="link"'), 'an unchanged file keeps its attributes');
