/** Measures disk and memory of the host: allocated bytes, `Cached`, resident pages. Evicts files from memory. */
import { lstatSync, readdirSync, readFileSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { BLOCK_SIZE, SECTOR_BYTES } from '../base/index.ts';
import { O_RDONLY, type System } from '../sys/index.ts';

/** Stands for a figure that could not be measured. */
export interface Absent {
  readonly absentBecause: string;
}

export function isAbsent(value: unknown): value is Absent {
  return typeof value === 'object' && value !== null && 'absentBecause' in value;
}

/** How many bytes of a file to map for one mincore(2). */
const RESIDENCY_BYTES = 256 * 1024 * 1024;

/** Paths of all regular files under a directory, in no order. Does not follow symlinks. */
export function filesUnder(directory: string): string[] {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

/** Bytes on the disk of everything under a directory, including directories. Counts a file with several links once. */
export function diskBytes(directory: string): number {
  const seen = new Set<string>();
  let bytes = 0;
  for (const name of ['', ...readdirSync(directory, { recursive: true, encoding: 'utf8' })]) {
    const stat = lstatSync(path.join(directory, name));
    const identity = `${stat.dev}:${stat.ino}`;
    if (seen.has(identity)) continue;
    seen.add(identity);
    bytes += stat.blocks * SECTOR_BYTES;
  }
  return bytes;
}

/** Size of the page cache of the whole machine: `Cached` in /proc/meminfo, proc_meminfo(5). */
export function cachedBytes(): number | Absent {
  let text: string;
  try {
    text = readFileSync('/proc/meminfo', 'utf8');
  } catch {
    return { absentBecause: 'this system has no /proc/meminfo' };
  }
  const kibibytes = /^Cached:\s+(\d+) kB$/m.exec(text)?.[1];
  return kibibytes === undefined
    ? { absentBecause: '/proc/meminfo has no Cached' }
    : Number(kibibytes) * 1024;
}

/**
 * Growth between two values of `cachedBytes`. Absent if the system could not evict files before the first value was
 * taken.
 */
export function cachedGrowth(
  system: System,
  before: number | Absent,
  after: number | Absent,
): number | Absent {
  if (system.kind === 'buffered')
    return { absentBecause: 'without libc pages cannot be dropped from memory first' };
  if (isAbsent(before)) return before;
  return isAbsent(after) ? after : after - before;
}

/** f_type of filesystems without a disk: tmpfs, ramfs; statfs(2). Their pages cannot be dropped. */
const IN_MEMORY = new Set([0x01021994, 0x858458f6]);

/** The system's directory for temporary files, or the current directory if the system's is only in memory. */
export function directoryOnDisk(): string {
  return IN_MEMORY.has(statfsSync(tmpdir()).type) ? process.cwd() : tmpdir();
}

/** Writes files to disk and drops their pages from the page cache, except pages that a process has mapped. */
export function evictFiles(system: System, paths: readonly string[]): void {
  for (const file of paths) {
    const fd = system.open(file, O_RDONLY);
    try {
      system.dataSync(fd);
      system.dropCache(fd);
    } finally {
      system.close(fd);
    }
  }
}

/** How many bytes of the files are in memory now, in whole pages, by mincore(2). */
export function residentBytes(system: System, paths: readonly string[]): number | Absent {
  if (!system.canMap) return { absentBecause: 'this system cannot map files' };
  let pages = 0;
  for (const file of paths) {
    const fd = system.open(file, O_RDONLY);
    try {
      const length = Math.floor(system.fileSize(fd).sizeBytes / BLOCK_SIZE) * BLOCK_SIZE;
      for (let at = 0; at < length; at += RESIDENCY_BYTES) {
        pages += residentPages(system, fd, at, Math.min(RESIDENCY_BYTES, length - at));
      }
    } finally {
      system.close(fd);
    }
  }
  return pages * BLOCK_SIZE;
}

function residentPages(system: System, fd: number, position: number, length: number): number {
  const address = system.mapWindow(fd, position, length);
  try {
    let pages = 0;
    for (const flags of system.residency(address, length)) pages += flags & 1;
    return pages;
  } finally {
    system.unmap(address, length);
  }
}
