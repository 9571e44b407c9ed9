/** A path of an inode that was reached by its number, for messages: from the names that are in memory. */
import { type Name, nameToString } from '../base/index.ts';
import type { Inode, LayerStack } from '../layer/index.ts';
import { entryIno } from '../lower/index.ts';

/** Absolute in the tree; undefined where no name of it is in memory. Searches all names in memory. */
export function knownPath(stack: LayerStack, inode: Inode): string | undefined {
  const names: string[] = [];
  let at = inode;
  while (at.ino !== stack.rootIno) {
    const found = placeOf(stack, at);
    if (found === undefined) return undefined;
    names.unshift(nameToString(found.name));
    at = found.directory;
  }
  return `/${names.join('/')}`;
}

function placeOf(stack: LayerStack, { ino }: Inode): { directory: Inode; name: Name } | undefined {
  for (const directory of stack.inodes.values()) {
    for (const [name, entry] of directory.children ?? []) {
      if (entry > 0 && entryIno(entry) === ino) return { directory, name };
    }
  }
  return undefined;
}
