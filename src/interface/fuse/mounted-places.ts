/** What is mounted where, as the kernel tells it, without asking any mount: proc_pid_mountinfo(5). */
import { readFileSync } from 'node:fs';

export interface MountedPlace {
  readonly directory: string;
  readonly isFuse: boolean;
  /** `major:minor`, the kernel's number of what is mounted. */
  readonly device: string;
}

/** proc(5): spaces, tabs, newlines and backslashes are written as a backslash and three octal digits. */
function unescaped(text: string): string {
  const bytes = text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** What is mounted in a process's mount namespace; nothing where that cannot be told. */
export function mountedPlaces(process = 'self'): MountedPlace[] {
  let table: string;
  try {
    table = readFileSync(`/proc/${process}/mountinfo`, 'latin1');
  } catch {
    return [];
  }
  return table
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [before = '', after = ''] = line.split(' - ');
      const [, , device = '', , directory = ''] = before.split(' ');
      return { directory: unescaped(directory), isFuse: /^fuse(?:\.|$| )/.test(after), device };
    });
}

/** The kernel's number of what is mounted at a directory, without looking at the directory. */
export function deviceMountedAt(directory: string): string | undefined {
  return mountedPlaces().findLast((place) => place.directory === directory)?.device;
}
