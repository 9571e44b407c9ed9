/**
 * The program of an owner process: `main.js STORE`. It writes a `StartReport`, one line, to descriptor 3 (if that is
 * open) and closes the descriptor. SIGTERM, SIGINT and SIGHUP make the process unmount everything and end.
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

/** How long the serving thread waits for a filesystem that another process serves. All mounts wait meanwhile. */
const HOST_WAIT_MS = 5_000;
/**
 * How long the serving thread waits for another process to unlock the tables. Usually that takes some 20 ms, unless the
 * other process is stopped.
 */
const LOCK_WAIT_MS = 10_000;

function report(state: StartReport, shown = (json: string): string => json): void {
  try {
    writeSync(REPORT_DESCRIPTOR, `${shown(JSON.stringify(state))}\n`);
    closeSync(REPORT_DESCRIPTOR);
  } catch {
    // The process that started this one is gone, or passed no descriptor 3.
  }
}

/** The number of milliseconds in an environment variable, or else the default. */
function milliseconds(name: string, defaultMs: number): number {
  const wanted = Number(process.env[name]);
  return Number.isFinite(wanted) && wanted > 0 ? wanted : defaultMs;
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
      // The process that started this one has opened the store, and so has checked whose store it is.
      trustStore: true,
      readOnly: 'if-needed',
    });
    const owner = await Owner.start({
      engine,
      place,
      createMountServer: () =>
        createMountServer({
          keepsAwake: process.env.RAMET_OWNER_KEEP_AWAKE !== '0',
          hasWork: () => engine.sealer.isBusy || engine.flattener.isBusy,
          onDamaged: (tree, path, error) =>
            logger.error(
              { fork: tree.info.name, path, err: error },
              'a file is damaged: `ramet fsck --scrub` finds what else is',
            ),
          // The program that asked gets EIO; the other mounts go on.
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
    // Node.js would wait forever for a thread that is in a call which never returns.
    if ('isStuck' in system && system.isStuck) process.kill(process.pid, 'SIGKILL');
    return 0;
  } catch (error) {
    logger.fatal({ err: error }, 'the owner failed');
    report({ state: 'failed', error: toWire(error) }, store.shown);
    return 1;
  }
}

// A working directory elsewhere would keep its filesystem busy.
process.chdir('/');
// Exit now, although threads of the mount server may still run.
process.exit(await serve(process.argv[2]!));
