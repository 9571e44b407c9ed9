/** What a name in a directory stands for, as one number: most entries are kept by the million. */
import type { Ino, Name } from '../base/index.ts';
import type { DentryRecord, NamedDentry } from '../meta/index.ts';

/** A directory entry as one number, `ino * 16 + kind`; see `entryOf`. */
export type Entry = number;

/** No such name: a whiteout, or a name that no layer has. */
export const NO_ENTRY: Entry = 0;
/** The name exists; its inode number has not been read yet (names come from keys alone where that is enough). */
export const UNREAD_ENTRY: Entry = -1;

/** Inode numbers stay below 2^49, so that a number and a DT_* kind (0 to 15) fit one exact number. */
export function entryOf(ino: number, kind: number): Entry {
  return ino * 16 + kind;
}

/** What a row says of a name; a whiteout has inode 0. */
export function entryOfRow({ ino, kind }: DentryRecord): Entry {
  return ino === 0 ? NO_ENTRY : entryOf(ino, kind);
}

export function entryIno(entry: Entry): Ino {
  return Math.floor(entry / 16) as Ino;
}

export function entryKind(entry: Entry): number {
  return entry % 16;
}

/** Adds the names of a layer to those of the layers below it; a whiteout takes one away. */
export function mergeNames(merged: Map<Name, Entry>, dentries: readonly NamedDentry[]): void {
  for (const { name, dentry } of dentries) {
    if (dentry.ino === 0) merged.delete(name);
    else merged.set(name, entryOf(dentry.ino, dentry.kind));
  }
}
