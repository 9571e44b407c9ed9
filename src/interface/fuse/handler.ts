/** What the operations of a mount have in common. */
import type { Inode } from '../../layer/index.ts';
import { ENTRY_BYTES, putEntry } from './attribute-codec.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';
import type { Session } from './session.ts';

/** Answers one request: fills `reply` in, or throws an `FsError`. */
export type Handler = (session: Session, request: Request, reply: Reply) => void;

/** An entry alone, remembered. */
export function replyEntry(session: Session, reply: Reply, inode: Inode): void {
  reply.zeros(ENTRY_BYTES);
  entryAt(session, reply, 0, inode);
}

/** Puts an entry into the reply: the kernel has the inode from now on. */
export function entryAt(session: Session, reply: Reply, at: number, inode: Inode): void {
  const { calls } = session;
  putEntry(reply, at, calls.attributesOf(inode), inode.ino === calls.rootIno);
  session.remember(inode);
}
