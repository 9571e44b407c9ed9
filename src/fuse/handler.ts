/** The type of the handlers, each of which answers one operation, and the parts of answers that several share. */
import type { Inode } from '../layer/index.ts';
import { ENOSYS } from '../sys/index.ts';
import { ENTRY_OUT, OPEN_OUT } from './abi.ts';
import { putEntry } from './attribute-codec.ts';
import type { OpenAnswer } from './open-policy.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';
import type { Session } from './session.ts';

/** An answer that has to wait, for example for the disk. `answer` cannot look at the request, which is gone by then. */
export interface Deferred {
  readonly until: Promise<void>;
  /** Fills `reply` in, or throws an `FsError`. */
  readonly answer: (reply: Reply) => void;
}

/**
 * Answers one request: fills `reply` in, throws an `FsError`, or defers the answer. Expected refusals are returned as
 * an errno: to throw an error takes some 10 µs, half a round trip.
 */
export type Handler = (session: Session, request: Request, reply: Reply) => Deferred | number | undefined;

/** Replies with an entry alone. */
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

/** Replies with an open; ENOSYS where the mode of the mount needs none: the kernel does not ask again. */
export function replyOpened(reply: Reply, answer: OpenAnswer | undefined): number | undefined {
  if (answer === undefined) return ENOSYS;
  reply.zeros(OPEN_OUT.bytes);
  openAt(reply, 0, answer);
  return undefined;
}

/** Puts the answer to an open into a reply of zeros. */
export function openAt(reply: Reply, at: number, { handle, flags, backing = 0 }: OpenAnswer): void {
  reply.setU64(at + OPEN_OUT.fh, handle);
  reply.setU32(at + OPEN_OUT.openFlags, flags);
  reply.setU32(at + OPEN_OUT.backingId, backing);
}
