/** The system through libc, with everything that the host can do. Needs Linux, and koffi to load. */
import { BLOCK_SIZE } from '../base/index.ts';
import { asyncCalls } from './async-calls.ts';
import { frameCalls } from './frames.ts';
import { type Libc, loadLibc } from './libc.ts';
import { machineCalls } from './machine.ts';
import { nameCalls } from './name-calls.ts';
import { nativeFiles, nativeLocks } from './native-files.ts';
import { nativeHost } from './native-host.ts';
import { nativeMemory } from './native-memory.ts';
import type { System } from './system.ts';
import { withoutMemory } from './without-memory.ts';

/** The system, or the reason why this process cannot use it. */
export function createNativeSystem(): System | Error {
  const libc = loadLibc();
  return libc instanceof Error ? libc : nativeSystem(libc);
}

function nativeSystem(libc: Libc): System {
  // Views are made of blocks of 4,096 bytes; a machine with larger pages cannot map such blocks one by one.
  const memory = libc.getpagesize() === BLOCK_SIZE ? { ...nativeMemory(libc), ...frameCalls } : withoutMemory;
  return {
    kind: 'native',
    ...nameCalls,
    ...asyncCalls,
    ...nativeFiles(libc),
    ...nativeLocks(libc),
    ...memory,
    ...nativeHost(libc),
    ...machineCalls(libc),
  };
}
