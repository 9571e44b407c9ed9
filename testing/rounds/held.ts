/** The resources that a process holds, from proc(5), and an assertion that they do not grow over many rounds. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { yieldToEventLoop } from '../../src/base/index.ts';
import { until } from '../pace/until.ts';

export interface Held {
  readonly descriptors: number;
  /** Number of removed blobs that are still open or mapped: their space is not free. */
  readonly deletedFiles: number;
  readonly mappings: number;
  /** Anonymous memory, in MiB. */
  readonly memory: number;
}

export function heldBy(pid: number, store: string): Held {
  const files = readdirSync(`/proc/${pid}/fd`).map((fd) => targetOf(`/proc/${pid}/fd/${fd}`));
  const mappings = readFileSync(`/proc/${pid}/maps`, 'utf8').trimEnd().split('\n');
  const deleted = [...files, ...mappings].filter(
    (text) => text.includes(`${store}/blobs/`) && text.endsWith(' (deleted)'),
  );
  const memory = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return {
    descriptors: files.length,
    deletedFiles: deleted.length,
    mappings: mappings.length,
    memory: Math.round(Number(memory![1]) / 1024),
  };
}

/** The target of a descriptor; '' if it was closed since the directory was listed. */
function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return '';
  }
}

/**
 * Does `round` `rounds` times, and asserts that none of `pids` holds more afterwards than after a tenth of the rounds,
 * when caches are full. Reports some lines to `tell`.
 */
export async function staysFlat(
  rounds: number,
  pids: Readonly<Record<string, number>>,
  store: string,
  round: (index: number) => Promise<void>,
  tell: (line: string) => void,
): Promise<void> {
  const warm = new Map<string, Held>();
  for (let done = 1; done <= rounds; done++) {
    await round(done);
    // Let timers of the process fire, as in any program that waits.
    await yieldToEventLoop();
    const isWarm = done === Math.ceil(rounds / 10);
    if (!isWarm && done !== rounds && done % Math.ceil(rounds / 4) !== 0) continue;
    for (const [name, pid] of Object.entries(pids)) {
      // A process follows the gc of another every two seconds.
      await until(() => heldBy(pid, store).deletedFiles === 0, `${name} lets go of what was removed`);
      const held = heldBy(pid, store);
      tell(`${done} rounds, ${name}: ${JSON.stringify(held)}`);
      if (isWarm) warm.set(name, held);
      const before = warm.get(name);
      if (before !== undefined) assertFlat(name, before, held);
    }
  }
}

/** Allows for Node itself, which opens some descriptors late, and whose heap and malloc(3) vary. */
function assertFlat(name: string, before: Held, held: Held): void {
  const shown = `${name}: ${JSON.stringify(before)}, then ${JSON.stringify(held)}`;
  assert.ok(held.descriptors <= before.descriptors + 8, shown);
  assert.ok(held.mappings <= before.mappings + 150, shown);
  assert.ok(held.memory <= before.memory + 64, shown);
}
