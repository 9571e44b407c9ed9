/**
 * The program of an owner process: `main.js STORE`. Descriptor 3, where there is one, is told how the start went, as
 * one line; then it is closed. SIGTERM, SIGINT and SIGHUP end it in order.
 */
import { closeSync, writeSync } from 'node:fs';
import { createMountServer } from '../fuse/index.ts';
import { StoreEngine } from '../store/index.ts';
import { createBoundedSystem, createSystem, type System } from '../sys/index.ts';
import { HeldDirectory } from './held-directory.ts';
import { openLog } from './log.ts';
import { removeDeadMounts } from './mount-point.ts';
import { IDLE_MS, Owner } from './owner.ts';
import { OwnerPlace, takeOwnerLock } from './owner-place.ts';
import { REPORT_DESCRIPTOR, type StartReport } from './start.ts';
import { toWire } from './wire-error.ts';

/** How long the thread that serves waits for a filesystem that somebody else serves; all mounts wait meanwhile. */
const HOST_WAIT_MS = 5_000;
/** And for another process that has the tables, which is a matter of some 20 ms unless it stands still. */
const LOCK_WAIT_MS = 10_000;

function report(state: StartReport, shown = (json: string): string => json): void {
  try {
    writeSync(REPORT_DESCRIPTOR, `${shown(JSON.stringify(state))}\n`);
    closeSync(REPORT_DESCRIPTOR);
  } catch {
    // The process that started it has gone, or there is nobody to tell.
  }
}

/** Milliseconds that the environment asks for, or what is usual. */
function milliseconds(name: string, usual: number): number {
  const wanted = Number(process.env[name]);
  return Number.isFinite(wanted) && wanted > 0 ? wanted : usual;
}

function boundedSystem(): System {
  const system = createSystem();
  if (system.kind !== 'native') return system;
  return createBoundedSystem(system, milliseconds('RAMET_OWNER_WAIT_MS', HOST_WAIT_MS));
}

async function serve(directory: string): Promise<number> {
  const system = boundedSystem();
  const store = new HeldDirectory(directory);
  const place = new OwnerPlace(store.path, store.shownPath);
  const release = takeOwnerLock(system, place);
  if (release === undefined) {
    report({ state: 'taken' });
    return 0;
  }
  const { logger } = openLog(place.logPath, { shown: store.shown });
  try {
    removeDeadMounts(place.mountsDirectory);
    const engine = await StoreEngine.open(store.path, {
      system,
      lockWaitMsMax: LOCK_WAIT_MS,
      // The process that started this one has opened the store, and so knows whose it is.
      trustStore: true,
    });
    const owner = await Owner.start({
      engine,
      place,
      createMountServer: () =>
        createMountServer({
          keepsAwake: process.env.RAMET_OWNER_KEEP_AWAKE !== '0',
          hasWork: () => engine.sealer.pendingCount > 0 || engine.flattener.isBusy,
          onDamaged: (tree, path, error) =>
            logger.error(
              { fork: tree.info.name, path, err: error },
              'a file is damaged: `ramet fsck --scrub` finds what else is',
            ),
          // One program got EIO for it; programs in the other mounts must not suffer for that.
          onDefect: (error, opcode) => logger.error({ err: error, opcode }, 'a request failed with a defect'),
        }),
      logger,
      idleMs: milliseconds('RAMET_OWNER_IDLE_MS', IDLE_MS),
      shown: store.shown,
    });
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      process.on(signal, () => void owner.stop(signal));
    }
    logger.info({ store: directory }, 'serving');
    report({ state: 'ready' });
    await owner.stopped;
    await engine.close();
    logger.info('stopped');
    // A thread that is in a call which never returns is never joined.
    if ('isStuck' in system && system.isStuck) process.kill(process.pid, 'SIGKILL');
    return 0;
  } catch (error) {
    logger.fatal({ err: error }, 'the owner failed');
    report({ state: 'failed', error: toWire(error) }, store.shown);
    return 1;
  }
}

// A working directory would keep its filesystem busy.
process.chdir('/');
// Ended by hand: threads of the mount server may outlive what they served.
process.exit(await serve(process.argv[2]!));
