/**
 * Runs programs as a user without privileges who may mount. The programs get a mount namespace of their own, in which
 * everybody may open /dev/fuse; the host's /dev/fuse stays as it is.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rametMain } from '../command/scratch-command.ts';
import { mountsOnly } from '../host/mounts-only.ts';
import { LEAVE_MOUNTS_OF_OTHERS } from '../host/own-namespace.ts';

export const UID = 65_534;

/** Runs as root in the namespace. $1 is an empty directory, the other arguments are the command. */
const AS_PLAIN_USER = `
${LEAVE_MOUNTS_OF_OTHERS}
mount -t tmpfs -o mode=755 devices "$1" && mknod -m 666 "$1/fuse" c 10 229 || exit
mount --bind "$1/fuse" /dev/fuse || exit
shift
exec setpriv --reuid ${UID} --regid ${UID} --clear-groups -- "$@"
`;

export function asPlainUser(devices: string, ...command: readonly string[]): ReturnType<typeof spawnSync> {
  const args = ['--mount', '--propagation', 'private', '--', 'sh', '-ec', AS_PLAIN_USER, 'sh', devices];
  return spawnSync('unshare', [...args, ...command], { encoding: 'utf8', cwd: '/', timeout: 120_000 });
}

function fusermount(): string {
  return spawnSync('sh', ['-c', 'command -v fusermount3'], { encoding: 'utf8' }).stdout.trim();
}

/** Why a user without privileges cannot mount here; false if such a user can. */
export function whyNoPlainUser(): false | string {
  if (mountsOnly !== false) return mountsOnly;
  const program = fusermount();
  if (program === '') return 'needs fusermount3, of the package fuse3';
  if ((statSync(program).mode & 0o4000) === 0)
    return `${program} is not set-user-ID: it cannot mount for users`;
  const devices = mkdtempSync(join(tmpdir(), 'ramet-devices-'));
  try {
    const { status, stderr } = asPlainUser(devices, 'test', '-w', '/dev/fuse', '-a', '-r', rametMain);
    return status === 0
      ? false
      : `no namespace with a /dev/fuse for users, or no way to this program: ${stderr}`;
  } finally {
    rmSync(devices, { recursive: true });
  }
}
