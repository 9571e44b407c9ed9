/**
 * Reads whiteouts. In OCI image layers (image-spec, layer.md) an empty file `.wh.NAME` hides NAME in the layers below,
 * and `.wh..wh..opq` hides everything that those layers have in its directory; other names that begin with `.wh..wh.`
 * are internal to AUFS and are ignored. For the layers of overlayfs see `overlay-marks.ts` in `lower`.
 */
import { FsError, type Ino, kindOfMode, type Name } from '../base/index.ts';
import {
  hostRecord,
  OPAQUE_VALUE,
  OPAQUE_XATTR,
  overlayMarks,
  storedMarks,
  WHITEOUT_MODE,
  type Xattrs,
} from '../lower/index.ts';
import type { LayerBuilder } from '../store/index.ts';
import type { HostStat } from '../sys/index.ts';
import type { ImportTally } from './import-report.ts';

/** The form of whiteouts in an import; with `none` every name is an ordinary file. */
export type WhiteoutForm = 'oci' | 'overlay' | 'none';

/** The prefix of the name of a whiteout. */
export const OCI_PREFIX = '.wh.';
const OCI_META = '.wh..wh.';
export const OCI_OPAQUE = '.wh..wh..opq';

/** The name that an OCI whiteout hides; undefined if the file is no whiteout. */
export function ociWhiteout(name: Name): Name | undefined {
  // The cast: the rest of a name is a name, or empty.
  return name.startsWith(OCI_PREFIX) ? (name.slice(OCI_PREFIX.length) as Name) : undefined;
}

/** Whether a path with these names is internal to AUFS. */
export function isOciMeta(directories: readonly Name[], last: Name): boolean {
  if (last.startsWith(OCI_META) && last !== OCI_OPAQUE) return true;
  return directories.some((name) => name.startsWith(OCI_META));
}

/** True if a file can have this name. A whiteout can hide no other name. */
export function isName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..';
}

/** Throws ENOTSUP for a file whose bytes are in another layer, because an import of it would be empty or wrong. */
function refuseMetacopy(xattrs: Xattrs, path: string): void {
  if (!overlayMarks(xattrs).isMetacopy) return;
  const note =
    'it has the mark `overlay.metacopy`: its bytes are in another layer. ' +
    'Mount the overlay with metacopy=off and copy the file up, or import the mounted overlay itself';
  throw new FsError('ENOTSUP', { syscall: 'import', path, note });
}

/** The file or directory that attributes belong to. */
export interface AttributedFile {
  /** For messages. */
  readonly shown: string;
  readonly mode: number;
}

/**
 * The attributes of a file or directory as the layer stores them. ENOTSUP if the form is `overlay` and the file's bytes
 * are in another layer.
 */
export function storedXattrs(
  form: WhiteoutForm,
  xattrs: Map<string, Buffer>,
  { shown, mode }: AttributedFile,
  tally: ImportTally,
): Map<string, Buffer> {
  if (xattrs.size === 0) return xattrs;
  const kept = tally.keptXattrs(shown, mode, xattrs);
  if (form !== 'overlay') return kept;
  refuseMetacopy(kept, shown);
  return storedMarks(kept);
}

/** The meaning of the whiteouts in a host directory. */
export interface WhiteoutPlan {
  /** The names to import: all except those of OCI whiteouts. */
  readonly names: readonly Name[];
  /** Names for which there is only a whiteout. */
  readonly hidden: readonly Name[];
  /** Names that have both a whiteout and a file. If the file is a directory, the import makes it opaque. */
  readonly replaced: ReadonlySet<Name>;
  /** Whether empty files may be whiteouts, marked by an attribute. */
  readonly mayHaveMarked: boolean;
  /**
   * The extended attributes to store for the directory. `isOpaque`: a whiteout of the directory's own name hides the
   * directories of that name in lower layers.
   */
  xattrs(isOpaque: boolean): Map<string, Buffer>;
}

export function planWhiteouts(
  form: WhiteoutForm,
  found: readonly Name[],
  hostXattrs: Map<string, Buffer>,
  { shown: path, mode }: AttributedFile,
  tally: ImportTally,
): WhiteoutPlan {
  const stored = storedXattrs(form, hostXattrs, { shown: path, mode }, tally);
  const isOpaqueHere = form === 'oci' && found.includes(OCI_OPAQUE as Name); // The cast: a valid name.
  const hiding = form === 'oci' ? found.filter((name) => name.startsWith(OCI_PREFIX)) : [];
  const names = hiding.length === 0 ? found : found.filter((name) => !name.startsWith(OCI_PREFIX));
  const present = new Set(hiding.length === 0 ? [] : names);
  const targets = hiding.filter((name) => !name.startsWith(OCI_META)).map((name) => ociWhiteout(name)!);
  const bad = targets.find((name) => !isName(name));
  if (bad !== undefined) {
    const note = `'${OCI_PREFIX}${bad}' in it is a whiteout without a name`;
    throw new FsError('EINVAL', { syscall: 'import', path, note });
  }
  return {
    names,
    hidden: targets.filter((name) => !present.has(name)),
    replaced: new Set(targets.filter((name) => present.has(name))),
    mayHaveMarked: form === 'overlay' && overlayMarks(hostXattrs).hasMarkedWhiteouts,
    xattrs: (isOpaque) =>
      isOpaque || isOpaqueHere ? new Map(stored).set(OPAQUE_XATTR, OPAQUE_VALUE) : stored,
  };
}

/** Puts whiteouts into a layer, with the owner and times of `stat`. Returns their count. */
export function putWhiteouts(
  builder: LayerBuilder,
  directory: Ino,
  names: readonly Name[],
  stat: HostStat,
): number {
  const record = hostRecord({ ...stat, mode: WHITEOUT_MODE, rdev: 0 }, { nlink: 1, parent: directory });
  for (const name of names) {
    const ino = builder.newIno();
    builder.putInode(ino, record);
    builder.putDentry(directory, name, ino, kindOfMode(record.mode));
  }
  return names.length;
}
