/**
 * Idle mounts give back what the kernel keeps for them: an inode and a dentry of FUSE take about 1.1 KB of its memory,
 * 106 MiB for a tree of 100,000 files that was once walked. The kernel is told the nodes it may let go of
 * (FUSE_NOTIFY_PRUNE, since 7.45); those in use stay. Where it does not know that, names are invalidated one by one.
 */
import { entryIno, type Inode, NO_ENTRY } from '../../layer/index.ts';
import { invalidateEntry, prune } from './notifications.ts';
import type { Session } from './session.ts';

/** Nodes in one message. */
const NODES_AT_ONCE = 2048;

/**
 * Messages that prune every node of a mount: the last that was looked up first, since a directory is in use while the
 * kernel has anything in it.
 */
export function* pruneMessages(session: Session): Generator<Uint8Array> {
  const nodes = [...session.known].reverse();
  for (let at = 0; at < nodes.length; at += NODES_AT_ONCE) yield prune(nodes.slice(at, at + NODES_AT_ONCE));
}

/** The same by names, for kernels that cannot prune: those under directories that the kernel has. */
export function* invalidationMessages(session: Session): Generator<Uint8Array> {
  const { stack } = session.fileSystem;
  const directories: Inode[] = [stack.root];
  for (const ino of session.known) {
    const inode = stack.inodes.get(ino);
    if (inode?.isDirectory) directories.push(inode);
  }
  for (const directory of directories.reverse()) {
    for (const [name, entry] of directory.children ?? []) {
      if (entry === NO_ENTRY || (entry > 0 && session.isKnown(entryIno(entry))))
        yield invalidateEntry(session.nodeOf(directory.ino), name);
    }
  }
}
