/**
 * The program of an owner process: `main.js STORE`. Descriptor 3, where there is one, is told how the start went, as
 * one line; then it is closed. SIGTERM, SIGINT and SIGHUP end it in order.
 */
import { closeSync, writeSync } from 'node:fs';
import { StoreEngine } from '../../store/index.ts';
import { createSystem } from '../../sys/index.ts';
import { createMountServer } from '../fuse/index.ts';
import { openLog } from './log.ts';
import { removeDeadMounts } from './mount-point.ts';
import { IDLE_MS, Owner } from './owner.ts';
import { OwnerPlace, takeOwnerLock } from './owner-place.ts';
import { REPORT_DESCRIPTOR, type StartReport } from './start.ts';
import { toWire } from './wire-error.ts';

function report(state: StartReport): void {
  try {
    writeSync(REPORT_DESCRIPTOR, `${JSON.stringify(state)}\n`);
    closeSync(REPORT_DESCRIPTOR);
  } catch {
    // Who started it has gone, or there is nobody to tell.
  }
}

function idleMs(): number {
  const wanted = Number(process.env.RAMET_OWNER_IDLE_MS);
  return Number.isFinite(wanted) && wanted > 0 ? wanted : IDLE_MS;
}

async function serve(directory: string): Promise<number> {
  const system = createSystem();
  const place = new OwnerPlace(directory);
  const release = takeOwnerLock(system, place);
  if (release === undefined) {
    report({ state: 'taken' });
    return 0;
  }
  const { logger } = openLog(place.logPath);
  try {
    removeDeadMounts(place.mountsDirectory);
    const engine = await StoreEngine.open(directory, { system });
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
          // One program got EIO for it; the programs in all the other mounts are not to suffer for that.
          onDefect: (error, opcode) => logger.error({ err: error, opcode }, 'a request failed with a defect'),
        }),
      logger,
      idleMs: idleMs(),
    });
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
      process.on(signal, () => void owner.stop(signal));
    }
    logger.info({ store: directory }, 'serving');
    report({ state: 'ready' });
    await owner.stopped;
    await engine.close();
    logger.info('stopped');
    return 0;
  } catch (error) {
    logger.fatal({ err: error }, 'the owner failed');
    report({ state: 'failed', error: toWire(error) });
    return 1;
  }
}

// A working directory would keep its filesystem busy.
process.chdir('/');
// Ended by hand: threads of the mount server may outlive what they served.
process.exit(await serve(process.argv[2]!));
