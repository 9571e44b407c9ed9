/** For programs of tests that run in a mount namespace of their own. */
import { spawnSync } from 'node:child_process';

/** `leaveMountsOfOthers`, for the beginning of a script. A mount may be gone already, or was inside another. */
export const LEAVE_MOUNTS_OF_OTHERS =
  'mount --make-rprivate /; umount --all --lazy --types fuse.ramet,fuse.odd 2>/dev/null || :';

/**
 * Unmounts this namespace's copies of FUSE mounts of other tests, which would otherwise stay alive until this program
 * ends.
 */
export function leaveMountsOfOthers(): void {
  spawnSync('sh', ['-c', LEAVE_MOUNTS_OF_OTHERS]);
}
