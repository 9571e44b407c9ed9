/** Attributes that only a filesystem of the host knows, here btrfs: they are left out, and the rest is copied. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { rametMain, ScratchCommand } from '../../testing/command/scratch-command.ts';
import { nativeOnly } from '../../testing/host/native-only.ts';
import { LEAVE_MOUNTS_OF_OTHERS } from '../../testing/host/own-namespace.ts';
import { tarBytes } from '../../testing/trees/tar-bytes.ts';

/** Works in a mount namespace of its own, in which `repo` is a btrfs. $1 node · $2 the program. Prints JSON. */
const SESSION = `
${LEAVE_MOUNTS_OF_OTHERS}
node=$1 main=$2
ramet() { "$node" "$main" --json "$@" | tr -d '\\n'; echo; }
truncate -s 128M image
mkfs.btrfs -q image >&2
mount -o loop image repo
echo content >repo/file
echo content >repo/second
btrfs property set repo/file compression zstd
btrfs property set repo/second compression zstd
ramet init >&2
ramet import repo --name base
ramet fork base copy >&2
ramet cp -p repo/file copy:/copied
ramet stat base:/file
ramet fork ./repo live >&2
ramet stat live:/file
`;

function whyNot(): false | string {
  if (nativeOnly !== false) return nativeOnly;
  if (process.getuid?.() !== 0) return 'needs root, to mount';
  return spawnSync('mkfs.btrfs', ['--version']).status === 0 ? false : 'needs mkfs.btrfs';
}

test('attributes of btrfs are left out by import and cp with a note, and not shown in forks of a directory', {
  skip: whyNot(),
}, (context: TestContext) => {
  const scratch = new ScratchCommand(context);
  mkdirSync(scratch.at('repo'));
  writeFileSync(scratch.at('session'), SESSION);
  const session = ['sh', '-e', scratch.at('session'), process.execPath, rametMain];
  const { status, stdout, stderr } = spawnSync('unshare', ['--mount', '--', ...session], {
    cwd: scratch.directory,
    env: scratch.environment(),
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(status, 0, stderr);
  const [imported, copied, stored, live] = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const message =
    "attribute 'btrfs.compression' left out, here and elsewhere: " +
    'it belongs to the filesystem or system that it comes from';
  assert.deepEqual(imported.notes, [{ kind: 'xattr', path: 'file', message }]);
  assert.deepEqual(copied.attributesLeftOut, ['btrfs.compression']);
  for (const { xattrs } of [stored, live]) assert.deepEqual(xattrs, []);
});

test('cp of an attribute that this user may not set on the host copies all else, and says so', {
  skip: nativeOnly || (process.getuid?.() !== 0 && 'needs root, to be without a capability'),
}, (context: TestContext) => {
  const scratch = new ScratchCommand(context);
  const xattrs = { 'trusted.a': 'a', 'user.b': 'b' };
  writeFileSync(scratch.at('tree.tar'), tarBytes([{ path: 'file', content: 'content', xattrs }]));
  scratch.must('init');
  scratch.must('import', 'tree.tar', '--name', 'base');
  const without = ['--bounding-set=-sys_admin', '--inh-caps=-sys_admin', process.execPath, rametMain];
  const { status, stdout, stderr } = spawnSync('setpriv', [...without, 'cp', '-p', 'base:/file', 'copied'], {
    cwd: scratch.directory,
    env: scratch.environment(),
    encoding: 'utf8',
  });
  assert.deepEqual([status, stderr], [0, '']);
  assert.match(
    stdout,
    /^copied 1 file, 7 B\nnote: attribute 'trusted.a' left out: it cannot be set there\n$/,
  );
  assert.equal(readFileSync(scratch.at('copied'), 'utf8'), 'content');
  scratch.must('fork', 'base', 'fork');
  scratch.must('cp', '-p', 'copied', 'fork:/back');
  const { xattrs: names } = scratch.json('stat', 'fork:/back') as { readonly xattrs: readonly string[] };
  assert.deepEqual(names, ['user.b']);
});
