/**
 * Fields that identify a directory of the host, in the rows of layers and imported trees; and rows of the host table,
 * which list the layers of such a directory. Key: see key-format.
 *
 * In a row of a layer or a tree:
 *
 *   varint  inode; u8 1 when the birth follows, else 0; i64 seconds; u32 nanoseconds
 *
 * and at the end, since these fields were added later:
 *
 *   varint  length, then bytes: UUID of the filesystem; empty if unknown
 *   varint  number of the subvolume plus 1; 0 if unknown
 *
 * A row of the host table:
 *
 *   varint  layer; more layers follow, to the end of the row, if directories at other places have the same key
 */
import { type HostIno, isSameTimespec, type LayerId, type Timespec } from '../base/index.ts';
import { type Format, hostIno, layerNumber, optional, timespec } from './fields.ts';

/**
 * Identifies a directory of the host across mounts. It is not unique: a copy of a filesystem has the same identity. So
 * compare it only with the identity of the directory that was at the same place before.
 */
export interface HostIdentity {
  readonly ino: HostIno;
  /** Undefined where the host keeps no birth times. */
  readonly birth: Timespec | undefined;
  /** 32 hex digits. Undefined where the kernel does not report it. */
  readonly fileSystemUuid: string | undefined;
  /**
   * The part of the filesystem within which inode numbers are unique. Undefined where the kernel does not report it.
   */
  readonly subvolume: number | undefined;
}

export const inodeAndBirth = { ino: hostIno, birth: optional(timespec) };

export const fileSystemFormat: Format<Pick<HostIdentity, 'fileSystemUuid' | 'subvolume'>> = {
  write(writer, { fileSystemUuid, subvolume }) {
    writer.bytes(Buffer.from(fileSystemUuid ?? '', 'hex'));
    writer.varint(subvolume === undefined ? 0 : subvolume + 1);
  },
  read(reader) {
    // Rows of older versions end here.
    if (reader.isAtEnd) return { fileSystemUuid: undefined, subvolume: undefined };
    const uuid = reader.bytes().toString('hex');
    const subvolume = reader.varint();
    return {
      fileSystemUuid: uuid === '' ? undefined : uuid,
      subvolume: subvolume === 0 ? undefined : subvolume - 1,
    };
  },
};

/**
 * True if the directory that is `now` at a place may be the one that was there `then`. UUID and subvolume are ignored
 * if one of the two does not have them.
 */
export function isSameDirectory(then: HostIdentity, now: HostIdentity): boolean {
  const differs = <T>(a: T | undefined, b: T | undefined): boolean =>
    a !== undefined && b !== undefined && a !== b;
  return (
    then.ino === now.ino &&
    isSameTimespec(then.birth, now.birth) &&
    !differs(then.fileSystemUuid, now.fileSystemUuid) &&
    !differs(then.subvolume, now.subvolume)
  );
}

export const hostLayersFormat: Format<LayerId[], readonly LayerId[]> = {
  write(writer, layers) {
    for (const layer of layers) writer.varint(layer);
  },
  read(reader) {
    const layers: LayerId[] = [];
    // A row has at least one layer.
    do layers.push(layerNumber.read(reader));
    while (!reader.isAtEnd);
    return layers;
  },
};
