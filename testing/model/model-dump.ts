/** A tree of the model as text. */
import { type DumpEntry, dumpOf } from './dump.ts';
import { type ModelInode, type ModelTree, TYPE_BITS } from './model-tree.ts';
import type { Dump } from './operation.ts';

export function sizeOf(inode: ModelInode): number {
  return inode.kind === 'symlink' ? Buffer.byteLength(inode.target) : inode.content.length;
}

export function dumpOfTree(tree: ModelTree): Dump {
  const entries: DumpEntry[] = [];
  for (const [path, inode] of tree.names()) {
    const { ino, mode, nlink, uid, gid, mtimeSeconds, xattrs } = inode;
    const common = { path, identity: ino, mode: mode | TYPE_BITS[inode.kind], nlink, uid, gid };
    const entry = { ...common, size: sizeOf(inode), mtimeSeconds, xattrs };
    if (inode.kind === 'file') entries.push({ ...entry, content: inode.content });
    else if (inode.kind === 'symlink') entries.push({ ...entry, target: inode.target });
    else entries.push(entry);
  }
  return dumpOf(entries);
}
