/**
 * Reads extended attributes as another user, and prints them: `list USER PATH`, or `try USER PATHS`. This process
 * becomes that user only after its modules are loaded, because that user may not be able to read them.
 */
import { allocateFixed, check, libc, systemError } from '../host/libc.ts';
import { type StrangersPaths, tryXattrsAsStranger } from '../trees/xattr-table.ts';
import { hostXattrs, type SeenXattrs } from './host-xattrs.ts';

function list(path: string): SeenXattrs {
  const { llistxattr } = libc();
  const lengthBytes = check(llistxattr(path, allocateFixed(1), 0), 'llistxattr');
  const target = allocateFixed(lengthBytes);
  const readBytes = check(llistxattr(path, target, lengthBytes), 'llistxattr');
  const names = target.toString('latin1', 0, readBytes).split('\0').slice(0, -1);
  const isShort = llistxattr(path, allocateFixed(lengthBytes), lengthBytes - 1) < 0;
  return { names, lengthBytes, readBytes, inLess: isShort ? codeOf(systemError('llistxattr')) : 'no error' };
}

function codeOf(error: Error): string {
  return String((error as NodeJS.ErrnoException).code);
}

const [what, user, argument] = process.argv.slice(2) as [string, string, string];
libc();
if (Number(user) !== process.getuid?.()) {
  process.setgroups?.([]);
  process.setgid?.(Number(user));
  process.setuid?.(Number(user));
}
if (what === 'list') {
  process.stdout.write(JSON.stringify(list(argument)));
} else {
  tryXattrsAsStranger(hostXattrs, JSON.parse(argument) as StrangersPaths);
  process.stdout.write('{}');
}
