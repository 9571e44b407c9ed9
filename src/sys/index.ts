/**
 * sys: everything Ramet asks of the operating system, behind one interface, `System`. The native system calls libc
 * through koffi; the buffered system uses node:fs alone; the faulty system wraps either and fails as a plan says.
 *
 * Invariants: every failure is an `FsError` that names the system call; a read or write is complete or fails; child
 * processes never inherit descriptors; memory is only ever handed out as untransferable buffers.
 *
 * Neighbours: base below; blob and meta above do all their I/O through here, so that injected faults can hit any of
 * that I/O. Nothing here knows of stores, blobs or layers.
 */
import { FsError } from '../base/index.ts';
import { type BoundedSystem, createBoundedSystem } from './bounded-system.ts';
import { createBufferedSystem } from './buffered.ts';
import { createNativeSystem } from './native.ts';
import type { System } from './system.ts';

export { EAGAIN, EINTR, EIO, ENODATA, ENODEV, ENOENT, ENOSYS } from './errno.ts';
export { CrashedError, type Fault, type FaultPlan, FaultySystem } from './faulty.ts';
export { HostMounts } from './host-mounts.ts';
export {
  createKernel,
  type Kernel,
  MS_NODEV,
  MS_NOSUID,
  MS_RDONLY,
} from './kernel.ts';
export {
  deviceMountedAt,
  type MountInfo,
  mountedPlaces,
  mountNamespace,
  mountsOf,
  mountsOnWay,
  placeOf,
  placesBelow,
} from './mount-info.ts';
export { fileLink } from './name-calls.ts';
export { SEEK_DATA, SEEK_HOLE } from './native-files.ts';
export * from './open-flags.ts';
export { type Peer, peerOf } from './peer.ts';
export { deviceOfLink } from './statx.ts';
export {
  type HostEntry,
  type HostStat,
  type OpenFlags,
  type System,
  UTIME_NOW,
  UTIME_OMIT,
} from './system.ts';
export { rememberTerminal } from './terminal.ts';
export { unmountAt } from './unmounting.ts';
export { type BoundedSystem, createBoundedSystem, createBufferedSystem, createNativeSystem };

/**
 * The system of this process: of the kind asked for, else of the kind that RAMET_SYSTEM names (native or buffered;
 * EINVAL for any other value), else native where libc can be loaded and buffered elsewhere. ENOSYS where the native
 * system is asked for and not available.
 */
export function createSystem(kind: System['kind'] | undefined = kindFromEnvironment()): System {
  if (kind === 'buffered') return createBufferedSystem();
  const native = createNativeSystem();
  if (!(native instanceof Error)) return native;
  if (kind === undefined) return createBufferedSystem();
  throw new FsError('ENOSYS', { note: `the native system is not available: ${native.message}` });
}

function kindFromEnvironment(): System['kind'] | undefined {
  const wanted = process.env.RAMET_SYSTEM;
  if (wanted === undefined || wanted === '') return undefined;
  if (wanted === 'native' || wanted === 'buffered') return wanted;
  throw new FsError('EINVAL', { note: `RAMET_SYSTEM is native or buffered, not '${wanted}'` });
}
