/** A path of an inode that was reached by its number, from what its record says about where it was last named. */
import { FsError, type Name } from '../base/index.ts';
import { type Inode, type LayerStack, listsMoreThan } from '../layer/index.ts';
import { entryIno, UNREAD_ENTRY } from '../lower/index.ts';

/** Larger directories are not searched for a name. */
const NAMES_MAX = 65_536;

interface NamedPlace {
  readonly directory: Inode;
  readonly name: Name;
}

/** Relative to the root, which is ''. Undefined where the hints lead nowhere: links and removals make them stale. */
export function hintedPath(stack: LayerStack, inode: Inode): string | undefined {
  const names: Name[] = [];
  try {
    for (let at = inode; at.ino !== stack.rootIno; ) {
      const place = placeOf(stack, at);
      if (place === undefined) return undefined;
      names.unshift(place.name);
      at = place.directory;
    }
  } catch (error) {
    // The hint is a directory that is gone.
    if (!(error instanceof FsError)) throw error;
    return undefined;
  }
  return names.join('/');
}

function placeOf(stack: LayerStack, { ino, record }: Inode): NamedPlace | undefined {
  const derived = stack.chain.derived?.placeOf(ino);
  if (derived !== undefined) {
    const directory = stack.inode(derived.directory);
    if (entryIno(stack.lookup(directory, derived.name)) === ino) return { directory, name: derived.name };
  }
  if (record.parent === 0 || record.nlink === 0) return undefined;
  const directory = stack.inode(record.parent);
  const name = nameIn(stack, directory, ino);
  return name === undefined ? undefined : { directory, name };
}

function nameIn(stack: LayerStack, directory: Inode, ino: number): Name | undefined {
  if (!directory.isDirectory || listsMoreThan(stack, directory, NAMES_MAX)) return undefined;
  // Of a live directory only what is recorded is read; `derived` was asked for the rest.
  const readsAll = !stack.chain.isLive(directory.ino);
  for (const [name, known] of stack.list(directory, true)) {
    const entry = known === UNREAD_ENTRY && readsAll ? stack.lookup(directory, name) : known;
    if (entryIno(entry) === ino) return name;
  }
  return undefined;
}
