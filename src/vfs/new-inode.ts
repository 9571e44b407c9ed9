/**
 * New inodes: their owner and group, and their mode, masked by the default ACL of their directory, or else by the
 * umask.
 */
import { S_IFDIR, S_IFLNK, S_IFMT, S_ISGID, type Timespec } from '../base/index.ts';
import type { Batch, DraftRecord, Inode } from '../layer/index.ts';
import { newInodeRecord } from '../meta/index.ts';
import type { Caller } from './caller.ts';
import type { TreeContext } from './context.ts';
import { aclOf, inherit } from './posix-acl.ts';
import { type Acl, encodeAcl } from './posix-acl-format.ts';
import { ACCESS_ACL, DEFAULT_ACL } from './xattr-names.ts';

export type NewFields = Readonly<Partial<Pick<DraftRecord, 'nlink' | 'rdev' | 'target'>>>;

/** Makes an inode for `directory` and adds it to the batch. `mode` has its type bits, and is not masked yet. */
export function addInode(
  context: TreeContext,
  caller: Caller,
  batch: Batch,
  directory: Inode,
  mode: number,
  now: Timespec,
  fields?: NewFields,
): Inode {
  const { stack } = context;
  const { uid, gid } = caller;
  const type = mode & S_IFMT;
  const inheritsGroup = (directory.record.mode & S_ISGID) !== 0;
  const draft: DraftRecord = newInodeRecord(
    {
      mode: inheritsGroup && type === S_IFDIR ? mode | S_ISGID : mode,
      uid,
      gid: inheritsGroup ? directory.record.gid : gid,
      nlink: 1,
    },
    now,
  );
  draft.parent = directory.ino;
  if (fields !== undefined) Object.assign(draft, fields);
  const inode = stack.newInode(draft);
  batch.create(inode);
  // Symlinks have no ACL, and the umask does not apply to them: symlink(7).
  if (type === S_IFLNK) return inode;
  const acl = aclOf(stack, directory, DEFAULT_ACL);
  if (acl === undefined) draft.mode &= ~caller.umask;
  else inheritAcl(batch, inode, draft, acl);
  return inode;
}

function inheritAcl(batch: Batch, inode: Inode, draft: DraftRecord, defaultAcl: Acl): void {
  const { mode, acl } = inherit(defaultAcl, draft.mode);
  const xattrs = new Map<string, Buffer>();
  if (inode.isDirectory) xattrs.set(DEFAULT_ACL, encodeAcl(defaultAcl));
  if (acl !== undefined) xattrs.set(ACCESS_ACL, encodeAcl(acl));
  draft.mode = mode;
  if (xattrs.size > 0) batch.setXattrs(inode, xattrs);
}
