/**
 * Reads a tar archive member by member: POSIX.1-2001 pax interchange format, ustar, and GNU tar's own forms (`L` and
 * `K` headers, numbers in base 256). Names, link targets and extended attributes are bytes, as in `tar-archive.ts`.
 */
import { FsError, PATH_BYTES_MAX } from '../base/index.ts';
import type { ByteStream } from './byte-stream.ts';
import { BLOCK_BYTES, type TarFields, type TarTime, type TarType, XATTR_KEY } from './tar-archive.ts';

/**
 * The most bytes of extended headers that one member may have. No genuine archive needs as many: an attribute has 64
 * KiB at most.
 */
const EXTENDED_BYTES_MAX = 16 * 1024 * 1024;
/**
 * The most bytes of global headers in an archive. Every member that follows gets a copy, so even a member of a few
 * bytes may cost this much memory.
 */
const GLOBAL_BYTES_MAX = 64 * 1024;
/** Keys of the records that are read; others, for example comments, are ignored. */
const KEYS = new Set(['path', 'linkpath', 'size', 'uid', 'gid', 'mtime', 'atime', 'ctime']);
const SHOWN_CHARACTERS_MAX = 100;

const TYPES: Readonly<Record<string, TarType>> = {
  '\0': 'file',
  '0': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
};

export interface TarMember extends TarFields {
  /** A byte string, as it is in the archive. */
  readonly path: string;
  readonly ctime: TarTime;
  /** The target of a link or symlink, a byte string. */
  readonly target: string;
  /** Values by name; names are byte strings. */
  readonly xattrs: Map<string, Buffer>;
}

const SPARSE_KEY = 'GNU.sparse.';

export class TarReader {
  private readonly bytes: ByteStream;
  private readonly header = Buffer.alloc(BLOCK_BYTES);
  /** Records of global extended headers, for all members that follow. */
  private readonly global = new Map<string, Buffer>();
  /** Bytes of the current member's content that were not read yet. */
  private contentLeft = 0;
  /** Bytes that extended headers may still have before the next member; global ones count too. */
  private extendedLeft = EXTENDED_BYTES_MAX;
  /** Bytes that global headers may still have in the rest of the archive. */
  private globalLeft = GLOBAL_BYTES_MAX;
  /** Bytes of the padding after that content. */
  private paddingLeft = 0;

  constructor(bytes: ByteStream) {
    this.bytes = bytes;
  }

  /**
   * The next member; undefined at the end of the archive. ENOTDIR where the file is no tar archive; EINVAL for an
   * archive that is damaged, ends early, or has sparse files.
   */
  async next(): Promise<TarMember | undefined> {
    await this.skipContent();
    const extended = new Map(this.global);
    this.extendedLeft = EXTENDED_BYTES_MAX;
    for (;;) {
      if (!(await this.readHeader())) return undefined;
      const { header } = this;
      const type = String.fromCharCode(header[156]!);
      const sizeBytes = this.number(124, 12, 'size');
      if (type === 'x') parsePax(await this.readExtended(sizeBytes), extended, this.bytes);
      else if (type === 'g') parsePax(await this.readGlobal(sizeBytes), this.global, this.bytes);
      else if (type === 'L') extended.set('path', cString(await this.readExtended(sizeBytes)));
      else if (type === 'K') extended.set('linkpath', cString(await this.readExtended(sizeBytes)));
      else return this.member(type, sizeBytes, extended);
      if (type === 'g') for (const [key, value] of this.global) extended.set(key, value);
    }
  }

  /** The next bytes of the current member's content; EINVAL where the archive ends before the content does. */
  async readContent(target: Buffer, length: number): Promise<void> {
    if ((await this.bytes.read(target, length)) < length) throw this.bytes.damage('it ends in a file');
    this.contentLeft -= length;
  }

  private async skipContent(): Promise<void> {
    const length = this.contentLeft + this.paddingLeft;
    if ((await this.bytes.skip(length)) < length) throw this.bytes.damage('it ends in a file');
    this.contentLeft = 0;
    this.paddingLeft = 0;
  }

  private willRead(sizeBytes: number): void {
    this.contentLeft = sizeBytes;
    this.paddingLeft = (BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES;
  }

  /**
   * Reads the next header. Returns false at the end mark, a block of zeros, after reading the rest of the archive,
   * which verifies gzip's checksum.
   */
  private async readHeader(): Promise<boolean> {
    const { bytes, header } = this;
    const isFirst = bytes.position === 0;
    const count = await bytes.read(header, BLOCK_BYTES);
    if (count < BLOCK_BYTES) {
      if (isFirst) throw this.notTar();
      throw bytes.damage(count === 0 ? 'it ends without an end mark' : 'it ends in a header');
    }
    if (header.every((byte) => byte === 0)) {
      await bytes.skip(Number.POSITIVE_INFINITY);
      return false;
    }
    if (!hasRightSum(header)) throw isFirst ? this.notTar() : bytes.damage('a header has a wrong checksum');
    return true;
  }

  private notTar(): FsError {
    const note = 'and it is no tar archive, plain or compressed with gzip';
    return new FsError('ENOTDIR', { syscall: 'import', path: this.bytes.path, note });
  }

  private async readGlobal(sizeBytes: number): Promise<Buffer> {
    this.globalLeft -= sizeBytes;
    if (this.globalLeft < 0)
      throw this.bytes.damage(`global extended headers of more than ${GLOBAL_BYTES_MAX} bytes`);
    return await this.readExtended(sizeBytes);
  }

  private async readExtended(sizeBytes: number): Promise<Buffer> {
    this.extendedLeft -= sizeBytes;
    if (this.extendedLeft < 0)
      throw this.bytes.damage(`extended headers of one member of more than ${EXTENDED_BYTES_MAX} bytes`);
    this.willRead(sizeBytes);
    const body = Buffer.alloc(sizeBytes);
    await this.readContent(body, sizeBytes);
    await this.skipContent();
    return body;
  }

  private member(flag: string, headerBytes: number, extended: ReadonlyMap<string, Buffer>): TarMember {
    const path = extended.get('path') ?? this.headerPath();
    const shown = path.toString('utf8', 0, SHOWN_CHARACTERS_MAX);
    const target = extended.get('linkpath') ?? cString(this.header.subarray(157, 257));
    if (path.length >= PATH_BYTES_MAX || target.length >= PATH_BYTES_MAX) {
      const what = path.length >= PATH_BYTES_MAX ? 'is a path' : 'has a target';
      const note =
        `'${shown}…' in it ${what} of more than ${PATH_BYTES_MAX - 1} bytes, ` +
        'which no call could take: pack it with shorter paths, or in parts';
      throw new FsError('ENAMETOOLONG', { syscall: 'import', path: this.bytes.path, note });
    }
    const isSparse = flag === 'S' || [...extended.keys()].some((key) => key.startsWith(SPARSE_KEY));
    if (isSparse) {
      const note = `'${shown}' is stored as a sparse file: unpack the archive with tar, and import the directory`;
      throw new FsError('EINVAL', { syscall: 'import', path: this.bytes.path, note });
    }
    let type = TYPES[flag];
    if (type === undefined)
      throw this.bytes.damage(`'${shown}' is of an unknown type, ${JSON.stringify(flag)}`);
    // Old archives, from before there was a type for directories, mark directories by a slash at the end of the name.
    if (type === 'file' && path.at(-1) === 0x2f) type = 'directory';
    const sizeBytes = this.extendedNumber(extended, 'size') ?? headerBytes;
    this.willRead(type === 'file' ? sizeBytes : 0);
    const mtime = this.time(extended, 'mtime') ?? { seconds: this.number(136, 12, 'mtime'), nanoseconds: 0 };
    const isDevice = type === 'character' || type === 'block';
    return {
      path: path.toString('latin1'),
      type,
      mode: this.number(100, 8, 'mode') & 0o7777,
      uid: this.extendedNumber(extended, 'uid') ?? this.number(108, 8, 'uid'),
      gid: this.extendedNumber(extended, 'gid') ?? this.number(116, 8, 'gid'),
      sizeBytes: type === 'file' ? sizeBytes : 0,
      mtime,
      atime: this.time(extended, 'atime') ?? mtime,
      ctime: this.time(extended, 'ctime') ?? mtime,
      target: target.toString('latin1'),
      deviceMajor: isDevice ? this.number(329, 8, 'device') : 0,
      deviceMinor: isDevice ? this.number(337, 8, 'device') : 0,
      xattrs: xattrsOf(extended),
    };
  }

  private headerPath(): Buffer {
    const { header } = this;
    const name = cString(header.subarray(0, 100));
    const isUstar = header.toString('latin1', 257, 263) === 'ustar\0';
    const prefix = isUstar ? cString(header.subarray(345, 500)) : Buffer.alloc(0);
    return prefix.length === 0 ? name : Buffer.concat([prefix, Buffer.from('/'), name]);
  }

  /** A number in the header: octal digits, or base 256 where the first bit is set. */
  private number(at: number, width: number, what: string): number {
    const field = this.header.subarray(at, at + width);
    let value = 0;
    if ((field[0]! & 0x80) !== 0) {
      const isNegative = (field[0]! & 0x40) !== 0;
      value = isNegative ? (field[0]! | 0x80) - 0x100 : field[0]! & 0x7f;
      for (const byte of field.subarray(1)) value = value * 256 + byte;
    } else {
      const digits = field.toString('latin1').replace(/\0.*$/s, '').trim();
      if (!/^[0-7]*$/.test(digits)) throw this.bytes.damage(`${what} is ${JSON.stringify(digits)}`);
      value = digits === '' ? 0 : Number.parseInt(digits, 8);
    }
    if (!Number.isSafeInteger(value) || (what !== 'mtime' && value < 0)) {
      throw this.bytes.damage(`${what} is ${value}`);
    }
    return value;
  }

  private extendedNumber(extended: ReadonlyMap<string, Buffer>, key: string): number | undefined {
    const text = extended.get(key)?.toString('latin1');
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw this.bytes.damage(`${key} is '${text}'`);
    return value;
  }

  /** Decimal seconds; before 1970 the minus sign applies to the fraction too. */
  private time(extended: ReadonlyMap<string, Buffer>, key: string): TarTime | undefined {
    const text = extended.get(key)?.toString('latin1');
    if (text === undefined) return undefined;
    const parts = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(text);
    if (parts === null) throw this.bytes.damage(`${key} is '${text}'`);
    const whole = Number(parts[2]);
    const fraction = Number((parts[3] ?? '').slice(0, 9).padEnd(9, '0'));
    if (parts[1] === '') return { seconds: whole, nanoseconds: fraction };
    return fraction === 0
      ? { seconds: -whole, nanoseconds: 0 }
      : { seconds: -whole - 1, nanoseconds: 1e9 - fraction };
  }
}

/** Bytes up to the first zero. */
function cString(field: Buffer): Buffer {
  const end = field.indexOf(0);
  return Buffer.from(end < 0 ? field : field.subarray(0, end));
}

/**
 * Whether the checksum is right: the sum of all bytes, with spaces in its own field. Old writers summed signed bytes.
 */
function hasRightSum(header: Buffer): boolean {
  const stored = Number.parseInt(header.toString('latin1', 148, 156).replace(/\0.*$/s, '').trim(), 8);
  let sum = 0;
  let signed = 0;
  for (let at = 0; at < BLOCK_BYTES; at++) {
    const byte = at >= 148 && at < 156 ? 0x20 : header[at]!;
    sum += byte;
    signed += byte < 0x80 ? byte : byte - 0x100;
  }
  return stored === sum || stored === signed;
}

/** Adds the records of an extended header, each `LENGTH KEY=VALUE\n`; LENGTH counts the whole record. */
function parsePax(body: Buffer, records: Map<string, Buffer>, bytes: ByteStream): void {
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at);
    // A length has eight digits at most: an extended header has 16 MiB at most.
    const digits = body.toString('latin1', at, Math.min(space, at + 9));
    const length = /^\d{1,8}$/.test(digits) ? Number(digits) : Number.NaN;
    const end = at + length;
    const equals = body.indexOf(0x3d, space);
    const isGood =
      space > at && Number.isSafeInteger(length) && end <= body.length && equals > space && equals < end;
    if (!isGood || body[end - 1] !== 0x0a) throw bytes.damage('an extended header has a broken record');
    const key = body.toString('latin1', space + 1, equals);
    const value = Buffer.from(body.subarray(equals + 1, end - 1));
    at = end;
    const isXattr = key.startsWith(XATTR_KEY);
    if (!isXattr && !KEYS.has(key) && !key.startsWith(SPARSE_KEY)) continue;
    // An empty value removes an earlier record; only an attribute may be empty.
    if (value.length === 0 && !isXattr) records.delete(key);
    else records.set(key, value);
  }
}

function xattrsOf(extended: ReadonlyMap<string, Buffer>): Map<string, Buffer> {
  const xattrs = new Map<string, Buffer>();
  for (const [key, value] of extended) {
    if (key.startsWith(XATTR_KEY)) xattrs.set(key.slice(XATTR_KEY.length), value);
  }
  return xattrs;
}
