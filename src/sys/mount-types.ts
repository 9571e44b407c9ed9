/** What kind of filesystem a path lies on, as the kernel's table of mounts has it: no filesystem is asked itself. */
import { readFileSync } from 'node:fs';

/** proc(5): spaces, tabs, newlines and backslashes are written as a backslash and three octal digits. */
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/**
 * The type, for example `ext4` or `fuse.sshfs`, of what is mounted where an absolute path without symlinks lies; a byte
 * string, as the path is. Undefined where that cannot be told. Source: proc_pid_mountinfo(5).
 */
export function mountTypeAt(path: string): string | undefined {
  let table: string;
  try {
    table = readFileSync('/proc/self/mountinfo', 'latin1');
  } catch {
    return undefined;
  }
  let best: { readonly length: number; readonly type: string } | undefined;
  for (const line of table.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const directory = unescaped(before.split(' ')[4] ?? '');
    const isAbove = directory === '/' || path === directory || path.startsWith(`${directory}/`);
    if (directory === '' || !isAbove || (best !== undefined && directory.length < best.length)) continue;
    // Of several at one place the last is on top.
    best = { length: directory.length, type: after.split(' ')[0] ?? '' };
  }
  return best?.type;
}
