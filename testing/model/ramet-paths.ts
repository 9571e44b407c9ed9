/** Applies the model's operations on paths to a tree of a store, by calls of its `FileSystem`. */
import { nameFromString, nameToString } from '../../src/base/index.ts';
import type { FileSystem } from '../../src/vfs/index.ts';
import {
  contentOf,
  describeBytes,
  describeStat,
  type HandleFlags,
  type Outcome,
  type PathOperation,
  succeeded,
} from './operation.ts';

export type RametFile = ReturnType<FileSystem['open']>;

/** Flags of open(2) on Linux. */
const O_WRONLY = 0o1;
const O_RDWR = 0o2;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const RENAME_EXCHANGE = 2;
const RENAME_WHITEOUT = 4;
const FILE_MODE = 0o666;

const handleFlags: Readonly<Record<HandleFlags, number>> = {
  r: 0,
  'r+': O_RDWR,
  'w+': O_RDWR | O_CREAT | O_TRUNC,
  'a+': O_RDWR | O_CREAT | O_APPEND,
  'wx+': O_RDWR | O_CREAT | O_TRUNC | O_EXCL,
};

export function flagsOfHandle(flags: HandleFlags): number {
  return handleFlags[flags];
}

export function readBytes(
  fileSystem: FileSystem,
  file: RametFile,
  length: number,
  position: number | null,
): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, fileSystem.read(file, bytes, 0, length, position));
}

function withFile<T>(fileSystem: FileSystem, path: string, flags: number, use: (file: RametFile) => T): T {
  const file = fileSystem.open(path, flags, FILE_MODE);
  try {
    return use(file);
  } finally {
    fileSystem.close(file);
  }
}

/** `source` is the filesystem of the tree from which `clone` takes its file. */
export function applyToRametPath(
  fileSystem: FileSystem,
  operation: PathOperation,
  source: FileSystem,
): Outcome {
  const path = nameFromString(operation.path);
  switch (operation.op) {
    case 'create': {
      const flags = O_WRONLY | O_CREAT | (operation.exclusive ? O_EXCL : 0);
      fileSystem.close(fileSystem.open(path, flags, operation.mode));
      return succeeded();
    }
    case 'mkdir':
      fileSystem.makeDirectory(path, operation.mode);
      return succeeded();
    case 'symlink':
      fileSystem.symlink(nameFromString(operation.target), path);
      return succeeded();
    case 'rmdir':
      fileSystem.removeDirectory(path);
      return succeeded();
    case 'unlink':
      fileSystem.unlink(path);
      return succeeded();
    case 'rename':
      fileSystem.rename(path, nameFromString(operation.to));
      return succeeded();
    case 'exchange':
      fileSystem.rename(path, nameFromString(operation.to), RENAME_EXCHANGE);
      return succeeded();
    case 'whiteout':
      fileSystem.rename(path, nameFromString(operation.to), RENAME_WHITEOUT);
      return succeeded();
    case 'link':
      fileSystem.link(path, nameFromString(operation.to), false);
      return succeeded();
    default:
      return changeContent(fileSystem, path, operation, source);
  }
}

function changeContent(
  fileSystem: FileSystem,
  path: string,
  operation: PathOperation,
  source: FileSystem,
): Outcome {
  switch (operation.op) {
    case 'write':
      return writeContent(fileSystem, path, 0, operation, operation.position);
    case 'append':
      return writeContent(fileSystem, path, O_APPEND, operation, null);
    case 'replace':
      return writeContent(fileSystem, path, O_TRUNC, operation, 0);
    case 'truncate':
      fileSystem.truncate(path, operation.size);
      return succeeded();
    case 'punch':
      return withFile(fileSystem, path, O_RDWR, (file) => {
        fileSystem.punch(file, operation.position, operation.length);
        return succeeded();
      });
    case 'clone':
      return withFile(source, nameFromString(operation.from), 0, (from) => {
        source.read(from, Buffer.alloc(1), 0, 1, 0);
        return withFile(fileSystem, path, O_WRONLY | O_CREAT, (to) => {
          fileSystem.reflink(from, to, source);
          return succeeded();
        });
      });
    case 'cloneRange':
      return withFile(fileSystem, nameFromString(operation.from), 0, (from) => {
        fileSystem.read(from, Buffer.alloc(1), 0, 1, 0);
        const { fromPosition, length, position } = operation;
        return withFile(fileSystem, path, O_RDWR, (to) => {
          fileSystem.reflinkRange(from, fromPosition, length, to, position);
          return succeeded();
        });
      });
    default:
      return lookAt(fileSystem, path, operation);
  }
}

function writeContent(
  fileSystem: FileSystem,
  path: string,
  flags: number,
  content: { readonly length: number; readonly salt: number },
  position: number | null,
): Outcome {
  return withFile(fileSystem, path, O_WRONLY | O_CREAT | flags, (file) => {
    const bytes = contentOf(content.length, content.salt);
    fileSystem.write(file, bytes, 0, bytes.length, position);
    return succeeded();
  });
}

function lookAt(fileSystem: FileSystem, path: string, operation: PathOperation): Outcome {
  switch (operation.op) {
    case 'read':
      return withFile(fileSystem, path, 0, (file) =>
        succeeded(describeBytes(readBytes(fileSystem, file, operation.length, operation.position))),
      );
    case 'readlink':
      return succeeded(nameToString(fileSystem.readLink(path)));
    case 'readdir': {
      const names = fileSystem.readDirectory(path).map(({ name }) => nameToString(name));
      return succeeded(names.sort().join('|'));
    }
    case 'stat':
      return succeeded(describeStat(fileSystem.stat(path, operation.follow)));
    case 'getxattr':
      return succeeded(describeBytes(fileSystem.getXattr(path, operation.name, true)));
    default:
      return changeAttributes(fileSystem, path, operation);
  }
}

function changeAttributes(fileSystem: FileSystem, path: string, operation: PathOperation): Outcome {
  switch (operation.op) {
    case 'chmod':
      fileSystem.chmod(path, operation.mode, true);
      return succeeded();
    case 'chown':
      fileSystem.chown(path, operation.uid, operation.gid, false);
      return succeeded();
    case 'utimes': {
      const time = { seconds: operation.mtimeSeconds, nanoseconds: 0 };
      fileSystem.setTimes(path, time, time, true);
      return succeeded();
    }
    case 'setxattr': {
      const value = contentOf(operation.length, operation.salt);
      fileSystem.setXattr(path, operation.name, value, operation.flags, true);
      return succeeded();
    }
    case 'removexattr':
      fileSystem.removeXattr(path, operation.name, true);
      return succeeded();
    default:
      throw new Error(`the store does not know '${operation.op}'`);
  }
}
