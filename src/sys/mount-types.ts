/** What kind of filesystem a path lies on, as the kernel's table of mounts has it: no filesystem is asked itself. */
import { type MountInfo, mountsOf } from './mount-info.ts';

/**
 * The type, for example `ext4` or `fuse.sshfs`, of what is mounted where an absolute path without symlinks lies; a byte
 * string, as the path is. Undefined where that cannot be told.
 */
export function mountTypeAt(path: string): string | undefined {
  let best: MountInfo | undefined;
  for (const mount of mountsOf()) {
    const { directory, isCovered } = mount;
    if (isCovered) continue;
    const isAbove = directory === '/' || path === directory || path.startsWith(`${directory}/`);
    // Of several at one place the last is seen: what was mounted before is below a directory that was covered.
    if (isAbove && (best === undefined || directory.length >= best.directory.length)) best = mount;
  }
  return best?.type;
}
