/**
 * Overlays of the kernel that have their upper and work directories, or their lower, in the directory of the case. Each
 * is mounted in a namespace of its own, and ends with the last command that runs in this namespace.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { equalBytes } from '../conformance/expect.ts';
import { allocateFixed, check, libc } from '../host/libc.ts';
import { largeContent, type MountCase, type MountGroup, PAGE } from './mount-case.ts';

const TIMEOUT_MS = 60_000;
const IN_NAMESPACE = ['--mount', '--propagation', 'private', '--', 'sh', '-ec'];
const S_IFCHR = 0o020000;

/** $1 is the working directory. `overlay [OPTIONS]` mounts an overlay of `directory` at `merged`. */
const BEGIN = `
cd "$1"
mkdir -p upper work merged
overlay() { mount -t overlay overlay -o "lowerdir=directory,upperdir=upper,workdir=work\${1:+,$1}" merged; }
options() { grep " $1/merged overlay " /proc/self/mounts | cut -d ' ' -f 4; }
names() { ( cd "$1" && find . -mindepth 1 -printf '%P %y\\n' | LC_ALL=C sort | tr ' ' : | xargs echo ); }
`;

/** Runs lines of shell in the directory, in a mount namespace, and returns the lines that they print. */
function inNamespace(root: string, lines: string): string[] {
  const args = [...IN_NAMESPACE, BEGIN + lines, 'sh', root];
  const printed = execFileSync('unshare', args, { encoding: 'utf8', timeout: TIMEOUT_MS });
  return printed.replace(/\n$/, '').split('\n');
}

/**
 * Whether this machine mounts overlays with upper and work directories in a directory; without one, in a tmpfs. What is
 * made in the directory is removed again.
 */
export function mountsOverlays(directory?: string): boolean {
  if (process.getuid?.() !== 0) return false;
  const script = `
if test -z "$1"; then mount -t tmpfs scratch /tmp; cd /tmp; else cd "$1"; fi
scratch=$(mktemp -d "$PWD/overlay-XXXXXX")
cd "$scratch"
trap 'umount "$scratch/merged"; rm -r "$scratch"' EXIT
mkdir lower upper work merged
mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged`;
  const { status } = spawnSync('unshare', [...IN_NAMESPACE, script, 'sh', directory ?? ''], {
    stdio: 'ignore',
    timeout: TIMEOUT_MS,
  });
  return status === 0;
}

function setAttribute(path: string, name: string, value: Buffer): void {
  check(libc().lsetxattr(path, name, value, value.length, 0), 'setxattr');
}

function attribute(path: string, name: string): string | undefined {
  const target = allocateFixed(256);
  const length = libc().lgetxattr(path, name, target, 256);
  return length < 0 ? undefined : target.toString('latin1', 0, length);
}

/** Adds files to the lower layer. */
function fillLower(root: string): void {
  for (const name of ['gone', 'one', 'kept']) writeFileSync(`${root}/directory/${name}`, `${name}\n`);
  linkSync(`${root}/directory/one`, `${root}/directory/two`);
  mkdirSync(`${root}/directory/tree`);
  writeFileSync(`${root}/directory/tree/a`, 'a\n');
}

const LOWER = ['gone', 'inner', 'kept', 'one', 'shallow', 'tree', 'two'];

const upperCases: readonly MountCase[] = [
  {
    name: 'what is changed in an overlay shows in it, also when it is mounted again, and lies in the upper',
    fill: fillLower,
    run(root) {
      const merged =
        'inner:d inner/deep:f kept:f linked:f moved:d moved/a:f one:f shallow:f three:f tree:d tree/new:f';
      const lines = inNamespace(
        root,
        `
overlay
cd merged
echo more >> shallow
ln shallow linked
rm gone
mv tree moved
mkdir tree
echo new > tree/new
mv two three
names .
cat shallow linked moved/a
cd ..
umount merged
names upper
overlay
names merged
cat merged/linked`,
      );
      assert.deepEqual(lines, [
        merged,
        ...['shallow', 'more', 'shallow', 'more', 'a'],
        'gone:c linked:f moved:d moved/a:f shallow:f three:f tree:d tree/new:f two:c',
        merged,
        ...['shallow', 'more'],
      ]);
      for (const name of ['gone', 'two']) {
        const { mode, rdev } = lstatSync(`${root}/upper/${name}`);
        assert.deepEqual([mode, rdev], [S_IFCHR, 0], name);
      }
      assert.equal(attribute(`${root}/upper/tree`, 'trusted.overlay.opaque'), 'y');
      assert.deepEqual(readdirSync(`${root}/directory`).sort(), LOWER, 'the lower');
      assert.equal(readFileSync(`${root}/directory/shallow`, 'utf8'), 'shallow\n');
    },
  },
  {
    name: 'directories with whiteouts in them are removed, and made again',
    fill: fillLower,
    run(root) {
      const lines = inNamespace(
        root,
        `
overlay
rm merged/tree/a
names upper
rmdir merged/tree
names upper
mkdir merged/tree
echo b > merged/tree/b
rm -r merged/inner merged/tree
names merged
umount merged
names upper`,
      );
      assert.deepEqual(lines, [
        'tree:d tree/a:c',
        'tree:c',
        'gone:f kept:f one:f shallow:f two:f',
        'inner:c tree:c',
      ]);
    },
  },
  {
    name: 'programs run from it, and large files are copied up and written in place',
    fill(root) {
      writeFileSync(`${root}/directory/large`, largeContent);
    },
    run(root) {
      const lines = inNamespace(
        root,
        `
overlay
cp "$(command -v cat)" merged/program
merged/program merged/inner/deep
printf changed | dd of=merged/large bs=1 seek=${5 * PAGE} conv=notrunc status=none
merged/program merged/large | cksum
cksum < upper/large
truncate -s 100G merged/sparse
printf end >> merged/sparse
stat -c %s upper/sparse
sync merged/large`,
      );
      const [deep, shown, stored, size] = lines;
      assert.deepEqual([deep, size], ['deep', String(100 * 2 ** 30 + 3)]);
      assert.equal(shown, stored);
      const expected = Buffer.from(largeContent);
      expected.write('changed', 5 * PAGE);
      equalBytes(readFileSync(`${root}/upper/large`), expected, 'the upper');
      equalBytes(readFileSync(`${root}/directory/large`), largeContent, 'the lower');
    },
  },
];

/** struct vfs_cap_data, version 2: what `setcap cap_setuid=ep` writes. */
const CAP_SETUID = Buffer.from('0100000280000000000000000000000000000000', 'hex');

/** The attributes that an overlay must copy up with a file. */
function attributesOf(path: string): object {
  const { mode, uid, gid, size, mtimeMs } = lstatSync(path);
  const names = ['security.capability', 'user.kept', 'system.posix_acl_access'];
  return { mode, uid, gid, size, mtimeMs, attributes: names.map((name) => attribute(path, name)) };
}

const copyUpCases: readonly MountCase[] = [
  {
    name: 'what is copied up keeps its owner, set-user-ID, set-group-ID, capabilities, attributes and times',
    run(root) {
      const at = (name: string): string => `${root}/directory/${name}`;
      for (const [name, mode] of Object.entries({
        user: 0o4755,
        group: 0o2755,
        both: 0o6711,
        capable: 0o755,
      })) {
        writeFileSync(at(name), name);
        chownSync(at(name), 5, 6);
        chmodSync(at(name), mode);
        setAttribute(at(name), 'user.kept', Buffer.from('kept'));
        utimesSync(at(name), 1_000_000_000, 1_000_000_001.5);
      }
      setAttribute(at('capable'), 'security.capability', CAP_SETUID);
      // Opening for writing makes the overlay copy up the file, and changes no times.
      inNamespace(root, 'overlay; for name in user group both capable; do : >> merged/$name; done');
      for (const name of ['user', 'group', 'both', 'capable'])
        assert.deepEqual(attributesOf(`${root}/upper/${name}`), attributesOf(at(name)), name);
    },
  },
  {
    name: 'chown takes set-user-ID and capabilities in an overlay, as it does elsewhere',
    run(root) {
      chmodSync(`${root}/directory/shallow`, 0o4755);
      setAttribute(`${root}/directory/shallow`, 'security.capability', CAP_SETUID);
      inNamespace(root, 'overlay; chown 7 merged/shallow');
      assert.equal(lstatSync(`${root}/upper/shallow`).mode & 0o7777, 0o755);
      assert.equal(attribute(`${root}/upper/shallow`, 'security.capability'), undefined);
    },
  },
  {
    name: 'what was copied up is found again after the kernel has dropped all names: proc_sys_vm(5)',
    fill: fillLower,
    run(root) {
      const forget = 'echo 2 > /proc/sys/vm/drop_caches';
      const lines = inNamespace(
        root,
        `
overlay
for name in shallow inner/deep one; do echo more >> merged/$name; done
rm merged/gone
${forget}
for again in 1 2; do cat merged/shallow merged/inner/deep merged/two; done
ls merged | xargs echo
echo still >> merged/shallow
${forget}
stat -c %h merged/one
cat merged/shallow
${forget}
mv merged/inner/deep merged/moved
cat merged/moved`,
      );
      const once = ['shallow', 'more', 'deep', 'more', 'one'];
      assert.deepEqual(lines, [
        ...[...once, ...once],
        'inner kept one shallow tree two',
        '1',
        ...['shallow', 'more', 'still'],
        ...['deep', 'more'],
      ]);
    },
  },
];

const optionCases: readonly MountCase[] = [
  {
    name: 'index and nfs_export, which take file handles: two links of a file stay one',
    fill: fillLower,
    run(root) {
      const [options, first, second, index] = inNamespace(
        root,
        `
overlay index=on,nfs_export=on
options "$PWD"
echo more >> merged/one
echo 2 > /proc/sys/vm/drop_caches
cat merged/one > /dev/null
stat -c '%i %h %s' merged/one merged/two
ls work/index | wc -l`,
      );
      assert.match(options!, /index=on.*nfs_export=on/);
      assert.match(first!, / 2 9$/);
      assert.equal(second, first);
      assert.ok(Number(index) >= 1);
    },
  },
  {
    name: 'redirect_dir and metacopy, which take attributes: renaming a directory and setting a mode copies nothing',
    fill: fillLower,
    run(root) {
      const [options, ...lines] = inNamespace(
        root,
        `
overlay redirect_dir=on,metacopy=on
options "$PWD"
mv merged/inner merged/renamed
chmod 600 merged/kept
cat merged/renamed/deep merged/kept
umount merged
overlay redirect_dir=on,metacopy=on
cat merged/renamed/deep merged/kept
names upper`,
      );
      assert.match(options!, /redirect_dir=on.*metacopy=on/);
      assert.deepEqual(lines, ['deep', 'kept', 'deep', 'kept', 'inner:c kept:f renamed:d']);
      assert.equal(attribute(`${root}/upper/renamed`, 'trusted.overlay.redirect'), 'inner');
      assert.notEqual(attribute(`${root}/upper/kept`, 'trusted.overlay.metacopy'), undefined);
      assert.equal(lstatSync(`${root}/upper/kept`).mode & 0o777, 0o600);
    },
  },
  {
    name: 'userxattr and volatile',
    fill: fillLower,
    run(root) {
      const lines = inNamespace(
        root,
        `
overlay userxattr,volatile
rm -r merged/tree
mkdir merged/tree
names merged/tree
umount merged
test -d work/work/incompat/volatile && rm -r work
mkdir work
overlay userxattr
names merged/tree`,
      );
      assert.deepEqual(lines, ['', '']);
      assert.equal(attribute(`${root}/upper/tree`, 'user.overlay.opaque'), 'y');
    },
  },
];

const lowerCases: readonly MountCase[] = [
  {
    name: 'two directories of it are the lowers of an overlay whose upper is elsewhere',
    fill: fillLower,
    run(root) {
      const lines = inNamespace(
        root,
        `
mkdir -p above/tree
mknod above/gone c 0 0
echo b > above/tree/b
mount -t tmpfs scratch merged
mkdir merged/upper merged/work merged/merged
mount -t overlay overlay -o lowerdir=above:directory,upperdir=merged/upper,workdir=merged/work merged/merged
cd merged/merged
names .
echo more >> tree/a
cat tree/a tree/b
rm kept
mv tree/b .
names ../upper`,
      );
      assert.deepEqual(lines, [
        'inner:d inner/deep:f kept:f one:f shallow:f tree:d tree/a:f tree/b:f two:f',
        ...['a', 'more', 'b'],
        'b:f kept:c tree:d tree/a:f tree/b:c',
      ]);
      assert.deepEqual(readdirSync(`${root}/directory`).sort(), LOWER);
    },
  },
];

export const overlaysGroup: MountGroup = {
  name: 'overlays',
  cases: [...upperCases, ...copyUpCases, ...optionCases, ...lowerCases].map((one) => ({
    ...one,
    needs: ['overlays'],
  })),
};
