/**
 * Unmounts the mount that the caller means and nothing else, even if other processes rename directories of its path
 * meanwhile, or put symlinks in their place.
 */
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
 * umount2(2) at an absolute path without symlinks. `isMeant` gets a link in /proc to the directory that is there now;
 * if it returns false, nothing is unmounted. EINVAL (`isMeant` returned false, or nothing is mounted there), ENOENT,
 * ENOTDIR, EBUSY, EPERM.
 *
 * A lazy unmount detaches exactly the mount that `isMeant` saw, by its open descriptor. A plain unmount cannot do so,
 * because an open mount is busy. So it closes that descriptor first, and unmounts by name in the open parent directory.
 * This is safe, because nobody can rename a mount point in its own mount namespace.
 */
export function unmountAt(
  kernel: Kernel,
  directory: string,
  isLazy: boolean,
  isMeant: (link: string) => boolean,
): void {
  // Without /proc there is no link for `isMeant`, so the mount is not checked.
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
