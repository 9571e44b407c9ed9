/** Calls by path, without following a symlink, for which a `System` needs a descriptor. */
import { basename, dirname } from 'node:path';
import { O_DIRECTORY, O_NOFOLLOW, O_PATH, type System } from '../../src/sys/index.ts';

/** Opens a path while `call` runs. */
export function onPath<T>(system: System, path: string, call: (fd: number) => T): T {
  return opened(system, path, O_PATH | O_NOFOLLOW, call);
}

export function writeXattr(system: System, path: string, name: string, value: Uint8Array): void {
  onPath(system, path, (fd) => system.writeFileXattr(fd, name, value));
}

export function makeNode(system: System, path: string, mode: number, rdev: number): void {
  opened(system, dirname(path), O_PATH | O_DIRECTORY, (fd) =>
    system.makeNodeAt(fd, Buffer.from(basename(path)), mode, rdev),
  );
}

function opened<T>(system: System, path: string, flags: number, call: (fd: number) => T): T {
  const fd = system.open(path, flags);
  try {
    return call(fd);
  } finally {
    system.close(fd);
  }
}
