/** `npm run fuzz`: feeds decoders and whole stores with random changes of valid bytes, for a given time. */
import { Command, InvalidArgumentError } from 'commander';
import { DECODERS } from './decoders.ts';
import { Defect, fuzz, type Target } from './fuzz.ts';
import { STORE_TARGETS } from './store-targets.ts';

interface Options {
  readonly target?: string;
  readonly seed: number;
  readonly seconds: number;
}

function positive(text: string): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1)
    throw new InvalidArgumentError('it is to be a whole number from 1');
  return number;
}

async function one(target: Target, { seed, seconds }: Options): Promise<boolean> {
  try {
    const inputs = await fuzz(target, { seed, inputs: Number.POSITIVE_INFINITY, msMax: seconds * 1000 });
    console.log(`${target.name}: ${inputs} inputs, no defect`);
    return true;
  } catch (error) {
    if (!(error instanceof Defect)) throw error;
    console.log(error.message, error.cause ?? '');
    return false;
  }
}

async function main(options: Options): Promise<void> {
  const isWanted = (name: string): boolean => options.target === undefined || name.includes(options.target);
  let isGood = true;
  for (const target of DECODERS) if (isWanted(target.name)) isGood = (await one(target, options)) && isGood;
  for (const [name, make] of Object.entries(STORE_TARGETS)) {
    if (!isWanted(name)) continue;
    await using target = await make();
    isGood = (await one(target, options)) && isGood;
  }
  process.exitCode = isGood ? 0 : 1;
}

await new Command('fuzz')
  .description('feed decoders and stores with bytes that nobody wrote')
  .option('--target <text>', 'only targets with this text in their name')
  .option('--seed <number>', 'where the changes begin', positive, 1)
  .option('--seconds <number>', 'for each target', positive, 10)
  .action(main)
  .parseAsync();
