/** What the operations of a mount have in common. */
import type { Inode } from '../layer/index.ts';
import { ENTRY_BYTES, putEntry } from './attribute-codec.ts';
import type { OpenAnswer } from './open-policy.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';
import type { Session } from './session.ts';

/** An answer that has to wait for the disk. The request is gone by then: `answer` knows what it asked for. */
export interface Deferred {
  readonly until: Promise<void>;
  /** Fills `reply` in, or throws an `FsError`. */
  readonly answer: (reply: Reply) => void;
}

/**
 * Answers one request: fills `reply` in, or throws an `FsError`, or says what has to be waited for. A refusal that
 * belongs to every day is returned, as its errno: an error that is thrown takes some 10 µs, half a round trip.
 */
export type Handler = (session: Session, request: Request, reply: Reply) => Deferred | number | undefined;

/** An entry alone, remembered. */
export function replyEntry(session: Session, reply: Reply, inode: Inode): void {
  reply.zeros(ENTRY_BYTES);
  entryAt(session, reply, 0, inode);
}

/** Puts an entry into the reply: the kernel has the inode from now on. */
export function entryAt(session: Session, reply: Reply, at: number, inode: Inode): void {
  const { calls } = session;
  const isRoot = inode.ino === calls.rootIno;
  putEntry(reply, at, calls.attributesOf(inode), isRoot, session.validSeconds(inode));
  session.remember(inode);
}

export const OPEN_OUT_BYTES = 16;

/** struct fuse_open_out: fh (64) · open_flags · backing_id, into a reply of zeros. */
export function openAt(reply: Reply, at: number, { handle, flags, backing = 0 }: OpenAnswer): void {
  reply.setU64(at, handle);
  reply.setU32(at + 8, flags);
  reply.setU32(at + 12, backing);
}
