/** `ramet merge`: what one fork changed comes into another. */
import { type Command, Option } from 'commander';
import type { MergeResolution } from '../../lifecycle/index.ts';
import { examples } from '../examples.ts';
import { mergeAndTell } from '../merging.ts';
import { withSession } from '../session.ts';

interface MergeFlags {
  readonly base?: string;
  readonly ours?: boolean;
  readonly theirs?: boolean;
  readonly markers?: boolean;
  readonly discard?: boolean;
}

export function register(program: Command): void {
  program
    .command('merge')
    .description('bring the changes of one tree into a fork; by default conflicts change nothing')
    .argument('<from>', 'the fork or snapshot whose changes are taken')
    .argument('<into>', 'the fork that gets them')
    .option('--base <tree>', 'the tree to compare both with (else their common origin)')
    .addOption(
      new Option('--ours', 'where both changed something, keep what INTO has').conflicts([
        'theirs',
        'markers',
      ]),
    )
    .addOption(
      new Option('--theirs', 'where both changed something, take what FROM has').conflicts('markers'),
    )
    .option('--markers', 'write both into texts, between conflict markers, and keep the rest (exit code 1)')
    .option('--discard', 'keep no snapshot of the former INTO')
    .addHelpText('after', examples('ramet merge try-1 main', 'ramet merge try-1 main --theirs'))
    .action((from: string, into: string, flags: MergeFlags, command: Command) =>
      withSession(command, async (session) => {
        const { base, discard } = flags;
        await mergeAndTell(session, from, into, { base, discard, onConflict: resolutionOf(flags) });
      }),
    );
}

function resolutionOf({ ours, theirs, markers }: MergeFlags): MergeResolution {
  if (ours === true) return 'ours';
  if (theirs === true) return 'theirs';
  return markers === true ? 'markers' : 'none';
}
