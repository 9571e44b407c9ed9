/** Plays a history from a seed on the model and on a store, and shrinks it if it fails. */
import { checksum64 } from '../../src/base/index.ts';
import { generateHistory } from './history.ts';
import { ModelFs } from './model-fs.ts';
import type { Actor, Operation } from './operation.ts';
import { RametActor } from './ramet-actor.ts';
import { Disagreement, playOperations } from './run-history.ts';
import { shrink } from './shrink.ts';

const OPTIONS = { isRooted: true, compareEvery: 50 } as const;

export interface Play {
  readonly seed: number;
  /** Operations of the whole history. */
  readonly count: number;
  /** Indices of the operations to play; undefined for all. */
  readonly only?: readonly number[];
}

export interface PlayResult {
  readonly seed: number;
  readonly played: number;
  /** A hash of every operation and its result: equal for equal plays. */
  readonly digest: string;
  /** How the two sides disagree; undefined if they agree. */
  readonly failure: string | undefined;
}

export type MakeActor = () => Actor | Promise<Actor>;

const makeStore: MakeActor = () => RametActor.create();

/** The operations of a play, without those that the store cannot do on this system. */
async function operationsOf({ seed, count, only }: Play, make: MakeActor): Promise<readonly Operation[]> {
  const actor = await make();
  await actor.close();
  const history = generateHistory(seed, count, { isRooted: OPTIONS.isRooted, without: actor.lacks });
  return only === undefined ? history : only.map((index) => history[index]!);
}

function stackOf(error: unknown): string {
  return (error instanceof Error ? error.stack : undefined) ?? String(error);
}

async function playOn(seed: number, operations: readonly Operation[], make: MakeActor): Promise<PlayResult> {
  const [model, store] = [new ModelFs(), await make()];
  const lines: string[] = [];
  let failure: string | undefined;
  try {
    await playOperations(seed, operations, model, store, {
      ...OPTIONS,
      onOutcome: (operation, outcome) => lines.push(`${JSON.stringify(operation)} ${outcome}`),
    });
  } catch (error) {
    // An error that is no outcome, such as damage or a broken assertion, is a failure too.
    failure = error instanceof Disagreement ? error.message : `it broke: ${stackOf(error)}`;
  } finally {
    await store.close();
  }
  const digest = checksum64(Buffer.from(lines.join('\n'))).toString(16);
  return { seed, played: lines.length, digest, failure };
}

export async function play(what: Play, make: MakeActor = makeStore): Promise<PlayResult> {
  return await playOn(what.seed, await operationsOf(what, make), make);
}

/** The command that repeats a play. */
export function commandOf({ seed, count, only }: Play): string {
  const list = only === undefined ? '' : ` --only ${only.join(',')}`;
  return `npm run model -- --seed ${seed} --operations ${count}${list}`;
}

export interface Shrunk {
  readonly play: Play;
  readonly operations: readonly Operation[];
  readonly failure: string;
}

/** Finds a play that still fails with as few operations as possible. Throws if the play does not fail. */
export async function shrinkPlay(what: Play, make: MakeActor = makeStore): Promise<Shrunk> {
  const all = await operationsOf(what, make);
  const first = await playOn(what.seed, all, make);
  if (first.failure === undefined) throw new Error(`${commandOf(what)} does not fail`);
  const failing = all.slice(0, first.played);
  const fails = async (some: readonly Operation[]): Promise<boolean> =>
    (await playOn(what.seed, some, make)).failure !== undefined;
  const kept = await shrink(failing, fails);
  const operations = kept.map((index) => failing[index]!);
  const { failure } = await playOn(what.seed, operations, make);
  const only = kept.map((index) => what.only?.[index] ?? index);
  return { play: { ...what, only }, operations, failure: failure ?? 'it failed only once: is it random?' };
}

/** The text to print for a history that fails. */
export function describeShrunk({ play: what, operations, failure }: Shrunk): string {
  const lines = operations.map((operation, index) => `  ${index}: ${JSON.stringify(operation)}`);
  return [`${operations.length} operations fail:`, ...lines, failure, `again: ${commandOf(what)}`].join('\n');
}
