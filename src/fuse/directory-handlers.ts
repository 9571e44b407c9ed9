/** Handlers of OPENDIR, READDIR and READDIRPLUS. */
import { DT_DIR, FsError, type Name } from '../base/index.ts';
import type { Inode } from '../layer/index.ts';
import { type Entry, entryIno, entryKind, NO_ENTRY } from '../lower/index.ts';
import { DIRENT, DIRENTPLUS, READ_IN } from './abi.ts';
import { DOT_COOKIE, DOT_DOT_COOKIE, indexAfter } from './directory-listing.ts';
import { entryAt, type Handler, replyOpened } from './handler.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';
import type { Session } from './session.ts';

export const openDirectory: Handler = (session, request, reply) => {
  const inode = session.inode(request.nodeId);
  if (!inode.isDirectory) throw new FsError('ENOTDIR');
  return replyOpened(reply, session.opens.openDirectory(inode));
};

export const readDirectory: Handler = (session, request, reply) => {
  writeEntries(session, request, reply, false);
};

/** Replies with attributes as well, so every entry except `.` and `..` counts as a lookup. */
export const readDirectoryPlus: Handler = (session, request, reply) => {
  writeEntries(session, request, reply, true);
};

function writeEntries(session: Session, request: Request, reply: Reply, isPlus: boolean): void {
  request.need(READ_IN.bytes);
  const writer = new DirentWriter(session, reply, request.u32(READ_IN.size), isPlus);
  writer.write(session.inode(request.nodeId), request.u64(READ_IN.offset));
}

class DirentWriter {
  private readonly session: Session;
  private readonly reply: Reply;
  private readonly endBytes: number;
  private readonly entryBytes: number;

  constructor(session: Session, reply: Reply, sizeBytes: number, isPlus: boolean) {
    this.session = session;
    this.reply = reply;
    this.endBytes = Math.min(sizeBytes, reply.capacityBytes);
    this.entryBytes = isPlus ? DIRENTPLUS.dirent : 0;
    reply.payloadBytes = 0;
  }

  /** Writes as many entries after `cookie` as fit. Writes none at the end of the directory. */
  write(directory: Inode, cookie: number): void {
    const { calls, listings, readAhead } = this.session;
    readAhead.begin(directory, cookie < DOT_COOKIE);
    if (cookie < DOT_COOKIE && !this.add('.', directory.ino, DT_DIR, DOT_COOKIE)) return;
    if (cookie < DOT_DOT_COOKIE) {
      const { ino } = directory.record.nlink === 0 ? directory : calls.parentOf(directory);
      if (!this.add('..', ino, DT_DIR, DOT_DOT_COOKIE)) return;
    }
    // A directory of the host may have changed since it was listed, so a reader at the start gets a new listing.
    if (cookie < DOT_COOKIE && this.session.tree.stack.chain.isLive(directory.ino)) listings.drop(directory);
    const listing = listings.get(directory, () => calls.names(directory));
    const { names, cookies } = listing;
    for (let index = indexAfter(listing, cookie); index < names.length; index++) {
      const name = names[index]!;
      const entry = calls.entry(directory, name);
      if (entry === NO_ENTRY) continue;
      const place = cookies[index]!;
      const isWritten =
        this.entryBytes === 0
          ? this.add(name, entryIno(entry), entryKind(entry), place)
          : this.addPlus(directory, name, entry, place);
      if (!isWritten) return;
    }
  }

  private addPlus(directory: Inode, name: Name, entry: Entry, cookie: number): boolean {
    const at = this.reply.payloadBytes;
    if (!this.add(name, entryIno(entry), entryKind(entry), cookie)) return false;
    try {
      const inode = this.session.calls.inodeOfEntry(directory, name, entry);
      entryAt(this.session, this.reply, at, inode);
      this.session.readAhead.noteListed(inode);
    } catch (error) {
      // List the name nevertheless, without attributes, since the lookup that follows reports the error.
      if (!(error instanceof FsError)) throw error;
    }
    return true;
  }

  /** Writes one entry. Returns false if it does not fit. */
  private add(name: string, ino: number, kind: number, cookie: number): boolean {
    const { reply } = this;
    const start = reply.payloadBytes;
    const at = start + this.entryBytes;
    const end = at + ((DIRENT.name + name.length + 7) & ~7);
    if (end > this.endBytes) return false;
    // Zeros tell the kernel that the entry was not looked up; `addPlus` overwrites them.
    if (this.entryBytes > 0) reply.fill(start, this.entryBytes);
    reply.setU64(end - 8, 0);
    reply.setU64(at + DIRENT.ino, ino);
    reply.setU64(at + DIRENT.off, cookie);
    reply.setU32(at + DIRENT.namelen, name.length);
    reply.setU32(at + DIRENT.type, kind);
    reply.setText(at + DIRENT.name, name);
    reply.payloadBytes = end;
    return true;
  }
}
