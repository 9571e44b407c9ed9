/** A host directory with one of everything that an import must carry over. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  ftruncateSync,
  lchownSync,
  linkSync,
  mkdirSync,
  openSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { SeededRandom } from '../../src/base/index.ts';
import type { System } from '../../src/sys/index.ts';
import { makeNode, onPath, writeXattr } from '../host/by-path.ts';

const MEBIBYTE = 1024 * 1024;

/** Whether this process may make devices and give files away. */
export const isRoot = process.getuid?.() === 0;

/** Bytes that a seed decides. */
export function seededBytes(seed: number, length: number): Buffer {
  const random = new SeededRandom(seed);
  const bytes = Buffer.alloc(length + 4);
  for (let at = 0; at < length; at += 4) bytes.writeUInt32LE(random.next32(), at);
  return bytes.subarray(0, length);
}

/** Writes pieces at their positions and sets the size: what lies between is a hole. */
export function writeSparse(
  path: string,
  size: number,
  pieces: readonly (readonly [number, Buffer])[],
): void {
  const fd = openSync(path, 'wx');
  try {
    for (const [position, bytes] of pieces) writeSync(fd, bytes, 0, bytes.length, position);
    ftruncateSync(fd, size);
  } finally {
    closeSync(fd);
  }
}

/**
 * Fills `root`, which must be an empty directory. `system` sets extended attributes and times to the
 * nanosecond. Fifos are always made; devices and foreign owners only by root. A filesystem without user
 * attributes gets none.
 */
export function makeOddTree(system: System, root: string): void {
  const at = (name: string): string => join(root, name);
  makeFiles(at);
  makeSparseFiles(at);
  makeLinks(at);
  execFileSync('mkfifo', [at('fifo')]);
  if (isRoot) makeRootsOwn(system, at);
  setAttributes(system, at);
  // Times last: everything above changes them.
  const times: readonly (readonly [string, number, number])[] = [
    ['plain', 1, 123_456_789],
    ['large', -6, 500_000_001],
    ['sub', 4_000_000_000, 999_999_999],
    ['sub/to-plain', 1_000_000, 1],
  ];
  for (const [name, seconds, nanoseconds] of times) {
    const atime = { seconds: 77, nanoseconds: 7 };
    onPath(system, at(name), (fd) => system.setFileTimes(fd, atime, { seconds, nanoseconds }));
  }
}

function makeFiles(at: (name: string) => string): void {
  mkdirSync(at('sub/deeper/still'), { recursive: true });
  mkdirSync(at('empty'));
  writeFileSync(at('plain'), 'plain\n');
  writeFileSync(at('nothing'), '');
  writeFileSync(at('block'), seededBytes(1, 4096));
  writeFileSync(at('block-and-one'), seededBytes(2, 4097));
  writeFileSync(at('zeros'), Buffer.alloc(20_000));
  writeFileSync(at('below-own'), seededBytes(3, MEBIBYTE - 1));
  writeFileSync(at('own'), seededBytes(4, MEBIBYTE));
  writeFileSync(at('large'), seededBytes(5, 3 * MEBIBYTE + 123));
  writeFileSync(at('sub/large-again'), seededBytes(5, 3 * MEBIBYTE + 123));
  writeFileSync(at('sub/plain-again'), 'plain\n');
  writeFileSync(at(' spaces and\ttab '), 'a');
  writeFileSync(at('new\nline'), 'b');
  writeFileSync(at('ünïcödé ✓'), 'c');
  writeFileSync(at('x'.repeat(255)), 'longest name');
  writeFileSync(
    Buffer.concat([Buffer.from(`${at('')}/`), Buffer.from([0x62, 0xff, 0xfe, 0x80])]),
    'not UTF-8',
  );
}

function makeSparseFiles(at: (name: string) => string): void {
  writeSparse(at('hole-only'), 5 * MEBIBYTE + 5, []);
  writeSparse(at('small-sparse'), 300_001, [[200_000, seededBytes(6, 5000)]]);
  writeSparse(at('mostly-hole'), 20 * MEBIBYTE + 77, [
    [MEBIBYTE, seededBytes(7, 5000)],
    [9 * MEBIBYTE + 1, seededBytes(8, 100)],
  ]);
  writeSparse(at('half-hole'), 5 * MEBIBYTE, [
    [0, seededBytes(9, 2 * MEBIBYTE)],
    [3 * MEBIBYTE, seededBytes(10, MEBIBYTE + 1)],
  ]);
  writeSparse(at('sub/half-hole-again'), 5 * MEBIBYTE, [
    [0, seededBytes(9, 2 * MEBIBYTE)],
    [3 * MEBIBYTE, seededBytes(10, MEBIBYTE + 1)],
  ]);
}

function makeLinks(at: (name: string) => string): void {
  linkSync(at('plain'), at('plain-link'));
  linkSync(at('plain'), at('sub/deeper/plain-link'));
  linkSync(at('large'), at('sub/large-link'));
  symlinkSync('../plain', at('sub/to-plain'));
  symlinkSync('/does/not/exist', at('dangling'));
  symlinkSync('.', at('loop'));
  symlinkSync(Buffer.from([0x74, 0xff, 0x6f]), at('odd-target'));
  linkSync(at('dangling'), at('dangling-link'));
}

function makeRootsOwn(system: System, at: (name: string) => string): void {
  // Character device 1:3 and block device 7:300, in makedev(3)'s form.
  makeNode(system, at('null'), 0o020666, 0x103);
  makeNode(system, at('block-device'), 0o060640, 7 * 256 + (300 & 0xff) + (300 >> 8) * 2 ** 20);
  chownSync(at('sub'), 1234, 5678);
  lchownSync(at('sub/to-plain'), 12, 34);
  chownSync(at('own'), 99_999, 3_000_000);
}

function setAttributes(system: System, at: (name: string) => string): void {
  chmodSync(at('large'), 0o4755);
  chmodSync(at('sub'), 0o1777);
  chmodSync(at('empty'), 0o555);
  chmodSync(at('block'), isRoot ? 0o000 : 0o400);
  if (system.kind !== 'native') return;
  writeXattr(system, at('plain'), 'user.bytes', Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
  writeXattr(system, at('plain'), 'user.empty', Buffer.alloc(0));
  writeXattr(system, at('sub'), 'user.directory', Buffer.from('d'));
  if (isRoot) writeXattr(system, at('dangling'), 'trusted.link', Buffer.from('l'));
}
