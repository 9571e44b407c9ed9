/**
 * If FUSE cannot be used, every way to mount says the same. Each case has a mount namespace of its own, in
 * which /dev is another directory: the host's device stays as it is.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { describe, type TestContext, test } from 'node:test';
import { type Outcome, rametMain, ScratchCommand } from '../../testing/command/scratch-command.ts';
import { mountsOnly } from '../../testing/host/mounts-only.ts';
import { LEAVE_MOUNTS_OF_OTHERS } from '../../testing/host/own-namespace.ts';
import { Store } from '../library/index.ts';

/** $1 is the directory for a new /dev, $2 the shell command that makes its `fuse`; the rest is the command to run. */
const WITH_OTHER_DEVICES = `
${LEAVE_MOUNTS_OF_OTHERS}
devices=$1; make=$2; shift 2
mount -t tmpfs -o mode=755 devices "$devices"
for name in null zero full random urandom tty; do cp -a "/dev/$name" "$devices/$name"; done
cd "$devices"; eval "$make"; cd "$OLDPWD"
mount --rbind "$devices" /dev
exec "$@"
`;

async function withFork(context: TestContext): Promise<ScratchCommand> {
  const scratch = new ScratchCommand(context);
  for (const name of ['repo', 'place', 'devices']) mkdirSync(scratch.at(name));
  writeFileSync(scratch.at('repo/file'), 'as imported\n');
  const store = await Store.open(scratch.at('.ramet'));
  const base = await store.import(scratch.at('repo'), { name: 'base' });
  await base.fork('try-1');
  await store.close();
  return scratch;
}

function runWithDevices(scratch: ScratchCommand, make: string, ...command: string[]): Outcome {
  const shell = ['sh', '-ec', WITH_OTHER_DEVICES, 'sh', scratch.at('devices'), make, process.execPath];
  const { status, stdout, stderr } = spawnSync('unshare', ['--mount', '--', ...shell, ...command], {
    cwd: scratch.directory,
    env: scratch.environment(),
    encoding: 'utf8',
    timeout: 60_000,
  });
  return { code: status, out: stdout, err: stderr };
}

const library = new URL('../index.js', import.meta.url).href;

/** Mounts through the library, prints the error, and shows that the process can use the fork again. */
const MOUNT_IN_LIBRARY = `
const { Store } = await import(${JSON.stringify(library)});
const store = await Store.open('.ramet');
const fork = await store.fork('try-1');
const { code, message } = await fork.mount('place').then(() => ({}), (error) => error);
fork.fs.writeFileSync('/made', 'in the fork');
console.log(JSON.stringify({ code, message }));
await store.close();
`;

/** How each `/dev/fuse` is made, and the error that it gives. */
const CASES = {
  'that is not there': {
    make: 'true',
    code: 'ENODEV',
    note: 'there is no /dev/fuse: load the module fuse, or give the container that device',
  },
  'that is another device': {
    make: 'cp -a /dev/null fuse',
    code: 'ENODEV',
    note: '/dev/fuse is not the FUSE device: give the container that device (character device 10:229)',
  },
  'that no driver answers to': {
    make: 'mknod fuse c 10 254',
    code: 'ENODEV',
    note: '/dev/fuse is not the FUSE device: give the container that device (character device 10:229)',
  },
  'that is a file': {
    make: ': >fuse',
    code: 'ENODEV',
    note: '/dev/fuse is not the FUSE device: give the container that device (character device 10:229)',
  },
  'that is a directory': {
    make: 'mkdir fuse',
    code: 'ENODEV',
    note: '/dev/fuse is not the FUSE device: give the container that device (character device 10:229)',
  },
  'that may not be opened': {
    make: 'mkdir of; mount -t tmpfs -o nodev of of; mknod of/fuse c 10 229; : >fuse; mount --bind of/fuse fuse',
    code: 'EACCES',
    note: '/dev/fuse may not be opened: give the container that device, with read and write',
  },
} as const;

describe('mount, run and fork.mount with a /dev/fuse', { skip: mountsOnly }, () => {
  for (const [title, { make, code, note }] of Object.entries(CASES)) {
    test(title, async (context) => {
      const scratch = await withFork(context);
      const mounting = runWithDevices(scratch, make, rametMain, 'mount', 'try-1', 'place');
      const placed = `'try-1' cannot be mounted at ${scratch.at('place')}`;
      assert.deepEqual(mounting, { code: 1, out: '', err: `ramet: ${placed}, ${note}\n` });
      const running = runWithDevices(scratch, make, rametMain, 'run', 'try-1', '--', 'true');
      const held = `'try-1' cannot be mounted at ${scratch.at('.ramet/run/mounts/try-1')}`;
      assert.deepEqual(running, { code: 1, out: '', err: `ramet: ${held}, ${note}\n` });
      const script = ['--input-type=module', '--eval', MOUNT_IN_LIBRARY];
      const { out, err } = runWithDevices(scratch, make, ...script);
      assert.equal(err, '');
      const thrown: { readonly code: string; readonly message: string } = JSON.parse(out);
      assert.equal(thrown.code, code);
      assert.ok(thrown.message.endsWith(`, mount 'try-1' -> '${scratch.at('place')}' (${note})`), out);
    });
  }
});
