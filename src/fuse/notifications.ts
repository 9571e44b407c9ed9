/**
 * What the server tells the kernel without being asked: struct fuse_out_header with a unique of 0 and the kind of the
 * notification (enum fuse_notify_code) as its error, then the notification. Sent by a worker only: see `blocking-
 * calls`.
 */
import { Notify, OUT_HEADER_BYTES } from './abi.ts';

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
 * struct fuse_notify_inval_inode_out: ino, off, len (64 each). The kernel drops the attributes of the node and its
 * cached pages in the range; with a length of 0, all behind `position`; with a position below 0, none.
 */
export function invalidateInode(node: number, position: number, length: number): Uint8Array {
  const view = message(Notify.INVAL_INODE, 24);
  view.setBigUint64(OUT_HEADER_BYTES, BigInt(node), true);
  view.setBigInt64(OUT_HEADER_BYTES + 8, BigInt(position), true);
  view.setBigInt64(OUT_HEADER_BYTES + 16, BigInt(length), true);
  return bytesOf(view);
}

/** struct fuse_notify_prune_out: count, padding, spare (64) · the nodes (64 each). Those in use stay. Since 7.45. */
export function prune(nodes: readonly number[]): Uint8Array {
  const view = message(Notify.PRUNE, 16 + nodes.length * 8);
  view.setUint32(OUT_HEADER_BYTES, nodes.length, true);
  for (let index = 0; index < nodes.length; index++) {
    view.setBigUint64(OUT_HEADER_BYTES + 16 + index * 8, BigInt(nodes[index]!), true);
  }
  return bytesOf(view);
}
