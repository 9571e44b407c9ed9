/**
 * Notifications, which the server sends the kernel without being asked: struct fuse_out_header with a unique of 0 and
 * the kind of the notification (enum fuse_notify_code) as its error, then the notification. Only a worker sends them:
 * see `blocking-calls`.
 */
import { NOTIFY_INVAL_INODE_OUT, NOTIFY_PRUNE_OUT, Notify, OUT_HEADER_BYTES } from './abi.ts';

function message(kind: number, payloadBytes: number): DataView {
  const view = new DataView(new ArrayBuffer(OUT_HEADER_BYTES + payloadBytes));
  view.setUint32(0, view.byteLength, true);
  view.setInt32(4, kind, true);
  return view;
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer);
}

/**
 * A message that makes the kernel drop the node's attributes and its cached pages in the range. A length of 0 means all
 * pages from `position` on; a negative position means no pages.
 */
export function invalidateInode(node: number, position: number, length: number): Uint8Array {
  const { ino, off, len, bytes } = NOTIFY_INVAL_INODE_OUT;
  const view = message(Notify.INVAL_INODE, bytes);
  view.setBigUint64(OUT_HEADER_BYTES + ino, BigInt(node), true);
  view.setBigInt64(OUT_HEADER_BYTES + off, BigInt(position), true);
  view.setBigInt64(OUT_HEADER_BYTES + len, BigInt(length), true);
  return bytesOf(view);
}

/** The most nodes in one message. */
const PRUNED_AT_ONCE = 2048;

/**
 * Messages that make the kernel drop all nodes of a mount except those in use: open files, working directories and
 * directories with mounts on them stay. The nodes that were looked up last come first, because a directory is in use
 * while the kernel has anything in it. An inode and a dentry of FUSE take about 1.1 KB of the kernel's memory: 106 MiB
 * for a tree of 100,000 files after one walk.
 *
 * A kernel whose FUSE is older than 7.45 does not know the notification. Such a kernel drops all unused names when root
 * asks (`Kernel.dropUnusedNames`), or else when it needs the memory. The server never sends FUSE_NOTIFY_INVAL_ENTRY,
 * because that unmounts any mount on the name, and programs that work in the directory lose its path.
 */
export function* pruneMessages(known: Iterable<number>): Generator<Uint8Array> {
  const nodes = [...known].reverse();
  for (let at = 0; at < nodes.length; at += PRUNED_AT_ONCE) yield prune(nodes.slice(at, at + PRUNED_AT_ONCE));
}

function prune(nodes: readonly number[]): Uint8Array {
  const { count, bytes } = NOTIFY_PRUNE_OUT;
  const view = message(Notify.PRUNE, bytes + nodes.length * 8);
  view.setUint32(OUT_HEADER_BYTES + count, nodes.length, true);
  for (let index = 0; index < nodes.length; index++) {
    view.setBigUint64(OUT_HEADER_BYTES + bytes + index * 8, BigInt(nodes[index]!), true);
  }
  return bytesOf(view);
}
