/** A user without privileges mounts through fusermount3: this runs the whole program, as uid 65534. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { rametMain } from '../command/scratch-command.ts';
import { mountsOnly } from '../host/mounts-only.ts';
import { asPlainUser, UID, whyNoPlainUser } from './as-plain-user.ts';

/** $1: node; $2: the program; $3: a directory. Imports `repo` into a store in this directory. */
const BEGIN = `cd "$3"
ramet() { "$node" "$main" "$@"; }
node=$1 main=$2
ramet init >&2
ramet import repo --name base >&2`;

/** After BEGIN, in a directory that belongs to the user. The test compares the whole output. */
const SESSION = `
${BEGIN}
ramet fork base try-1 >&2
mkdir place
ramet --json mount try-1 place --io shared 2>&1 || true
ramet mount try-1 place >&2
trap 'ramet owner stop >&2' EXIT
echo "mounted $(grep " $3/place fuse" /proc/mounts | grep -o 'user_id=[0-9]*')"
echo "read $(cat place/file)"
echo 'written by the user' > place/new
echo "owner $(stat -c %u place/new) $(stat -c %u place)"
ramet snapshot try-1 done >&2
ramet umount place >&2
echo "left $(grep -c " $3/place " /proc/mounts)"
echo "stored $(ramet cat try-1:/new)"
ramet run try-1 --timeout 1 -- sh -c '(setsid sleep 86399 &); sleep 86399' >&2 || echo "timed out $?"
ramet run try-1 -- id -u
`;

const REFUSED = /EPERM.*--io shared takes root outside of user namespaces.*use --io cached or --io direct/;

test('a plain user mounts, works and unmounts through fusermount3', {
  skip: whyNoPlainUser(),
}, (context: TestContext) => {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-user-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  for (const name of ['devices', 'home', 'home/repo']) mkdirSync(join(directory, name));
  writeFileSync(join(directory, 'home/repo/file'), 'imported\n');
  for (const name of ['home', 'home/repo', 'home/repo/file']) chownSync(join(directory, name), UID, UID);
  const before = statSync('/dev/fuse');
  const { status, stdout, stderr } = asPlainUser(
    join(directory, 'devices'),
    ...['sh', '-ec', SESSION, 'sh', process.execPath, rametMain, join(directory, 'home')],
  );
  assert.equal(status, 0, `${stderr}`);
  const [refused, ...lines] = `${stdout}`.trimEnd().split('\n');
  assert.match(refused!, REFUSED);
  assert.deepEqual(lines, [
    `mounted user_id=${UID}`,
    'read imported',
    `owner ${UID} ${UID}`,
    'left 0',
    'stored written by the user',
    'timed out 124',
    `${UID}`,
  ]);
  const after = statSync('/dev/fuse');
  assert.deepEqual([after.mode, after.rdev, after.ino], [before.mode, before.rdev, before.ino]);
  assert.ok(!readFileSync('/proc/self/mounts', 'utf8').includes(directory), 'nothing is mounted outside');
});

/** Runs a command as root of a user namespace, who has capabilities only there. No helper is needed for mounting. */
function inUserNamespace(...command: readonly string[]): ReturnType<typeof spawnSync> {
  return spawnSync('unshare', ['--user', '--map-root-user', '--mount', '--', ...command], {
    encoding: 'utf8',
    timeout: 120_000,
  });
}

function whyNoUserNamespace(): false | string {
  if (mountsOnly !== false) return mountsOnly;
  const { status, stderr } = inUserNamespace('test', '-w', '/dev/fuse');
  return status === 0 ? false : `no user namespace with a /dev/fuse: ${stderr}`;
}

/** After BEGIN, as root of the namespace. */
const NAMESPACE_SESSION = `
${BEGIN}
trap 'ramet owner stop >&2' EXIT
ramet --json mount base place --io shared 2>&1 || true
grep -c " $3/place " /proc/mounts || true
ramet mount base place >&2
cat place/file
`;

test('root of a user namespace can mount, but is refused what the kernel would not share', {
  skip: whyNoUserNamespace(),
}, (context: TestContext) => {
  const directory = mkdtempSync(join(tmpdir(), 'ramet-user-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  for (const name of ['repo', 'place']) mkdirSync(join(directory, name));
  writeFileSync(join(directory, 'repo/file'), 'imported\n');
  const session = ['sh', '-ec', NAMESPACE_SESSION, 'sh', process.execPath, rametMain, directory];
  const { status, stdout, stderr } = inUserNamespace(...session);
  assert.equal(status, 0, `${stderr}`);
  const [refused, ...lines] = `${stdout}`.trimEnd().split('\n');
  assert.match(refused!, REFUSED);
  assert.deepEqual(lines, ['0', 'imported']);
});
