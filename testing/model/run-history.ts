/** Plays one history on two actors and stops at the first disagreement. */
import { firstDifference } from './dump.ts';
import { generateHistory } from './history.ts';
import type { Actor, Operation, OperationName, Outcome } from './operation.ts';

export interface RunOptions {
  /** See `ChoiceOptions.isRooted`. */
  readonly isRooted: boolean;
  /** All trees are compared after this many operations, and at the end. */
  readonly compareEvery: number;
  /** Called with each operation and the outcome of the first actor. */
  readonly onOutcome?: (operation: Operation, outcome: Outcome) => void;
}

export class Disagreement extends Error {
  override readonly name = 'Disagreement';
  readonly seed: number;
  /** Index of the operation after which the actors disagreed. */
  readonly index: number;

  constructor(seed: number, index: number, operation: Operation | undefined, difference: string) {
    super(`seed ${seed}, operation ${index}: ${JSON.stringify(operation)}\n${difference}`);
    this.seed = seed;
    this.index = index;
  }
}

/** Operations after which all trees are compared at once, and each actor checks its own consistency. */
const comparedAfter: ReadonlySet<OperationName> = new Set<OperationName>([
  'reopen',
  'crash',
  'collect',
  'dedupe',
  'drop',
  'powerCut',
]);

/** Rejects with a `Disagreement` that names the seed and the index of the operation. */
export async function runHistory(
  seed: number,
  count: number,
  a: Actor,
  b: Actor,
  options: RunOptions,
): Promise<readonly Operation[]> {
  const without = new Set([...a.lacks, ...b.lacks]);
  const operations = generateHistory(seed, count, { isRooted: options.isRooted, without });
  await playOperations(seed, operations, a, b, options);
  return operations;
}

/** Plays these operations, for example a shortened history. */
export async function playOperations(
  seed: number,
  operations: readonly Operation[],
  a: Actor,
  b: Actor,
  options: RunOptions,
): Promise<void> {
  for (const [index, operation] of operations.entries()) {
    const [fromA, fromB] = [await outcomeOf(a, operation), await outcomeOf(b, operation)];
    options.onOutcome?.(operation, fromA);
    if (fromA !== fromB) {
      throw new Disagreement(seed, index, operation, `${a.name}: ${fromA}\n${b.name}: ${fromB}`);
    }
    if (operation.op === 'powerCut') {
      const wrong = adoptFound(a, b);
      if (wrong !== undefined) throw new Disagreement(seed, index, operation, wrong);
    }
    const isDue = index % options.compareEvery === options.compareEvery - 1;
    const isThorough = comparedAfter.has(operation.op) || index === operations.length - 1;
    if (!isDue && !isThorough) continue;
    // A thorough check stores pending changes, and would keep later operations from meeting pending ones.
    const difference = compareActors(a, b) ?? (isThorough ? problemsOf(a, b) : undefined);
    if (difference !== undefined) throw new Disagreement(seed, index, operation, difference);
  }
}

/** After a power cut the store reports its trees, and the model whether they are allowed. */
function adoptFound(a: Actor, b: Actor): string | undefined {
  const [model, store] = a.adopt === undefined ? [b, a] : [a, b];
  if (store.found === undefined) return undefined;
  return model.adopt?.((tree) => store.found!(tree));
}

/** The outcome, also of an error that is none, so that the message names seed and operation. */
async function outcomeOf(actor: Actor, operation: Operation): Promise<string> {
  try {
    return await actor.apply(operation);
  } catch (error) {
    return `threw ${error instanceof Error ? error.stack : String(error)}`;
  }
}

/** The first difference between the trees of two actors, or undefined. */
export function compareActors(a: Actor, b: Actor): string | undefined {
  const names = a.trees();
  const difference = firstDifference(names, b.trees(), `trees of ${a.name}`, `trees of ${b.name}`);
  if (difference !== undefined) return difference;
  for (const tree of names) {
    const found = firstDifference(a.dump(tree), b.dump(tree), `${tree} of ${a.name}`, `${tree} of ${b.name}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

function problemsOf(...actors: Actor[]): string | undefined {
  for (const actor of actors) {
    const problems = actor.problems?.() ?? [];
    if (problems.length > 0) return `${actor.name}: ${problems.join('\n')}`;
  }
  return undefined;
}
