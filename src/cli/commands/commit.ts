/** `ramet commit`: puts a fork's changes into the host directory or the fork that it was made from. */
import { type Command, Option } from 'commander';
import { nameToString } from '../../base/index.ts';
import { type CommitReport, type CommitResolution, commitOrigin, commitTree } from '../../lifecycle/index.ts';
import { examples } from '../command-line.ts';
import { counted, type Lines, print, writeNotes } from '../output.ts';
import { CommandError, EXIT_FAILURE, usageError } from '../problem.ts';
import { type CommandSession, namingTrees, withSession } from '../session.ts';
import { mergeAndTell } from './merge.ts';

interface CommitFlags {
  readonly to?: string;
  readonly into?: string;
  readonly base?: string;
  readonly force?: boolean;
  readonly skipConflicts?: boolean;
  readonly dryRun?: boolean;
}

export function register(program: Command): void {
  program
    .command('commit')
    .description(
      "put a fork's changes back where it came from: a host directory, or the fork it was made from",
    )
    .argument('<fork>', 'the fork')
    .addOption(
      new Option('--to <directory>', 'the host directory (else the one that was imported)').conflicts('into'),
    )
    .option('--into <fork>', 'merge into this fork')
    .option('--base <tree>', 'the state of the target when the fork was made')
    .addOption(
      new Option('--force', 'also replace what has changed in the target').conflicts('skipConflicts'),
    )
    .option('--skip-conflicts', 'leave out what has changed in the target')
    .option('--dry-run', 'say what would be done in a host directory, and do nothing')
    .addHelpText(
      'after',
      examples(
        'ramet commit try-1',
        'ramet commit try-1 --to ./repo --dry-run',
        'ramet commit try-2 --into try-1',
      ),
    )
    .action((fork: string, flags: CommitFlags, command: Command) =>
      withSession(command, async (session) => {
        const parent = flags.into ?? parentFork(session, fork, flags);
        if (parent === undefined) await toDirectory(session, fork, flags);
        else {
          if (flags.dryRun === true)
            throw usageError('--dry-run is for host directories', 'see `ramet diff`, or name one with --to');
          const onConflict = flags.force === true ? 'theirs' : flags.skipConflicts === true ? 'ours' : 'none';
          await mergeAndTell(session, fork, parent, { base: flags.base, onConflict });
        }
      }),
    );
}

/** The fork that `fork` was made from. Undefined if `fork` has another origin, or if `--to` names a directory. */
function parentFork(session: CommandSession, fork: string, { to }: CommitFlags): string | undefined {
  const { source } = session.info(fork);
  const parent = session.engine.list().find(({ name }) => name === source);
  return to === undefined && parent?.kind === 'fork' ? source : undefined;
}

async function toDirectory(session: CommandSession, fork: string, flags: CommitFlags): Promise<void> {
  const { engine, trees, isJson } = session;
  const { to, base, dryRun = false } = flags;
  const onConflict: CommitResolution =
    flags.force === true ? 'force' : flags.skipConflicts === true ? 'skip' : 'none';
  // These calls only check. They fail, and say what to do, before any work starts.
  if (base !== undefined) session.info(base);
  if (to === undefined || base === undefined) commitOrigin(engine, fork);
  const report = await namingTrees([fork], async () => {
    await trees.untilFree(fork);
    return await commitTree(engine, fork, { to, base, onConflict, dryRun, trees });
  });
  const { isDone, target, notes } = report;
  const conflicts = report.conflicts.map((conflict) => ({ ...conflict, path: nameToString(conflict.path) }));
  await print(isJson, { ...report, conflicts }, (told) => tell(told, dryRun));
  writeNotes(isJson, notes);
  if (conflicts.every(({ isReplaced }) => isReplaced) || onConflict === 'skip' || dryRun) return;
  if (isJson || isDone) process.exitCode = EXIT_FAILURE;
  else {
    throw new CommandError(
      'CONFLICT',
      `${counted(conflicts.length, 'path')} in ${target} changed since '${fork}' was made, nothing was written`,
      '--skip-conflicts leaves them out, --force replaces them',
    );
  }
}

function* tell(report: CommitReport, isDryRun: boolean): Lines {
  const { fork, target, written, removed, unchanged, conflicts, isDone } = report;
  for (const { path, kind, isReplaced } of conflicts)
    yield `C ${path} (${kind} in the target${isReplaced ? ', replaced' : ''})`;
  if (!isDone && !isDryRun) return;
  const did = isDryRun ? 'would commit' : 'committed';
  const same = unchanged === 0 ? '' : `, ${unchanged} there already`;
  yield `${did} '${fork}' to ${target}: ${written} written, ${removed} removed${same}`;
}
