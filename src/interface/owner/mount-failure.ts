/** Why a mount fails, with the way out. */
import { statSync } from 'node:fs';
import { type ErrorCode, FsError } from '../../base/index.ts';

const WAYS_OUT: Partial<Record<ErrorCode, string>> = {
  ENOENT: 'there is no such directory: make it first',
  ENOTDIR: 'a mount point is a directory',
  ENOTEMPTY: 'the mount point is not empty: choose an empty directory',
  EBUSY: 'something is mounted there already: unmount it, or choose another directory',
  EPERM: 'mounting takes root, or fusermount3 for other users (package fuse3)',
  EACCES: 'the mount point must be yours to write to',
  EINVAL: 'the kernel refuses it: its log (dmesg) may say why',
  ENODEV: 'there is no /dev/fuse: load the module fuse, or give the container that device',
};

const FUSE_DEVICE = '/dev/fuse';
/** Character device 10:229, Documentation/admin-guide/devices.txt. */
const FUSE_DEVICE_NUMBER = (10 << 8) | 229;

/** mount(2) says EINVAL of a descriptor of any other device. */
function isFuseDevice(): boolean {
  return statSync(FUSE_DEVICE, { throwIfNoEntry: false })?.rdev === FUSE_DEVICE_NUMBER;
}

/** What the mount server threw, with the mount point and the way out where it says none. */
export function describeMountFailure(error: unknown, fork: string, directory: string): unknown {
  if (!(error instanceof FsError)) return error;
  const names = { syscall: 'mount', path: fork, dest: directory };
  if (error.code === 'EINVAL' && error.note === undefined && !isFuseDevice()) {
    const note = `${FUSE_DEVICE} is not the FUSE device: give the container that device (character device 10:229)`;
    return new FsError('ENODEV', { ...names, note });
  }
  return new FsError(error.code, { ...names, note: error.note ?? WAYS_OUT[error.code] });
}

/** The failure of a mount point that was looked at before anything was mounted. */
export function mountPointFailure(code: ErrorCode, directory: string, note = WAYS_OUT[code]): FsError {
  return new FsError(code, { syscall: 'mount', path: directory, note });
}
