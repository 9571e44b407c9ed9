/** The calls of xattr(7), made through libc. */
import { allocateFixed, check, libc } from '../host/libc.ts';
import type { XattrCalls } from '../trees/xattr-table.ts';

/** The value of an attribute. ERANGE if it is longer than `capacity`. */
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

/** The report of `xattr-child list`. */
export interface SeenXattrs {
  readonly names: readonly string[];
  /** The result of llistxattr with a buffer of size 0; `readBytes` is that with a buffer of exactly this size. */
  readonly lengthBytes: number;
  readonly readBytes: number;
  /** The error with a buffer that is one byte too small. */
  readonly inLess: string;
}
