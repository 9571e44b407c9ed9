/** The type of handlers, each of which answers one operation, and the parts of answers that several handlers share. */
import type { Inode } from '../layer/index.ts';
import { ENOSYS } from '../sys/index.ts';
import { ENTRY_OUT, OPEN_OUT } from './abi.ts';
import { putEntry } from './attribute-codec.ts';
import type { OpenAnswer } from './open-policy.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';
import type { Session } from './session.ts';

/** An answer that has to wait, for example for the disk. `answer` must not use the request, which is gone by then. */
export interface Deferred {
  readonly until: Promise<void>;
  /** Fills `reply` in, or throws an `FsError`. */
  readonly answer: (reply: Reply) => void;
}

/**
 * Answers one request: fills `reply` in, throws an `FsError`, or defers the answer. For frequent failures it returns an
 * errno, because to throw an error takes about 10 µs, half a round trip.
 */
export type Handler = (session: Session, request: Request, reply: Reply) => Deferred | number | undefined;

/** Replies with one entry. */
export function replyEntry(session: Session, reply: Reply, inode: Inode): void {
  reply.zeros(ENTRY_OUT.bytes);
  entryAt(session, reply, 0, inode);
}

/** Puts an entry into the reply. From now on the kernel knows the inode. */
export function entryAt(session: Session, reply: Reply, at: number, inode: Inode): void {
  const { calls } = session;
  const isRoot = inode.ino === calls.rootIno;
  putEntry(reply, at, calls.attributesOf(inode), isRoot, session.validSeconds(inode));
  session.remember(inode);
}

/**
 * Replies to an open. Returns ENOSYS if the mode of the mount needs no opens; after that the kernel sends no more of
 * them.
 */
export function replyOpened(reply: Reply, answer: OpenAnswer | undefined): number | undefined {
  if (answer === undefined) return ENOSYS;
  reply.zeros(OPEN_OUT.bytes);
  openAt(reply, 0, answer);
  return undefined;
}

/** Puts the answer to an open into a reply that is all zeros. */
export function openAt(reply: Reply, at: number, { handle, flags, backing = 0 }: OpenAnswer): void {
  reply.setU64(at + OPEN_OUT.fh, handle);
  reply.setU32(at + OPEN_OUT.openFlags, flags);
  reply.setU32(at + OPEN_OUT.backingId, backing);
}
