/** Directory entries as single numbers, because caches hold millions of entries. */
import type { Ino, Name } from '../base/index.ts';
import type { DentryRecord, NamedDentry } from '../meta/index.ts';

/** A directory entry as the number `ino * 16 + kind`, where `kind` is a DT_* constant. */
export type Entry = number;

/** No such name: a whiteout, or a name that no layer has. */
export const NO_ENTRY: Entry = 0;
/** The name exists, but its inode number has not been read yet, since keys alone are enough to list names. */
export const UNREAD_ENTRY: Entry = -1;

/** Exact, since inode numbers stay below 2^49, and DT_* kinds below 16. */
export function entryOf(ino: number, kind: number): Entry {
  return ino * 16 + kind;
}

/** The entry of a row: `NO_ENTRY` for a whiteout, whose row has inode 0. */
export function entryOfRow({ ino, kind }: DentryRecord): Entry {
  return ino === 0 ? NO_ENTRY : entryOf(ino, kind);
}

export function entryIno(entry: Entry): Ino {
  return Math.floor(entry / 16) as Ino;
}

export function entryKind(entry: Entry): number {
  return entry % 16;
}

/**
 * Adds the names of a layer to `merged`, which has those of the layers below it. A whiteout removes its name from
 * `merged`.
 */
export function mergeNames(merged: Map<Name, Entry>, dentries: readonly NamedDentry[]): void {
  for (const { name, dentry } of dentries) {
    if (dentry.ino === 0) merged.delete(name);
    else merged.set(name, entryOf(dentry.ino, dentry.kind));
  }
}
