/**
 * Opens /dev/fuse, through which the kernel sends requests and gets answers, and mounts it by mount(2). For users
 * without the right to mount, fusermount3(1) does both, as is usual with FUSE.
 */
import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { FsError, isFsError } from '../base/index.ts';
import { MS_NODEV, MS_NOSUID, MS_RDONLY, O_NONBLOCK, O_RDWR } from '../sys/index.ts';
import type { BlockingCalls } from './blocking-calls.ts';
import { MAX_WRITE_BYTES } from './negotiation.ts';

const DEVICE = '/dev/fuse';
/** Character device 10:229, Documentation/admin-guide/devices.txt. */
const DEVICE_NUMBER = (10 << 8) | 229;
const NOT_THE_DEVICE = `${DEVICE} is not the FUSE device: give the container that device (character device 10:229)`;

const SUBTYPE = 'ramet';

export interface Attachment {
  readonly directory: string;
  /** The text in the first column of /proc/mounts. */
  readonly source: string;
  readonly isReadOnly: boolean;
  readonly allowOther: boolean;
  /** True if the mount point need not be empty, because it is the directory that the tree is a fork of. */
  readonly hidesFiles: boolean;
}

/** Mounts, and returns the device's non-blocking descriptor. EPERM, ENOENT, ENOTDIR, EBUSY, ENODEV, EACCES (device). */
export async function attach(blocking: BlockingCalls, attachment: Attachment): Promise<number> {
  try {
    return await attachByCall(blocking, attachment);
  } catch (error) {
    // The helper runs as root, so it is of no use where root may not open the device.
    const mayHelp = isFsError(error, 'EPERM') || (isFsError(error, 'EACCES') && process.getuid?.() !== 0);
    if (!mayHelp) throw error;
    const { directory } = attachment;
    const options = helperOptions(attachment);
    return blocking.run({ kind: 'mountByHelper', directory, options, descriptor: -1 });
  }
}

async function attachByCall(blocking: BlockingCalls, attachment: Attachment): Promise<number> {
  const { directory, source, isReadOnly, hidesFiles } = attachment;
  const device = openDevice();
  const flags = MS_NOSUID | MS_NODEV | (isReadOnly ? MS_RDONLY : 0);
  const type = `fuse.${SUBTYPE}`;
  const options = mountOptions(attachment);
  try {
    await blocking.run({
      kind: 'mount',
      source,
      directory,
      hidesFiles,
      type,
      flags,
      options,
      descriptor: device,
    });
    return device;
  } catch (error) {
    closeSync(device);
    throw error;
  }
}

/**
 * Opens the device, and returns its non-blocking descriptor. ENODEV if there is no device, or another file at its path
 * (for which mount(2) would give EINVAL); EACCES if this process may not open it.
 */
function openDevice(): number {
  let fd: number;
  try {
    fd = openSync(DEVICE, O_RDWR | O_NONBLOCK);
  } catch (error) {
    throw deviceFailure((error as NodeJS.ErrnoException).code);
  }
  if (fstatSync(fd).rdev === DEVICE_NUMBER) return fd;
  closeSync(fd);
  throw failure('ENODEV', NOT_THE_DEVICE);
}

function deviceFailure(code: string | undefined): FsError {
  const found = statSync(DEVICE, { throwIfNoEntry: false });
  if (found === undefined)
    return failure(
      'ENODEV',
      `there is no ${DEVICE}: load the module fuse, or give the container that device`,
    );
  if (found.rdev !== DEVICE_NUMBER) return failure('ENODEV', NOT_THE_DEVICE);
  // The device node exists, but the kernel has no driver for it.
  if (code === 'ENXIO' || code === 'ENODEV')
    return failure('ENODEV', `this kernel has no FUSE behind ${DEVICE}: load the module fuse`);
  return failure(
    'EACCES',
    `${DEVICE} may not be opened: give the container that device, with read and write`,
  );
}

function failure(code: 'ENODEV' | 'EACCES', note: string): FsError {
  return new FsError(code, { syscall: 'open', path: DEVICE, note });
}

/** Mount options of the kernel's filesystem `fuse`, except `fd`: Documentation/filesystems/fuse/fuse.rst. */
function mountOptions({ allowOther }: Attachment): string {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  return ['rootmode=40000', `user_id=${uid}`, `group_id=${gid}`, ...commonOptions(allowOther)].join(',');
}

/** Mount options for fusermount3(1), where a backslash escapes a comma in a value. */
function helperOptions({ source, isReadOnly, allowOther }: Attachment): string {
  const name = source.replaceAll('\\', '\\\\').replaceAll(',', '\\,');
  const own = [`fsname=${name}`, `subtype=${SUBTYPE}`, isReadOnly ? 'ro' : 'rw'];
  return [...own, ...commonOptions(allowOther)].join(',');
}

function commonOptions(allowOther: boolean): string[] {
  const options = ['default_permissions', `max_read=${MAX_WRITE_BYTES}`];
  return allowOther ? [...options, 'allow_other'] : options;
}
