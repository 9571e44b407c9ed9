/** The row of a union: the layer that a fork over several trees stands on. It has no inodes in rows: `UnionLayer`. */
import { type Clock, FsError, type LayerId } from '../base/index.ts';
import { COMPONENTS_MAX, rootOfUnion } from '../lower/index.ts';
import type { MetaTables } from '../meta/index.ts';
import { insertDerivedLayer } from './derived-rows.ts';

/** Between the names of the lowers where a union says what it was made from: no tree's name has one. */
export const LOWERS_SEPARATOR = ':';

/** The uppermost of what a union was made from; of another tree all that it was made from. */
export function uppermostOf(source: string): string {
  return source.split(LOWERS_SEPARATOR)[0] ?? source;
}

/** EINVAL for a lower that is named twice, or for more than a union may have. */
export function requireLowers(lowers: readonly string[], name: string): void {
  requireLowerCount(lowers.length, name);
  const twice = lowers.find((lower, index) => lowers.indexOf(lower) !== index);
  if (twice === undefined) return;
  throw new FsError('EINVAL', { syscall: 'fork', path: name, note: `the lower '${twice}' is named twice` });
}

function requireLowerCount(count: number, name: string): void {
  if (count <= COMPONENTS_MAX) return;
  const note = `${count} lowers, at most ${COMPONENTS_MAX} are stacked: merge some of them into a snapshot first`;
  throw new FsError('EINVAL', { syscall: 'fork', path: name, note });
}

/**
 * The layer that shows the trees with these uppermost layers, uppermost tree first, as one; made where there is none.
 * Belongs inside a transaction. EINVAL for more than a union may have.
 */
export function unionOf(tables: MetaTables, clock: Clock, tops: readonly LayerId[], name: string): LayerId {
  // A union in a union is its components, and a tree below itself adds nothing.
  const components = [...new Set(tops.flatMap((top) => tables.layers.get(top)?.components ?? [top]))];
  requireLowerCount(components.length, name);
  const [first] = components;
  if (first !== undefined && components.length === 1) return first;
  return findUnion(tables, components) ?? insertUnion(tables, clock, components);
}

function findUnion(tables: MetaTables, wanted: readonly LayerId[]): LayerId | undefined {
  for (const [layer, { components, droppedEpoch }] of tables.layers.entries()) {
    if (components?.length !== wanted.length || droppedEpoch !== undefined) continue;
    if (components.every((component, index) => component === wanted[index])) return layer;
  }
  return undefined;
}

function insertUnion(tables: MetaTables, clock: Clock, components: readonly LayerId[]): LayerId {
  const records = components.map((component) => tables.layers.get(component)!);
  const root = rootOfUnion(records[0]!.root);
  const depth = 1 + Math.max(...records.map((record) => record.depth));
  return insertDerivedLayer(tables, clock, { root, depth, components });
}
