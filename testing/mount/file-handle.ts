/** File handles: name_to_handle_at(2) and open_by_handle_at(2), which needs CAP_DAC_READ_SEARCH. */
import { closeSync, openSync } from 'node:fs';
import { allocateFixed, check, libc } from '../host/libc.ts';

const AT_FDCWD = -100;
const HANDLE_BYTES_MAX = 128;

/** struct file_handle: length of the handle (u32), its type (i32), and the handle. */
export function handleOf(path: string): Buffer {
  const handle = allocateFixed(8 + HANDLE_BYTES_MAX);
  handle.writeUInt32LE(HANDLE_BYTES_MAX, 0);
  check(libc().name_to_handle_at(AT_FDCWD, path, handle, allocateFixed(4), 0), 'name_to_handle_at');
  return handle;
}

/** Opens a handle, on the filesystem that `root` is on. */
export function openHandle(root: string, handle: Buffer, flags: number): number {
  const mount = openSync(root, 'r');
  try {
    return check(libc().open_by_handle_at(mount, handle, flags), 'open_by_handle_at');
  } finally {
    closeSync(mount);
  }
}
