/**
 * A table of the names of extended attributes that each kind of file can have, and of the errors of all others. Tests
 * try it on ext4, on mounts, and in the library.
 */
import assert from 'node:assert/strict';

/** The calls of xattr(7) on one filesystem, on a path itself. They throw errors with `code`. */
export interface XattrCalls {
  get(path: string, name: string): string;
  set(path: string, name: string, value: string): void;
  remove(path: string, name: string): void;
}

/** The outcomes of get, set, get, remove and remove, in one line. */
function tried(calls: XattrCalls, path: string, name: string): string {
  const outcome = (call: () => string | undefined): string => {
    try {
      return call() ?? 'ok';
    } catch (error) {
      return String((error as NodeJS.ErrnoException).code);
    }
  };
  return [
    outcome(() => calls.get(path, name)),
    // The cast: set and remove return nothing.
    outcome(() => calls.set(path, name, 'value') as undefined),
    outcome(() => calls.get(path, name)),
    outcome(() => calls.remove(path, name) as undefined),
    outcome(() => calls.remove(path, name) as undefined),
  ].join(' ');
}

const KEPT = 'ENODATA ok value ok ENODATA';
/** A user who may not set the attribute does not see it either. */
const NOT_ALLOWED = 'ENODATA EPERM ENODATA EPERM EPERM';
const NOT_WRITABLE = 'ENODATA EACCES ENODATA EACCES EACCES';
const always = (code: string): string => Array(5).fill(code).join(' ');

/** A name, its outcomes on files and directories, and its outcomes on all other types. */
type Row = readonly [name: string, onFiles: string, onOthers: string];

const ofAll = (outcomes: string, names: readonly string[]): Row[] =>
  names.map((name) => [name, outcomes, outcomes]);

const ROWS: readonly Row[] = [
  ['user.a', KEPT, NOT_ALLOWED],
  ['user..', KEPT, NOT_ALLOWED],
  [`user.${'x'.repeat(250)}`, KEPT, NOT_ALLOWED],
  ['user.', always('EINVAL'), NOT_ALLOWED],
  ...ofAll(KEPT, ['trusted.a', 'security.a', `trusted.${'x'.repeat(247)}`]),
  ...ofAll(always('EINVAL'), ['trusted.', 'security.']),
  ...ofAll(always('ENOTSUP'), ['system.', 'system.a', 'system.data', 'system.nfs4_acl', 'system.richacl']),
  ...ofAll(always('ENOTSUP'), ['system.posix_acl_accessx', 'system.posix_acl', 'System.posix_acl_access']),
  ...ofAll(always('ENOTSUP'), [
    'user',
    'trusted',
    'security',
    'system',
    'foo',
    'foo.bar',
    '.',
    '.a',
    'User.a',
  ]),
  ...ofAll(always('ENOTSUP'), ['btrfs.compression', 'com.apple.quarantine', 'os2.a', 'x'.repeat(255)]),
  ...ofAll(always('ERANGE'), ['', `user.${'x'.repeat(251)}`, 'x'.repeat(256), 'x'.repeat(1000)]),
];

/** `files` are files and directories, `others` have the other types. The superuser owns all and makes the calls. */
export function tryXattrNames(calls: XattrCalls, files: readonly string[], others: readonly string[]): void {
  for (const [name, onFiles, onOthers] of ROWS) {
    for (const path of files) assert.equal(tried(calls, path, name), onFiles, `'${name}' of ${path}`);
    for (const path of others) assert.equal(tried(calls, path, name), onOthers, `'${name}' of ${path}`);
  }
}

/** Files of the superuser, whose attributes a user without privileges tries to see and set. */
export interface StrangersPaths {
  /** A file that everybody may write. */
  readonly writable: string;
  /** A file that everybody may read. */
  readonly readable: string;
  /** A file that only its owner may use. */
  readonly closed: string;
  /** A directory of mode 01777. */
  readonly sticky: string;
}

export function tryXattrsAsStranger(
  calls: XattrCalls,
  { writable, readable, closed, sticky }: StrangersPaths,
): void {
  for (const [path, name, expected] of [
    [writable, 'user.a', KEPT],
    [readable, 'user.a', NOT_WRITABLE],
    [closed, 'user.a', always('EACCES')],
    [sticky, 'user.a', NOT_ALLOWED],
    [writable, 'trusted.a', NOT_ALLOWED],
    [closed, 'trusted.a', NOT_ALLOWED],
    [writable, 'security.a', NOT_ALLOWED],
    [writable, 'system.a', always('ENOTSUP')],
  ] as const) {
    assert.equal(tried(calls, path, name), expected, `'${name}' of ${path}`);
  }
}
