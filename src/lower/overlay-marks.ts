/**
 * The marks by which a directory tree says that it is a layer of an overlay, as the kernel defines them
 * (Documentation/filesystems/overlayfs.rst): a character device 0/0 is a whiteout; a directory with the attribute
 * `overlay.opaque` = `y` hides what lower layers have in it; with `x`, empty files in it that have the attribute
 * `overlay.whiteout` are whiteouts too. The attributes lie in `trusted.`, or in `user.` where an unprivileged mount
 * (`userxattr`) made them. `overlay.overlay.` escapes the attributes of an overlay inside an overlay.
 */

import { isFileMode, S_IFCHR, S_IFMT } from '../base/index.ts';
import type { InodeRecord } from '../meta/index.ts';

const PREFIXES = ['trusted.overlay.', 'user.overlay.'] as const;
const ESCAPED = 'overlay.';

/** How a whiteout and an opaque directory are stored. */
export const OPAQUE_XATTR = 'trusted.overlay.opaque';
export const OPAQUE_VALUE = Buffer.from('y');
export const WHITEOUT_MODE = S_IFCHR;

export type Xattrs = ReadonlyMap<string, Buffer>;

/** What the attributes of a file say to an overlay. */
export interface OverlayMarks {
  readonly isOpaque: boolean;
  /** Files in this directory may be whiteouts by an attribute of their own. */
  readonly hasMarkedWhiteouts: boolean;
  readonly isWhiteout: boolean;
  /** Under what path or name lower layers have what is merged with this directory, a byte string. */
  readonly redirect: string | undefined;
  /** The file has attributes only, and its bytes are a lower layer's. */
  readonly isMetacopy: boolean;
}

export const NO_MARKS: OverlayMarks = {
  isOpaque: false,
  hasMarkedWhiteouts: false,
  isWhiteout: false,
  redirect: undefined,
  isMetacopy: false,
};

export function isWhiteoutDevice({ mode, rdev }: Pick<InodeRecord, 'mode' | 'rdev'>): boolean {
  return (mode & S_IFMT) === S_IFCHR && rdev === 0;
}

/** Whether a file is a whiteout by its attribute, given that its directory has such files. */
export function isMarkedWhiteout(
  { mode, size }: Pick<InodeRecord, 'mode' | 'size'>,
  xattrs: Xattrs,
): boolean {
  return isFileMode(mode) && size === 0 && overlayMarks(xattrs).isWhiteout;
}

export function overlayMarks(xattrs: Xattrs): OverlayMarks {
  if (!hasMarks(xattrs)) return NO_MARKS;
  const value = (name: string): Buffer | undefined =>
    xattrs.get(`${PREFIXES[0]}${name}`) ?? xattrs.get(`${PREFIXES[1]}${name}`);
  const opaque = value('opaque')?.toString('latin1');
  return {
    isOpaque: opaque === 'y',
    hasMarkedWhiteouts: opaque === 'x',
    isWhiteout: value('whiteout') !== undefined,
    redirect: value('redirect')?.toString('latin1'),
    isMetacopy: value('metacopy') !== undefined,
  };
}

function hasMarks(xattrs: Xattrs): boolean {
  for (const name of xattrs.keys()) if (prefixOf(name) !== undefined) return true;
  return false;
}

function prefixOf(name: string): string | undefined {
  return PREFIXES.find((prefix) => name.startsWith(prefix));
}

/** The attributes that an overlay shows: its own are not among them, and those of one inside it have lost an escape. */
export function shownXattrs(xattrs: Xattrs): Map<string, Buffer> {
  const shown = new Map<string, Buffer>();
  for (const [name, value] of xattrs) {
    const prefix = prefixOf(name);
    const rest = prefix === undefined ? undefined : name.slice(prefix.length);
    if (prefix === undefined || rest === undefined) shown.set(name, value);
    else if (rest.startsWith(ESCAPED)) shown.set(`${prefix}${rest.slice(ESCAPED.length)}`, value);
  }
  return shown;
}

/**
 * The attributes of a file of a layer as they are stored: of the overlay's own only those that say something of the
 * layer itself, under one name each. What else an overlay keeps for its own use (`origin`, `impure`, `nlink`, `uuid`)
 * is about files that are not here.
 */
export function storedMarks(xattrs: Xattrs): Map<string, Buffer> {
  const stored = new Map<string, Buffer>();
  for (const [name, value] of xattrs) {
    const prefix = prefixOf(name);
    if (prefix === undefined || name.startsWith(ESCAPED, prefix.length)) stored.set(name, value);
  }
  const { isOpaque, redirect } = overlayMarks(xattrs);
  if (isOpaque) stored.set(OPAQUE_XATTR, OPAQUE_VALUE);
  if (redirect !== undefined) stored.set('trusted.overlay.redirect', Buffer.from(redirect, 'latin1'));
  return stored;
}
