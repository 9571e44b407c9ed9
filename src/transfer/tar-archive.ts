/**
 * Encodes the bytes of a tar archive, without any I/O: POSIX.1-2001 pax interchange format (pax(1)), ustar headers,
 * each with an extended header before it for the fields that ustar cannot hold. Names, link targets and attribute
 * values are raw bytes throughout, so a library that takes strings would not do: a name that is not UTF-8 must come out
 * unchanged. Extended attributes are `SCHILY.xattr.NAME`, as in GNU tar, star and bsdtar.
 */
import { assert } from '../base/index.ts';

export const BLOCK_BYTES = 512;
/** The prefix of the key of an extended attribute; the attribute's name follows. */
export const XATTR_KEY = 'SCHILY.xattr.';
const NAME_BYTES = 100;
/** Largest numbers of the octal fields. */
const ID_MAX = 0o7777777;
const SIZE_MAX = 0o77777777777;
const TIME_MAX = 0o77777777777;
const DEVICE_MAX = 0o7777777;

export type TarType = 'file' | 'link' | 'symlink' | 'character' | 'block' | 'directory' | 'fifo';

const TYPE_FLAGS: Readonly<Record<TarType, string>> = {
  file: '0',
  link: '1',
  symlink: '2',
  character: '3',
  block: '4',
  directory: '5',
  fifo: '6',
};

export interface TarTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** The fields that files written to an archive and files read from one have in common. */
export interface TarFields {
  readonly type: TarType;
  /** Permission bits only. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content that follow the header; 0 for anything but a regular file. */
  readonly sizeBytes: number;
  readonly mtime: TarTime;
  readonly atime: TarTime;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

export interface TarEntry extends TarFields {
  /** The path in bytes; that of a directory ends in '/'. */
  readonly path: Buffer;
  /** Target of a link or symlink; empty for others. */
  readonly target: Buffer;
  /** Names and values, both bytes. */
  readonly xattrs: readonly (readonly [name: Buffer, value: Buffer])[];
}

/** The end mark after the last entry. */
export const TAR_END = Buffer.alloc(2 * BLOCK_BYTES);

/** The zeros that fill up the last block of content of `sizeBytes`. */
export function tarPadding(sizeBytes: number): Buffer {
  return Buffer.alloc((BLOCK_BYTES - (sizeBytes % BLOCK_BYTES)) % BLOCK_BYTES);
}

/** Everything before an entry's content: always an extended header, then the ustar header. */
export function encodeTarHeader(entry: TarEntry): Buffer {
  const records = paxRecords(entry);
  const body = Buffer.concat(records);
  return Buffer.concat([
    ustarHeader('x', paxName(entry.path), { ...entry, mode: 0o644, target: Buffer.alloc(0) }, body.length),
    body,
    tarPadding(body.length),
    ustarHeader(TYPE_FLAGS[entry.type], entry.path, entry, entry.sizeBytes),
  ]);
}

function paxRecords(entry: TarEntry): Buffer[] {
  const records = [
    paxRecord('mtime', Buffer.from(paxTime(entry.mtime))),
    paxRecord('atime', Buffer.from(paxTime(entry.atime))),
  ];
  if (entry.path.length > NAME_BYTES || !isAscii(entry.path)) records.push(paxRecord('path', entry.path));
  if (entry.target.length > NAME_BYTES || !isAscii(entry.target)) {
    records.push(paxRecord('linkpath', entry.target));
  }
  if (entry.uid > ID_MAX) records.push(paxRecord('uid', Buffer.from(String(entry.uid))));
  if (entry.gid > ID_MAX) records.push(paxRecord('gid', Buffer.from(String(entry.gid))));
  if (entry.sizeBytes > SIZE_MAX) records.push(paxRecord('size', Buffer.from(String(entry.sizeBytes))));
  for (const [name, value] of entry.xattrs) {
    records.push(paxRecord(Buffer.concat([Buffer.from(XATTR_KEY), name]), value));
  }
  return records;
}

/** `LENGTH KEY=VALUE\n`, where LENGTH counts itself. */
function paxRecord(key: string | Buffer, value: Buffer): Buffer {
  const rest = Buffer.concat([
    Buffer.from(' '),
    Buffer.from(key),
    Buffer.from('='),
    value,
    Buffer.from('\n'),
  ]);
  let length = rest.length + 1;
  while (rest.length + String(length).length !== length) length = rest.length + String(length).length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** Decimal seconds; before 1970 the minus sign applies to the fraction too. */
function paxTime({ seconds, nanoseconds }: TarTime): string {
  if (seconds < 0 && nanoseconds > 0) {
    const whole = seconds + 1;
    const sign = whole === 0 ? '-' : '';
    return `${sign}${whole}.${String(1e9 - nanoseconds).padStart(9, '0')}`;
  }
  return `${seconds}.${String(nanoseconds).padStart(9, '0')}`;
}

/** The name of an extended header: readers that do not know extended headers unpack it as a file of this name. */
function paxName(path: Buffer): Buffer {
  const text = path.toString('latin1').replace(/\/+$/, '');
  const last = text.slice(text.lastIndexOf('/') + 1).slice(0, NAME_BYTES - 12);
  return Buffer.from(`PaxHeaders/${last}`, 'latin1');
}

function isAscii(bytes: Buffer): boolean {
  return bytes.every((byte) => byte < 0x80);
}

type HeaderFields = Pick<
  TarEntry,
  'mode' | 'uid' | 'gid' | 'mtime' | 'target' | 'deviceMajor' | 'deviceMinor'
>;

function ustarHeader(typeFlag: string, path: Buffer, fields: HeaderFields, sizeBytes: number): Buffer {
  const block = Buffer.alloc(BLOCK_BYTES);
  // A value that does not fit is cut here; the extended header has it in full.
  path.copy(block, 0, 0, NAME_BYTES);
  octal(block, 100, 8, fields.mode & 0o7777);
  octal(block, 108, 8, Math.min(fields.uid, ID_MAX));
  octal(block, 116, 8, Math.min(fields.gid, ID_MAX));
  octal(block, 124, 12, Math.min(sizeBytes, SIZE_MAX));
  octal(block, 136, 12, Math.max(0, Math.min(fields.mtime.seconds, TIME_MAX)));
  block.fill(0x20, 148, 156);
  block.write(typeFlag, 156, 'latin1');
  fields.target.copy(block, 157, 0, NAME_BYTES);
  block.write('ustar\x0000', 257, 'latin1');
  octal(block, 329, 8, Math.min(fields.deviceMajor, DEVICE_MAX));
  octal(block, 337, 8, Math.min(fields.deviceMinor, DEVICE_MAX));
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\x00 `, 148, 'latin1');
  return block;
}

/** Writes a number in octal, with leading zeros and a zero byte at the end. */
function octal(block: Buffer, at: number, width: number, value: number): void {
  const digits = value.toString(8).padStart(width - 1, '0');
  assert(digits.length < width, 'a number fits its field');
  block.write(`${digits}\x00`, at, 'latin1');
}
