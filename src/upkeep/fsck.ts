/**
 * fsck: one pass for each documented invariant. Comments refer to a pass by its name. fsck reports problems and repairs
 * none, but like every process that opens a store, it first stores the journals of dead owners.
 *
 * fsck checks the layers that trees stand on. Other layers wait for gc, and their state does not matter. A fork that
 * another process owns may have changes that its rows lack, so its upper layer is left out, and the report says so.
 */
import { type LayerId, StoreError } from '../base/index.ts';
import { LayerLock, type StoreEngine } from '../store/index.ts';
import { type Checked, Findings, type FsckPass } from './fsck-findings.ts';
import { checkCounters, checkLayers, checkOrphans, checkTrees } from './fsck-layers.ts';
import { checkFilters, checkLinks } from './fsck-names.ts';
import { checkBlobs, checkExtents, checkReferences, checkSums, checkTails } from './fsck-space.ts';
import { storeDeadJournals } from './leftovers.ts';
import { reachableLayers } from './marking.ts';

export type { FsckPass } from './fsck-findings.ts';

export interface FsckOptions {
  /** Also read every live block and compare it with its checksum: pass `sums`. */
  readonly scrub?: boolean;
}

export interface FsckReport {
  readonly passes: readonly FsckPass[];
  /** A text for each thing that was not checked, with the reason. */
  readonly skipped: readonly string[];
  /** True if no pass found a problem. */
  readonly isClean: boolean;
}

type Pass = (checked: Checked, findings: Findings) => void;

const PASSES: readonly (readonly [string, Pass])[] = [
  ['rows', checkRows],
  ['trees', checkTrees],
  ['layers', checkLayers],
  ['filters', checkFilters],
  ['links', checkLinks],
  ['orphans', checkOrphans],
  ['extents', checkExtents],
  ['references', checkReferences],
  ['tails', checkTails],
  ['blobs', checkBlobs],
  ['counters', checkCounters],
];

export function checkStore(engine: StoreEngine, options: FsckOptions = {}): FsckReport {
  engine.requireOpen('fsck');
  const skipped: string[] = [];
  for (const tree of engine.openTrees.forks) tree.checkpoint();
  try {
    for (const problem of storeDeadJournals(engine)) skipped.push(`fork ${problem}`);
  } catch (error) {
    skipped.push(damage('journals', error));
  }
  const passes = options.scrub === true ? [...PASSES, ['sums', checkSums] as const] : PASSES;
  let checked: Checked;
  try {
    checked = whatToCheck(engine, skipped);
  } catch (error) {
    skipped.push(damage('everything but rows', error));
    checked = { engine, layers: new Map(), settled: new Map() };
  }
  const reports = passes.map(([name, pass]) => {
    const findings = new Findings(name);
    try {
      pass(checked, findings);
    } catch (error) {
      skipped.push(damage(`the rest of pass ${name}`, error));
    }
    return findings;
  });
  return { passes: reports, skipped, isClean: reports.every(({ problems }) => problems.length === 0) };
}

/** Says which checks a damaged row ended. Pass `rows` reports all damaged rows. Throws any other error. */
function damage(what: string, error: unknown): string {
  if (error instanceof StoreError && error.code === 'ERR_STORE_CORRUPT') return `${what}: ${error.message}`;
  throw error;
}

function whatToCheck(engine: StoreEngine, skipped: string[]): Checked {
  const { tables, system, layout } = engine;
  const owned = new Set<LayerId>();
  for (const { name, kind, layer } of engine.list()) {
    if (kind !== 'fork' || engine.openTreeOf(name) !== undefined) continue;
    if (!LayerLock.isHeld(system, layout.journalPath(layer))) continue;
    owned.add(layer);
    skipped.push(`fork ${name}: another process has it open; what it changed there was not checked`);
  }
  tables.renew();
  const layers = [...reachableLayers(tables)].sort(([, a], [, b]) => a.depth - b.depth);
  const settled = layers.filter(([layer]) => !owned.has(layer));
  return { engine, layers: new Map(layers), settled: new Map(settled) };
}

/** Every row of every table matches its checksum. */
function checkRows({ engine }: Checked, findings: Findings): void {
  findings.checked = engine.tables.checkRows((problem) => findings.add(problem));
}
