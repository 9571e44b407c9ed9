/** A store that has filled its disk can be read; dropping a tree and gc give space back. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { rametMain } from '../../testing/command/scratch-command.ts';
import { LEAVE_MOUNTS_OF_OTHERS } from '../../testing/host/own-namespace.ts';
import { swept } from '../../testing/pace/sweep.ts';

const MIB = 1024 * 1024;
const DISK_MIB = 64;

/** Fills the disk with the store's own writes, then the rest with other files. */
const SCRIPT = `
cd "$1"
run() { echo "> $*"; "$NODE" "$RAMET" --store store "$@" 2>&1; echo "= $?"; }
run init >/dev/null
run import "$2" --name base >/dev/null
run fork base try-1 >/dev/null
run fork base try-2 >/dev/null
run cp "$2/more" try-1:/filling
dd if=/dev/zero of=hog bs=64k 2>/dev/null
dd if=/dev/zero of=hog2 bs=512 2>/dev/null
run ls
run cat base:/small
run diff try-1 --stat
run rm try-1:/small
run drop try-1
run gc
rm store/reserve
dd if=/dev/zero of=hog3 bs=4k 2>/dev/null
dd if=/dev/zero of=hog4 bs=512 2>/dev/null
run ls
run cat base:/small
truncate -s -8192 hog3
run cat try-2:/small
rm hog hog2 hog3 hog4
df -k --output=used . | tail -n 1
`;

function whyNoDisk(): false | string {
  const { status } = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt']);
  return status === 0 ? false : 'needs root, to make a small disk';
}

/** `mount` makes the disk at $1; the rest of the script runs there. */
function onFullDisk(context: TestContext, mount: string): string {
  const scratch = mkdtempSync(join(tmpdir(), 'ramet-full-'));
  context.after(() => rmSync(scratch, { recursive: true }));
  const [disk, source] = [join(scratch, 'disk'), join(scratch, 'source')];
  for (const directory of [disk, source]) mkdirSync(directory);
  writeFileSync(join(source, 'small'), 'small\n');
  writeFileSync(join(source, 'more'), randomBytes((DISK_MIB / 2) * MIB));
  const env = { ...process.env, NODE: process.execPath, RAMET: rametMain };
  const script = `${LEAVE_MOUNTS_OF_OTHERS}\nset -e; ${mount}; set +e\n${SCRIPT}`;
  const args = ['--mount', '--propagation', 'private', 'sh', '-uc', script, 'sh', disk, source];
  const { status, stdout, stderr } = spawnSync('unshare', args, { env, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout;
}

const DISKS = {
  tmpfs: `mount -t tmpfs -o size=${DISK_MIB}m none "$1"`,
  ext4: `truncate -s ${DISK_MIB}M "$1.img"; mkfs.ext4 -q "$1.img"; mount -o loop "$1.img" "$1"`,
};

for (const [name, mount] of Object.entries(DISKS).slice(0, swept({ sample: 1, long: 2, all: 2 }))) {
  test(`ls, cat, diff, rm, drop and gc on a full ${name}`, { skip: whyNoDisk() }, (context) => {
    const printed = onFullDisk(context, mount);
    const steps = printed.split(/^> /m).slice(1);
    const codes = steps.map((step) => `${step.split(/\s/)[0]} ${/^= (\d+)$/m.exec(step)?.[1]}`);
    assert.deepEqual(
      codes,
      ['cp 1', 'ls 0', 'cat 0', 'diff 0', 'rm 0', 'drop 0', 'gc 0', 'ls 0', 'cat 0', 'cat 0'],
      printed,
    );
    assert.match(steps[0]!, /ENOSPC: .*`ramet drop` trees that nobody needs, then run `ramet gc`/);
    const usedMib = Number(printed.trim().split('\n').at(-1)) / 1024;
    // The source is stored once.
    assert.ok(usedMib < DISK_MIB / 2 + 8, `${usedMib} MiB are used`);
  });
}
