/**
 * The marks that make a directory tree a layer of an overlay, as the kernel defines them
 * (Documentation/filesystems/overlayfs.rst). A character device 0/0 is a whiteout. A directory with the attribute
 * `overlay.opaque` = `y` hides the entries of lower layers. In a directory with `overlay.opaque` = `x`, empty files
 * that have the attribute `overlay.whiteout` are whiteouts too. The attributes are in the namespace `trusted.`, or in
 * `user.` if an unprivileged mount (`userxattr`) made them. `overlay.overlay.` escapes the attributes of an overlay
 * inside an overlay.
 */

import { isFileMode, S_IFCHR, S_IFMT } from '../base/index.ts';
import type { InodeRecord } from '../meta/index.ts';

const PREFIXES = ['trusted.overlay.', 'user.overlay.'] as const;
const ESCAPED = 'overlay.';

/** How Ramet stores a whiteout and an opaque directory. */
export const OPAQUE_XATTR = 'trusted.overlay.opaque';
export const OPAQUE_VALUE = Buffer.from('y');
export const WHITEOUT_MODE = S_IFCHR;

export type Xattrs = ReadonlyMap<string, Buffer>;

/** The marks that an overlay reads from the extended attributes of a file or directory. */
export interface OverlayMarks {
  readonly isOpaque: boolean;
  /** True if empty files in this directory are whiteouts when they have the attribute `whiteout`. */
  readonly hasMarkedWhiteouts: boolean;
  readonly isWhiteout: boolean;
  /**
   * The path of the directory in lower layers that is merged with this one: absolute, or a name in the same parent. A
   * byte string. Undefined if no attribute redirects.
   */
  readonly redirect: string | undefined;
  /** True if the file has attributes only, and its bytes are in a lower layer. */
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

/**
 * True when an attribute makes the file a whiteout. Call this only for files in a directory that `hasMarkedWhiteouts`.
 */
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

/**
 * The attributes that an overlay shows: its own marks are left out, and the marks of an overlay inside it lose one
 * level of escape.
 */
export function shownXattrs(xattrs: Xattrs): Map<string, Buffer> {
  const shown = new Map<string, Buffer>();
  for (const [name, value] of xattrs) {
    const prefix = prefixOf(name);
    if (prefix === undefined) shown.set(name, value);
    else if (name.startsWith(ESCAPED, prefix.length))
      shown.set(`${prefix}${name.slice(prefix.length + ESCAPED.length)}`, value);
  }
  return shown;
}

/**
 * The attributes of a layer's file in the form that Ramet stores. Of the overlay's marks this keeps `opaque` = `y` and
 * `redirect`, always in the namespace `trusted.`, and drops the others: `origin`, `impure`, `nlink` and `uuid` are
 * about files that are not here.
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
