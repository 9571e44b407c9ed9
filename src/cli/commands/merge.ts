/** `ramet merge`: brings the changes of one tree into a fork. */
import { type Command, Option } from 'commander';
import { isFsError, nameToString } from '../../base/index.ts';
import {
  type MergeOptions,
  type MergeReport,
  type MergeResolution,
  mergeTrees,
} from '../../lifecycle/index.ts';
import { examples } from '../command-line.ts';
import { counted, type Lines, print } from '../output.ts';
import { CommandError, EXIT_FAILURE } from '../problem.ts';
import { type CommandSession, namedTreeError, withSession } from '../session.ts';

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
    .option('--base <tree>', 'the tree to compare both with (default: their common origin)')
    .addOption(
      new Option('--ours', 'where both changed something, keep what INTO has').conflicts([
        'theirs',
        'markers',
      ]),
    )
    .addOption(
      new Option('--theirs', 'where both changed something, take what FROM has').conflicts('markers'),
    )
    .option('--markers', 'write both sides into text files, between conflict markers (exit code 1)')
    .option('--discard', 'keep no snapshot of INTO as it was before')
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

/** Merges, and prints the report. Conflicts that are left to the user are a failure: exit code 1. */
export async function mergeAndTell(
  session: CommandSession,
  from: string,
  into: string,
  options: MergeOptions,
): Promise<void> {
  const { engine, trees, isJson } = session;
  for (const name of [from, options.base ?? from]) session.info(name);
  await session.requireFree(into, 'merge');
  let report: MergeReport;
  try {
    report = await mergeTrees(engine, from, into, { ...options, trees });
  } catch (error) {
    if (isFsError(error, 'EINVAL') && error.syscall === 'merge') {
      const cause = `'${from}' and '${into}' have nothing in common`;
      throw new CommandError('EINVAL', cause, 'name the tree that both came from: --base TREE');
    }
    throw namedTreeError(from, namedTreeError(into, error));
  }
  const { isApplied, keptAs = null } = report;
  const conflicts = report.conflicts.map(({ path, kind }) => ({ path: nameToString(path), kind }));
  await print(isJson, { ...report, conflicts, keptAs }, tell);
  if (conflicts.length === 0 || (isApplied && options.onConflict !== 'markers')) return;
  if (isJson || isApplied) process.exitCode = EXIT_FAILURE;
  else {
    const found = counted(conflicts.length, 'conflict');
    throw new CommandError(
      'CONFLICT',
      `${found} between '${from}' and '${into}', nothing was changed`,
      'choose a side (see --help), or change one of the two trees and merge again',
    );
  }
}

type Told = Omit<MergeReport, 'keptAs'> & { readonly keptAs: string | null };

function* tell({ from, into, taken, merged, conflicts, isApplied, keptAs }: Told): Lines {
  for (const { path, kind } of conflicts) yield `C ${path} (${kind})`;
  if (!isApplied) return;
  const kept = keptAs === null ? '' : `; back: \`ramet rollback ${into} ${keptAs}\``;
  yield `merged '${from}' into '${into}': ${counted(taken, 'path')} taken, ${merged} put together${kept}`;
}
