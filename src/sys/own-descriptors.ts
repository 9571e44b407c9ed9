/**
 * A table of descriptors for a thread alone. A thread in a call that never returns outlives its killed process, and
 * what it shares with it stays open: the devices of mounts, whose programs would wait for ever, locks and connections.
 */
import { closeSync, readdirSync, readlinkSync } from 'node:fs';
import type { FsError } from '../base/index.ts';
import { errnoFailure } from './errno.ts';
import type { Libc } from './libc.ts';

/** unshare(2). */
const CLONE_FILES = 0x400;
const DESCRIPTORS = '/proc/thread-self/fd';
const STDERR = 2;

/**
 * From here on this thread has a descriptor table of its own. Of the old descriptors it keeps only those that its event
 * loop waits with, through which others wake it. It must not start a thread: nobody could wake it. Returns the failure
 * where this is not allowed.
 */
export function takeOwnDescriptors(libc: Libc): FsError | undefined {
  if (libc.unshare(CLONE_FILES) !== 0) return errnoFailure(libc.errno(), 'unshare');
  for (const name of readdirSync(DESCRIPTORS)) {
    const fd = Number(name);
    if (fd > STDERR && !targetOf(name).startsWith('anon_inode:')) closeQuietly(fd);
  }
  return undefined;
}

function targetOf(name: string): string {
  try {
    return readlinkSync(`${DESCRIPTORS}/${name}`);
  } catch {
    return '';
  }
}

/** The one that the names were read with is closed already. */
function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBADF') throw error;
  }
}
