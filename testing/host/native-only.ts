/** Why a test does not run where the system is node:fs alone, or was asked for with RAMET_SYSTEM=buffered. */
import { createSystem } from '../../src/sys/index.ts';

/** For the `skip` of a test: false on the native system, else the reason. */
export const nativeOnly: false | string =
  createSystem().kind === 'native'
    ? false
    : 'needs system calls that node:fs does not have: memory maps, extended attributes, nodes, holes, nanoseconds';
