/**
 * Calls the handler of a request, and finishes the answer. The answer to a failed request is its errno. The answer to
 * an unknown request is ENOSYS; for most kinds of requests, the kernel then sends no more of that kind.
 */
import { describeCode, FsError } from '../base/index.ts';
import { EIO, ENOSYS } from '../sys/index.ts';
import { Opcode } from './abi.ts';
import * as attributes from './attribute-handlers.ts';
import * as directories from './directory-handlers.ts';
import * as files from './file-handlers.ts';
import type { Deferred, Handler } from './handler.ts';
import * as names from './name-handlers.ts';
import { countSpace, negotiate } from './negotiation.ts';
import type { Reply } from './reply.ts';
import type { Request } from './request.ts';
import type { Session } from './session.ts';

/** For requests that need no work: always succeeds. */
const nothing: Handler = () => undefined;

const HANDLERS: Readonly<Record<number, Handler | undefined>> = {
  [Opcode.LOOKUP]: names.lookup,
  [Opcode.FORGET]: names.forget,
  [Opcode.BATCH_FORGET]: names.batchForget,
  [Opcode.GETATTR]: attributes.getAttributes,
  [Opcode.STATX]: attributes.getStatx,
  [Opcode.SETATTR]: attributes.setAttributes,
  [Opcode.READLINK]: attributes.readLink,
  [Opcode.SYMLINK]: names.symlink,
  [Opcode.MKNOD]: names.makeNode,
  [Opcode.MKDIR]: names.makeDirectory,
  [Opcode.UNLINK]: names.unlink,
  [Opcode.RMDIR]: names.removeDirectory,
  [Opcode.RENAME]: names.rename,
  [Opcode.RENAME2]: names.rename2,
  [Opcode.LINK]: names.link,
  [Opcode.CREATE]: names.create,
  [Opcode.TMPFILE]: names.makeUnnamed,
  [Opcode.OPEN]: files.open,
  [Opcode.READ]: files.read,
  [Opcode.WRITE]: files.write,
  [Opcode.RELEASE]: files.release,
  [Opcode.FSYNC]: files.sync,
  [Opcode.FALLOCATE]: files.allocate,
  [Opcode.LSEEK]: files.seek,
  [Opcode.COPY_FILE_RANGE]: files.copyFileRange,
  [Opcode.COPY_FILE_RANGE_64]: files.copyFileRange64,
  [Opcode.OPENDIR]: directories.openDirectory,
  [Opcode.READDIR]: directories.readDirectory,
  [Opcode.READDIRPLUS]: directories.readDirectoryPlus,
  [Opcode.RELEASEDIR]: nothing,
  [Opcode.FSYNCDIR]: files.sync,
  [Opcode.SYNCFS]: files.sync,
  [Opcode.SETXATTR]: attributes.setXattr,
  [Opcode.GETXATTR]: attributes.getXattr,
  [Opcode.LISTXATTR]: attributes.listXattrs,
  [Opcode.REMOVEXATTR]: attributes.removeXattr,
  [Opcode.STATFS]: countSpace,
  [Opcode.INIT]: negotiate,
  [Opcode.INTERRUPT]: nothing,
  [Opcode.DESTROY]: nothing,
};

/**
 * Requests that get no answer. INTERRUPT has no effect: the request that it names already has its answer, or is
 * deferred and goes on.
 */
const SILENT: ReadonlySet<number> = new Set([Opcode.FORGET, Opcode.BATCH_FORGET, Opcode.INTERRUPT]);

/** Gets each error that is no `FsError`: a defect of this program. The request fails with EIO. */
export type OnDefect = (error: unknown, opcode: number) => void;

/** The kernel's number for a request, which a deferred answer must repeat. */
export interface Unique {
  readonly low: number;
  readonly high: number;
}

export type OnDeferred = (deferred: Deferred, unique: Unique) => void;

/**
 * Answers a request that `Request.begin` has accepted. Returns the answer's length in bytes; 0 if there is none, or
 * none yet.
 */
export function dispatch(
  session: Session,
  request: Request,
  reply: Reply,
  onDeferred: OnDeferred,
  onDefect: OnDefect,
): number {
  const { opcode } = request;
  const handler = HANDLERS[opcode];
  const isSilent = SILENT.has(opcode);
  if (!isSilent) session.requestCount++;
  let errno = ENOSYS;
  reply.payloadBytes = 0;
  if (handler !== undefined && (session.isReady || opcode === Opcode.INIT)) {
    try {
      const result = handler(session, request, reply);
      if (typeof result === 'object') {
        onDeferred(result, { low: request.uniqueLow, high: request.uniqueHigh });
        return 0;
      }
      errno = result ?? 0;
    } catch (error) {
      errno = errnoOf(error, opcode, onDefect);
    }
  }
  return isSilent ? 0 : reply.finish(errno, request.uniqueLow, request.uniqueHigh);
}

/** Fills in a deferred answer once its wait is over. Returns the answer's length in bytes. */
export function dispatchDeferred(
  deferred: Deferred,
  unique: Unique,
  reply: Reply,
  onDefect: OnDefect,
): number {
  let errno = 0;
  reply.payloadBytes = 0;
  try {
    deferred.answer(reply);
  } catch (error) {
    errno = errnoOf(error, Opcode.READ, onDefect);
  }
  return reply.finish(errno, unique.low, unique.high);
}

function errnoOf(error: unknown, opcode: number, onDefect: OnDefect): number {
  if (error instanceof FsError) return -describeCode(error.code).errno;
  onDefect(error, opcode);
  return EIO;
}
