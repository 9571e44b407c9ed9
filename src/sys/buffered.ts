/** The system through node:fs alone, for hosts where koffi cannot load libc: slower, no memory maps, weaker locks. */
import { asyncCalls } from './async-calls.ts';
import { bufferedFiles } from './buffered-files.ts';
import { bufferedHost } from './buffered-host.ts';
import { bufferedLocks } from './buffered-locks.ts';
import { machineCalls } from './machine.ts';
import { nameCalls } from './name-calls.ts';
import type { System } from './system.ts';
import { withoutMemory } from './without-memory.ts';

export function createBufferedSystem(): System {
  const machine = machineCalls();
  return {
    kind: 'buffered',
    ...nameCalls,
    ...asyncCalls,
    ...bufferedFiles,
    ...bufferedLocks(machine.bootId),
    ...withoutMemory,
    ...bufferedHost,
    ...machine,
  };
}
