/** Bytes of tar archives for tests, which may be invalid. */
import { encodeTarHeader, TAR_END, type TarEntry, tarPadding } from '../../src/transfer/tar-archive.ts';

export interface TarPart extends Partial<Omit<TarEntry, 'path' | 'target' | 'xattrs'>> {
  /** A byte string. */
  readonly path: string;
  readonly target?: string;
  readonly content?: string | Buffer;
  readonly xattrs?: Readonly<Record<string, string>>;
}

/** The bytes of an archive. A part is a file by default, and a directory if its path ends in '/'. */
export function tarBytes(parts: readonly TarPart[], end: Buffer = TAR_END): Buffer {
  return Buffer.concat([...parts.map(tarPart), end]);
}

function tarPart({ path, target = '', content = '', xattrs = {}, ...rest }: TarPart): Buffer {
  const bytes = Buffer.from(content);
  const header = encodeTarHeader({
    type: path.endsWith('/') ? 'directory' : 'file',
    mode: path.endsWith('/') ? 0o755 : 0o644,
    uid: 0,
    gid: 0,
    sizeBytes: bytes.length,
    mtime: { seconds: 1_600_000_000, nanoseconds: 5 },
    atime: { seconds: 1_600_000_001, nanoseconds: 0 },
    deviceMajor: 0,
    deviceMinor: 0,
    ...rest,
    path: Buffer.from(path, 'latin1'),
    target: Buffer.from(target, 'latin1'),
    xattrs: Object.entries(xattrs).map(([name, value]) => [Buffer.from(name), Buffer.from(value, 'latin1')]),
  });
  return Buffer.concat([header, bytes, tarPadding(bytes.length)]);
}

/** A plain ustar header with any fields, where our writer would make an extended header. */
export function ustarBytes(fields: Readonly<Record<number, string | Buffer>>): Buffer {
  const header = Buffer.alloc(512);
  for (const [at, value] of Object.entries(fields)) Buffer.from(value).copy(header, Number(at));
  header.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}
