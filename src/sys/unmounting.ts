/** Unmounts what is meant and nothing else: others may rename directories on the way, and put symlinks there. */
import { closeSync, existsSync } from 'node:fs';
import path from 'node:path';
import { FsError } from '../base/index.ts';
import { type Kernel, MNT_DETACH, UMOUNT_NOFOLLOW } from './kernel.ts';
import { fileLink, openAt } from './name-calls.ts';
import { O_DIRECTORY, O_NOFOLLOW, O_PATH } from './open-flags.ts';

function withOpen<T>(place: string, flags: number, use: (link: string) => T): T {
  const fd = openAt(place, O_PATH | O_DIRECTORY | flags);
  try {
    return use(fileLink(fd));
  } finally {
    closeSync(fd);
  }
}

/**
 * umount2(2) at an absolute path without symlinks. `isMeant` gets a link in /proc to what is there: where it is not
 * what is meant, nothing is done. EINVAL (not meant, or not mounted), ENOENT, ENOTDIR, EBUSY, EPERM.
 *
 * A lazy unmount takes exactly what was looked at. Another one goes by its name in an open directory, since an open
 * mount is busy; nobody can rename a mount point in its own mount namespace.
 */
export function unmountAt(
  kernel: Kernel,
  directory: string,
  isLazy: boolean,
  isMeant: (link: string) => boolean,
): void {
  // Without /proc there is no way to look at what is there without touching it.
  if (!existsSync('/proc/thread-self/fd')) {
    kernel.unmount(directory, UMOUNT_NOFOLLOW | (isLazy ? MNT_DETACH : 0));
    return;
  }
  withOpen(path.dirname(directory), 0, (above) => {
    const place = `${above}/${path.basename(directory)}`;
    withOpen(place, O_NOFOLLOW, (link) => {
      if (!isMeant(link)) {
        const note = 'something else came to its place meanwhile';
        throw new FsError('EINVAL', { syscall: 'umount', path: directory, note });
      }
      if (isLazy) kernel.unmount(link, MNT_DETACH);
    });
    if (!isLazy) kernel.unmount(place, UMOUNT_NOFOLLOW);
  });
}
