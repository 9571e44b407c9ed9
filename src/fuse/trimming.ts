/**
 * Idle mounts give back what the kernel keeps for them: an inode and a dentry of FUSE take about 1.1 KB of its memory,
 * 106 MiB for a tree of 100,000 files that was once walked. What is in use stays: open files, working directories, and
 * mounts inside the mount. FUSE_NOTIFY_PRUNE (since 7.45) names the nodes that the kernel may let go of; an older
 * kernel gives back all that are unused when root asks (`Kernel.dropUnusedNames`), or else when it needs the memory.
 * FUSE_NOTIFY_INVAL_ENTRY is never used: it unmounts what is mounted there, and leaves programs that work there without
 * a path.
 */
import { prune } from './notifications.ts';
import type { Session } from './session.ts';

/** Nodes in one message. */
const NODES_AT_ONCE = 2048;

/**
 * Messages that prune every node of a mount, those that were looked up last first: a directory is in use while the
 * kernel has anything in it.
 */
export function* pruneMessages(session: Session): Generator<Uint8Array> {
  const nodes = [...session.known].reverse();
  for (let at = 0; at < nodes.length; at += NODES_AT_ONCE) yield prune(nodes.slice(at, at + NODES_AT_ONCE));
}
