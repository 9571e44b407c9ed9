/**
 * Checks who owns a store and who else can reach it. A store is for one user, because it may hold anybody's files: a
 * program of another user could read these, write rows of its own, or stop every command by holding a lock. See
 * docs/threat-model.md.
 */
import { FsError, isMissing, StoreError } from '../base/index.ts';
import { type HostStat, O_CREAT, O_EXCL, O_WRONLY, type System } from '../sys/index.ts';
import { StoreLayout } from './layout.ts';
import type { StoreOptions } from './store-options.ts';

const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;

function look(system: System, path: string): HostStat | undefined {
  try {
    return system.statHost(Buffer.from(path), true);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function trustsStores(): boolean {
  return process.env.RAMET_TRUST_STORE === '1';
}

/**
 * Throws ERR_STORE_OWNER when the store, or a part of it, belongs to another user (root included), unless `trustStore`
 * is set. This is the rule of git's `safe.directory`, for the same reason.
 */
export function requireOwnStore(system: System, directory: string, trustStore = trustsStores()): void {
  const self = process.geteuid?.();
  if (trustStore || self === undefined) return;
  const layout = new StoreLayout(directory);
  for (const path of [directory, layout.versionPath, ...layout.parts, `${layout.metaDirectory}/data.mdb`]) {
    const owner = look(system, path)?.uid;
    if (owner === undefined || owner === self) continue;
    throw new StoreError(
      'ERR_STORE_OWNER',
      'open',
      directory,
      `${path === directory ? 'it' : path} belongs to user ${owner}, and this is user ${self}`,
      'Use it as that user, or say that you trust it: --trust-store, RAMET_TRUST_STORE=1, `trustStore: true`.',
    );
  }
}

/**
 * True if other users can reach what the store holds, as in stores of older versions. They may have access to the
 * store's directory if its parts are closed to them, but not write access, because they could then replace parts.
 */
function isExposed(system: System, layout: StoreLayout): boolean {
  const others = (path: string, bits: number): boolean => ((look(system, path)?.mode ?? 0) & bits) !== 0;
  if (others(layout.directory, OTHERS_WRITE)) return true;
  return others(layout.directory, OTHERS) && layout.parts.some((part) => others(part, OTHERS));
}

function emitWarning(message: string): void {
  process.emitWarning(message, { code: 'RAMET_STORE_EXPOSED' });
}

/** Warns, once in the life of a store, when others can reach it. */
export function warnIfExposed(
  system: System,
  layout: StoreLayout,
  {
    trustStore = trustsStores(),
    readOnly,
    onWarning = emitWarning,
  }: Pick<StoreOptions, 'trustStore' | 'readOnly' | 'onWarning'>,
): void {
  if (trustStore || readOnly === true || !isExposed(system, layout)) return;
  try {
    system.close(system.open(`${layout.runDirectory}/told-exposed`, O_WRONLY | O_CREAT | O_EXCL, 0o600));
  } catch (error) {
    // The user was warned before, or nothing can be written there.
    if (error instanceof FsError) return;
    throw error;
  }
  const { directory } = layout;
  onWarning(
    `other users of this machine can reach the store in ${directory}: \`chmod go-rwx ${directory}\` mends it`,
  );
}
