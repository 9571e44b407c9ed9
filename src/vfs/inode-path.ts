/** Finds the paths of inodes that were reached by their numbers: walks from parent to parent up to the root. */
import { FsError, type Name, nameToString } from '../base/index.ts';
import type { Inode, LayerStack } from '../layer/index.ts';
import { entryIno, UNREAD_ENTRY } from '../lower/index.ts';

/** Most names in a directory that `hintedPath` searches. */
const NAMES_MAX = 65_536;

interface NamedPlace {
  readonly directory: Inode;
  readonly name: Name;
}

/** The names from the root to `inode`. Undefined if `placeOf` does not know the place of an inode on the way. */
function namesTo(
  stack: LayerStack,
  inode: Inode,
  placeOf: (stack: LayerStack, inode: Inode) => NamedPlace | undefined,
): Name[] | undefined {
  const names: Name[] = [];
  const seen = new Set<Inode>();
  for (let at = inode; at.ino !== stack.rootIno; ) {
    // Stale hints or damaged records may form a cycle.
    if (seen.has(at)) return undefined;
    seen.add(at);
    const place = placeOf(stack, at);
    if (place === undefined) return undefined;
    names.unshift(place.name);
    at = place.directory;
  }
  return names;
}

/**
 * The path of an inode relative to the root; '' for the root itself. It follows hints: each record says in which
 * directory its inode was last given a name. Undefined if the hints are stale, as they may be after links and removals.
 */
export function hintedPath(stack: LayerStack, inode: Inode): string | undefined {
  try {
    return namesTo(stack, inode, hintedPlace)?.join('/');
  } catch (error) {
    // The hint leads to a directory that is gone.
    if (!(error instanceof FsError)) throw error;
    return undefined;
  }
}

function hintedPlace(stack: LayerStack, { ino, record }: Inode): NamedPlace | undefined {
  const derived = stack.chain.derived?.placeOf(ino);
  if (derived !== undefined) {
    const directory = stack.inode(derived.directory);
    if (entryIno(stack.lookup(directory, derived.name)) === ino) return { directory, name: derived.name };
  }
  if (record.parent === 0 || record.nlink === 0) return undefined;
  const directory = stack.inode(record.parent);
  if (!directory.isDirectory || stack.listsMoreThan(directory, NAMES_MAX)) return undefined;
  // Unread names of a live directory need no lookup: `derived` has ruled out the names that are not recorded, and the
  // recorded names are read already.
  const readsAll = !stack.chain.isLive(directory.ino);
  for (const [name, known] of stack.list(directory, true)) {
    const entry = known === UNREAD_ENTRY && readsAll ? stack.lookup(directory, name) : known;
    if (entryIno(entry) === ino) return { directory, name };
  }
  return undefined;
}

/** The absolute path of an inode, for messages. Searches all names in memory; undefined if none lead to the root. */
export function knownPath(stack: LayerStack, inode: Inode): string | undefined {
  const names = namesTo(stack, inode, knownPlace);
  return names === undefined ? undefined : `/${names.map(nameToString).join('/')}`;
}

function knownPlace(stack: LayerStack, { ino }: Inode): NamedPlace | undefined {
  for (const directory of stack.inodes.values()) {
    const name = knownName(directory, ino);
    if (name !== undefined) return { directory, name };
  }
  return undefined;
}

function knownName(directory: Inode, ino: number): Name | undefined {
  for (const [name, entry] of directory.children ?? []) {
    if (entry > 0 && entryIno(entry) === ino) return name;
  }
  return undefined;
}

/** The names from the root to a directory. ENOENT when the directory was removed. */
export function directoryNames(stack: LayerStack, directory: Inode): Name[] {
  const names = namesTo(stack, directory, parentPlace);
  if (names === undefined) throw new FsError('ENOENT');
  return names;
}

function parentPlace(stack: LayerStack, { ino, record }: Inode): NamedPlace | undefined {
  const directory = stack.inode(record.parent);
  const known = knownName(directory, ino);
  if (known !== undefined) return { directory, name: known };
  for (const name of stack.list(directory).keys()) {
    if (entryIno(stack.lookup(directory, name)) === ino) return { directory, name };
  }
  return undefined;
}
