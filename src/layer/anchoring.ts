/** How a recorded inode of a live layer stays reachable: its names become the upper layer's own. */
import { kindOfMode } from '../base/index.ts';
import { type DerivedLower, entryIno, entryOf } from '../lower/index.ts';
import type { Batch } from './batch.ts';
import type { StackLookup } from './stack-lookup.ts';

/**
 * Adds to the batch what keeps a recorded inode reachable, whatever becomes of its name on the host: the names, up to
 * the root, under which the live layer has it, where no layer above has said something else of them.
 */
export function anchor(stack: StackLookup, live: DerivedLower, batch: Batch): void {
  // Directories that are added here are looked at in their turn.
  for (let index = 0; index < batch.inodes.length; index++) {
    const inode = batch.inodes[index]!;
    if (!inode.isUnrecorded) continue;
    const place = live.placeOf(inode.ino);
    if (place === undefined) continue;
    const directory = stack.inode(place.directory);
    const recorded = stack.recordedName(directory, place.name);
    if (recorded !== undefined && entryIno(recorded) !== inode.ino) continue;
    batch.change(directory);
    // The hint that leads from a file to its name.
    if (!inode.isDirectory) batch.change(inode).parent = directory.ino;
    batch.anchorName(directory, place.name, entryOf(inode.ino, kindOfMode(inode.record.mode)));
  }
}
