/** /dev/fuse, through which the kernel asks and is answered. Only this file explains why it cannot be opened. */
import { closeSync, fstatSync, openSync, statSync } from 'node:fs';
import { FsError } from '../base/index.ts';
import { O_NONBLOCK, O_RDWR } from '../sys/index.ts';

const DEVICE = '/dev/fuse';
/** Character device 10:229, Documentation/admin-guide/devices.txt. */
const DEVICE_NUMBER = (10 << 8) | 229;

/**
 * The descriptor of the device, non-blocking. ENODEV where there is none, or something else in its place, for which
 * mount(2) would give EINVAL; EACCES where it may not be opened.
 */
export function openDevice(): number {
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

const NOT_THE_DEVICE = `${DEVICE} is not the FUSE device: give the container that device (character device 10:229)`;

function deviceFailure(code: string | undefined): FsError {
  const found = statSync(DEVICE, { throwIfNoEntry: false });
  if (found === undefined)
    return failure(
      'ENODEV',
      `there is no ${DEVICE}: load the module fuse, or give the container that device`,
    );
  if (found.rdev !== DEVICE_NUMBER) return failure('ENODEV', NOT_THE_DEVICE);
  // The node exists, but the kernel has nothing behind it.
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
