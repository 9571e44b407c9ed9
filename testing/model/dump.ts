/** A whole tree as text, one line for each name: the first two lines that differ say what is wrong. */
import { type Dump, describeBytes, describeStat } from './operation.ts';

/** One name as an actor finds it. */
export interface DumpEntry {
  readonly path: string;
  /** Identifies the file: names with equal identities are hard links of each other. */
  readonly identity: number | bigint;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtimeSeconds: number;
  /** Set for a regular file. */
  readonly content?: Uint8Array;
  /** Set for a symbolic link. */
  readonly target?: string;
  readonly xattrs: ReadonlyMap<string, Uint8Array>;
}

/** Times that operations set are below this. Times from the clock are above it, and differ between actors. */
const PRESENT_SECONDS_MIN = 1_000_000_000;

/** The lines of a tree, sorted by path. */
export function dumpOf(entries: Iterable<DumpEntry>): Dump {
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const firstNames = new Map<number | bigint, string>();
  return sorted.map((entry) => {
    const first = firstNames.get(entry.identity);
    if (first === undefined) firstNames.set(entry.identity, entry.path);
    const mtime = entry.mtimeSeconds >= PRESENT_SECONDS_MIN ? 'present' : String(entry.mtimeSeconds);
    let line = `${entry.path} ${describeStat(entry)} mtime=${mtime}`;
    if (first !== undefined) line += ` is=${first}`;
    if (entry.content !== undefined) line += ` content=${describeBytes(entry.content)}`;
    if (entry.target !== undefined) line += ` target=${entry.target}`;
    for (const name of [...entry.xattrs.keys()].sort()) {
      line += ` ${name}=${describeBytes(entry.xattrs.get(name)!)}`;
    }
    return line;
  });
}

/** The first difference of two dumps in words, or undefined. */
export function firstDifference(a: Dump, b: Dump, nameA: string, nameB: string): string | undefined {
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    if (a[index] === b[index]) continue;
    return `${nameA}: ${a[index] ?? '(no more names)'}\n${nameB}: ${b[index] ?? '(no more names)'}`;
  }
  return undefined;
}
