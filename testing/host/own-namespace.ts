/** For tests: a program in a mount namespace of its own unmounts the copies of others' mounts in it. */
import { spawnSync } from 'node:child_process';

/** Otherwise the mounts of tests that run beside this one would live until this program ends. */
export function leaveMountsOfOthers(): void {
  spawnSync('mount', ['--make-rprivate', '/']);
  // What is not there, or is mounted in another that was taken away already, is not missed.
  spawnSync('umount', ['--all', '--lazy', '--types', 'fuse.ramet,fuse.odd']);
}
