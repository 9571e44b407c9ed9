/** For programs of tests that run in a mount namespace of their own. */
import { spawnSync } from 'node:child_process';

/**
 * Unmounts this namespace's copies of FUSE mounts of other tests, which would otherwise stay alive until this program
 * ends.
 */
export function leaveMountsOfOthers(): void {
  spawnSync('mount', ['--make-rprivate', '/']);
  // Errors do not matter: a mount may be gone already, or may have been inside another.
  spawnSync('umount', ['--all', '--lazy', '--types', 'fuse.ramet,fuse.odd']);
}
