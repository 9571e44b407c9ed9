/**
 * Compares whole trees, for tests of import and export: everything that should survive both, and nothing that cannot
 * (inode numbers, change times). It uses none of the code under test: it walks by node:fs and by calls of `FileSystem`,
 * and reads bytes, not extents.
 */
import { createHash } from 'node:crypto';
import {
  type BigIntStats,
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
} from 'node:fs';
import type { System } from '../../src/sys/index.ts';
import type { FileSystem } from '../../src/vfs/index.ts';

/** One entry of a tree, in a form that deepEqual can compare. */
export interface EntryDescription {
  readonly mode: string;
  readonly uid: number;
  readonly gid: number;
  /** Seconds and nanoseconds. */
  readonly mtime: string;
  readonly size: number;
  readonly rdev: number;
  /** SHA-256 of a file's bytes, a symlink's target, '' for others. */
  readonly content: string;
  /** Where a file has data: ranges `start-end` of blocks of 4,096 bytes, separated by spaces. */
  readonly data: string;
  /** The first path of the same inode, in byte order; the entry's own path unless it is a further hard link. */
  readonly inode: string;
  readonly nlink: number;
  /** `name=hex`, sorted. */
  readonly xattrs: readonly string[];
}

/** By path under the root, a byte string; '' is the root. */
export type TreeDescription = Map<string, EntryDescription>;

export interface DescribeOptions {
  /** Compares holes too. Not for a tar, which has none. */
  readonly holes?: boolean;
}

const BLOCK = 4096;
const TYPE_MASK = 0o170000;
const TYPE_FILE = 0o100000;
const TYPE_DIRECTORY = 0o040000;
const TYPE_SYMLINK = 0o120000;

/** Describes a host directory and everything in it. `system` is used only for holes and extended attributes. */
export function describeHostTree(
  system: System,
  root: string,
  options: DescribeOptions = {},
): TreeDescription {
  const tree: TreeDescription = new Map();
  const inodes = new Map<string, string>();
  const visit = (path: string): void => {
    const bytes = Buffer.concat([Buffer.from(root), Buffer.from(path === '' ? '' : `/${path}`, 'latin1')]);
    const stat = lstatSync(bytes, { bigint: true });
    const key = `${stat.dev}:${stat.ino}`;
    if (!inodes.has(key)) inodes.set(key, path);
    const type = Number(stat.mode) & TYPE_MASK;
    let content = '';
    let data = '';
    if (type === TYPE_SYMLINK) content = readlinkSync(bytes, 'buffer').toString('latin1');
    if (type === TYPE_FILE) {
      content = createHash('sha256').update(readFileSync(bytes)).digest('hex');
      if (options.holes === true) data = hostData(system, bytes, Number(stat.size));
    }
    const xattrs = [...system.readHostXattrs(bytes)].map(
      ([name, value]) => `${name}=${value.toString('hex')}`,
    );
    tree.set(path, { ...common(stat), content, data, inode: inodes.get(key)!, xattrs: xattrs.sort() });
    if (type !== TYPE_DIRECTORY) return;
    const names = readdirSync(bytes, { encoding: 'buffer' }).map((name) => name.toString('latin1'));
    for (const name of names.sort(byteOrder)) visit(path === '' ? name : `${path}/${name}`);
  };
  visit('');
  return tree;
}

function common(
  stat: BigIntStats,
): Pick<EntryDescription, 'mode' | 'uid' | 'gid' | 'mtime' | 'size' | 'rdev' | 'nlink'> {
  const mode = Number(stat.mode);
  const isDirectory = (mode & TYPE_MASK) === TYPE_DIRECTORY;
  return {
    mode: mode.toString(8),
    uid: Number(stat.uid),
    gid: Number(stat.gid),
    mtime: nanosecondsText(stat.mtimeNs),
    // The size of a directory depends on the host's filesystem.
    size: isDirectory ? 0 : Number(stat.size),
    rdev: Number(stat.rdev),
    nlink: isDirectory ? 0 : Number(stat.nlink),
  };
}

function nanosecondsText(nanoseconds: bigint): string {
  const billion = 1_000_000_000n;
  const rest = ((nanoseconds % billion) + billion) % billion;
  return `${(nanoseconds - rest) / billion}.${rest.toString().padStart(9, '0')}`;
}

function hostData(system: System, path: Buffer, size: number): string {
  const fd = openSync(path, constants.O_RDONLY);
  try {
    return dataText(
      size,
      (position) => system.seekData(fd, position),
      (position) => system.seekHole(fd, position),
    );
  } finally {
    closeSync(fd);
  }
}

type Seek = (position: number) => number | undefined;

function dataText(size: number, seekData: Seek, seekHole: Seek): string {
  const blocks = new Set<number>();
  for (let position = 0; position < size; ) {
    const start = seekData(position);
    if (start === undefined) break;
    const end = Math.min(size, seekHole(start) ?? size);
    for (let block = Math.floor(start / BLOCK); block * BLOCK < end; block++) blocks.add(block);
    position = Math.max(end, start + 1);
  }
  const parts: string[] = [];
  for (const block of [...blocks].sort((a, b) => a - b)) {
    const last = parts.at(-1)?.split('-');
    if (last !== undefined && Number(last[1]) === block) parts[parts.length - 1] = `${last[0]}-${block + 1}`;
    else parts.push(`${block}-${block + 1}`);
  }
  return parts.join(' ');
}

function byteOrder(a: string, b: string): number {
  return a < b ? -1 : 1;
}

/** Describes an open tree of a store. */
export function describeFileSystem(fileSystem: FileSystem, options: DescribeOptions = {}): TreeDescription {
  const tree: TreeDescription = new Map();
  const inodes = new Map<number, string>();
  const visit = (path: string): void => {
    const absolute = `/${path}`;
    const stat = fileSystem.stat(absolute, false);
    if (!inodes.has(stat.ino)) inodes.set(stat.ino, path);
    const type = stat.mode & TYPE_MASK;
    let content = '';
    let data = '';
    if (type === TYPE_SYMLINK) content = fileSystem.readLink(absolute);
    if (type === TYPE_FILE)
      [content, data] = fileContent(fileSystem, absolute, stat.size, options.holes === true);
    const xattrs = fileSystem
      .listXattrs(absolute, false)
      .map((name) => `${name}=${fileSystem.getXattr(absolute, name, false).toString('hex')}`);
    const isDirectory = type === TYPE_DIRECTORY;
    tree.set(path, {
      mode: stat.mode.toString(8),
      uid: stat.uid,
      gid: stat.gid,
      mtime: `${stat.mtimeSeconds}.${String(stat.mtimeNanoseconds).padStart(9, '0')}`,
      size: isDirectory ? 0 : stat.size,
      rdev: stat.rdev,
      nlink: isDirectory ? 0 : stat.nlink,
      content,
      data,
      inode: inodes.get(stat.ino)!,
      xattrs: xattrs.sort(),
    });
    if (!isDirectory) return;
    const names = fileSystem.readDirectoryNames(absolute).sort(byteOrder);
    for (const name of names) visit(path === '' ? name : `${path}/${name}`);
  };
  visit('');
  return tree;
}

function fileContent(
  fileSystem: FileSystem,
  path: string,
  size: number,
  withHoles: boolean,
): [string, string] {
  const file = fileSystem.open(path, constants.O_RDONLY, 0);
  try {
    const bytes = Buffer.alloc(size);
    let done = 0;
    while (done < size) {
      const count = fileSystem.read(file, bytes, done, size - done, done);
      if (count === 0) break;
      done += count;
    }
    const orNone =
      (seek: (position: number) => number): Seek =>
      (position) => {
        try {
          return seek(position);
        } catch {
          return undefined;
        }
      };
    const data = withHoles
      ? dataText(
          size,
          orNone((position) => fileSystem.seekData(file, position)),
          orNone((position) => fileSystem.seekHole(file, position)),
        )
      : '';
    return [createHash('sha256').update(bytes).digest('hex'), data];
  } finally {
    fileSystem.close(file);
  }
}

/** Every difference in words, in path order; empty when the trees are equal. */
export function compareTrees(expected: TreeDescription, actual: TreeDescription): string[] {
  const differences: string[] = [];
  const paths = [...new Set([...expected.keys(), ...actual.keys()])].sort(byteOrder);
  for (const path of paths) {
    const wanted = expected.get(path);
    const found = actual.get(path);
    if (wanted === undefined) differences.push(`${path}: should not be there`);
    else if (found === undefined) differences.push(`${path}: is missing`);
    else {
      for (const key of Object.keys(wanted) as (keyof EntryDescription)[]) {
        const [left, right] = [String(wanted[key]), String(found[key])];
        if (left !== right) differences.push(`${path}: ${key} is ${right}, should be ${left}`);
      }
    }
  }
  return differences;
}
