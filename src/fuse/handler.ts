/** What the operations of a mount have in common. */
import type { Inode } from '../layer/index.ts';
import { ENTRY_OUT, OPEN_OUT } from './abi.ts';
import { putEntry } from './attribute-codec.ts';
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
 * Answers one request: fills `reply` in, throws an `FsError`, or says what has to be waited for. Expected refusals are
 * returned as an errno: to throw an error takes some 10 µs, half a round trip.
 */
export type Handler = (session: Session, request: Request, reply: Reply) => Deferred | number | undefined;

/** An entry alone, remembered. */
export function replyEntry(session: Session, reply: Reply, inode: Inode): void {
  reply.zeros(ENTRY_OUT.bytes);
  entryAt(session, reply, 0, inode);
}

/** Puts an entry into the reply: the kernel has the inode from now on. */
export function entryAt(session: Session, reply: Reply, at: number, inode: Inode): void {
  const { calls } = session;
  const isRoot = inode.ino === calls.rootIno;
  putEntry(reply, at, calls.attributesOf(inode), isRoot, session.validSeconds(inode));
  session.remember(inode);
}

/** Puts how an open is answered into a reply of zeros. */
export function openAt(reply: Reply, at: number, { handle, flags, backing = 0 }: OpenAnswer): void {
  reply.setU64(at + OPEN_OUT.fh, handle);
  reply.setU32(at + OPEN_OUT.openFlags, flags);
  reply.setU32(at + OPEN_OUT.backingId, backing);
}
