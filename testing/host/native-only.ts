/** Skips tests that need the native system. */
import { createSystem } from '../../src/sys/index.ts';

/** For the `skip` of a test: false on the native system, else the reason. */
export const nativeOnly: false | string =
  createSystem().kind === 'native'
    ? false
    : 'needs system calls that node:fs does not have: memory maps, extended attributes, nodes, holes, nanoseconds';
