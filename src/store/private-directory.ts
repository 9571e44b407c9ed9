/**
 * A temporary directory of this process, in a place where others may write too. The process holds a lock on it; a
 * directory of this user that nobody has locked was left by a process that was killed, and is removed. All of that
 * goes by descriptor and through no symlink, since others can make names of this form.
 */
import { isFsError, isMissing } from '../base/index.ts';
import { O_DIRECTORY, O_RDONLY, type System } from '../sys/index.ts';

const NAME = /^ramet-read-\d+-\d+$/;
const OTHERS = 0o077;

let made = 0;

export class PrivateDirectory {
  readonly path: string;
  private readonly system: System;
  private readonly place: string;
  private readonly name: string;
  private readonly fd: number;

  private constructor(system: System, place: string, name: string, fd: number) {
    this.path = `${place}/${name}`;
    this.system = system;
    this.place = place;
    this.name = name;
    this.fd = fd;
  }

  /** Makes a directory in `place`; undefined if it cannot. Removes what killed processes have left there. */
  static make(system: System, place: string): PrivateDirectory | undefined {
    try {
      removeStale(system, place);
      for (;;) {
        const name = `ramet-read-${process.pid}-${made++}`;
        try {
          system.makeDirectory(`${place}/${name}`);
        } catch (error) {
          // A process of another PID namespace may have the same number.
          if (isFsError(error, 'EEXIST')) continue;
          throw error;
        }
        const directory = PrivateDirectory.locked(system, place, name);
        if (directory !== undefined) return directory;
      }
    } catch (error) {
      if (isFsError(error)) return undefined;
      throw error;
    }
  }

  /** Undefined if another process took the directory for a stale one before it was locked. */
  private static locked(system: System, place: string, name: string): PrivateDirectory | undefined {
    let fd: number;
    try {
      fd = openDirectory(system, `${place}/${name}`);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    const isLocked = system.kind !== 'native' || system.tryLock(fd);
    if (isLocked && system.statFile(fd).nlink > 0) return new PrivateDirectory(system, place, name, fd);
    system.close(fd);
    return undefined;
  }

  /** Removes the directory with its files and those of its own directories. */
  remove(): void {
    try {
      removeDirectory(this.system, this.place, this.name, this.fd);
    } catch (error) {
      if (!isFsError(error)) throw error;
    } finally {
      this.system.close(this.fd);
    }
  }
}

function openDirectory(system: System, path: string): number {
  return system.openHost(Buffer.from(path), O_RDONLY | O_DIRECTORY);
}

function removeStale(system: System, place: string): void {
  // Where the host has no locks, nothing tells whether its process lives.
  if (system.kind !== 'native') return;
  for (const { name } of system.readHostDirectory(Buffer.from(place))) {
    if (!NAME.test(name)) continue;
    try {
      const fd = openDirectory(system, `${place}/${name}`);
      try {
        const { uid, mode } = system.statFile(fd);
        const isOurs = uid === process.geteuid?.() && (mode & OTHERS) === 0;
        if (isOurs && system.tryLock(fd)) removeDirectory(system, place, name, fd);
      } finally {
        system.close(fd);
      }
    } catch (error) {
      // It is another user's, a symlink, or gone meanwhile.
      if (!isFsError(error)) throw error;
    }
  }
}

/** `fd` is the open directory. */
function removeDirectory(system: System, place: string, name: string, fd: number): void {
  for (const part of system.readDirectory(fd)) {
    const partName = Buffer.from(part.name, 'latin1');
    const partFd = system.openAt(fd, partName, O_RDONLY | O_DIRECTORY);
    try {
      for (const file of system.readDirectory(partFd))
        system.unlinkAt(partFd, Buffer.from(file.name, 'latin1'));
    } finally {
      system.close(partFd);
    }
    system.removeDirectoryAt(fd, partName);
  }
  const parent = openDirectory(system, place);
  try {
    system.removeDirectoryAt(parent, Buffer.from(name));
  } finally {
    system.close(parent);
  }
}
