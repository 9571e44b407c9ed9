/** The calls of xattr(7), by libc. */
import { allocateFixed, check, libc } from '../host/libc.ts';
import type { XattrCalls } from '../trees/xattr-table.ts';

/** The value, which is not longer than `capacity`. */
export function xattr(path: string, name: string, capacity = 256): Buffer {
  const target = allocateFixed(capacity);
  return target.subarray(0, check(libc().lgetxattr(path, name, target, capacity), 'lgetxattr'));
}

export function setXattr(path: string, name: string, value: string, flags = 0): void {
  const bytes = allocateFixed(Buffer.byteLength(value));
  bytes.write(value);
  check(libc().lsetxattr(path, name, bytes, bytes.length, flags), 'lsetxattr');
}

export const hostXattrs: XattrCalls = {
  get: (path, name) => xattr(path, name).toString(),
  set: setXattr,
  remove(path, name) {
    check(libc().lremovexattr(path, name), 'lremovexattr');
  },
};

/** What `xattr-child` sees. */
export interface SeenXattrs {
  readonly names: readonly string[];
  /** The result for a buffer of size 0, and for a buffer of exactly that size. */
  readonly lengthBytes: number;
  readonly readBytes: number;
  /** The result for a buffer that is one byte too small. */
  readonly inLess: string;
}
