/** `ramet commit`: a fork's changes go back to the host directory it came from, or into the fork it was made from. */
import { type Command, Option } from 'commander';
import { nameToString } from '../../base/index.ts';
import { type CommitReport, type CommitResolution, commitOrigin, commitTree } from '../../lifecycle/index.ts';
import { examples } from '../examples.ts';
import { mergeAndTell } from '../merging.ts';
import { counted, printable, writeJson, writeLine } from '../output.ts';
import { CommandError, EXIT_FAILURE, usageError } from '../problem.ts';
import { type CommandSession, namedTreeError, withSession } from '../session.ts';

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

/** The fork that this one was made from, where that is one and no directory is named. */
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
  if (base !== undefined) session.info(base);
  if (to === undefined || base === undefined) commitOrigin(engine, fork);
  let report: CommitReport;
  try {
    await trees.untilFree(fork);
    report = await commitTree(engine, fork, { to, base, onConflict, dryRun, trees });
  } catch (error) {
    throw namedTreeError(fork, error);
  }
  const { conflicts, isDone, target, notes } = report;
  if (isJson) {
    const told = conflicts.map((conflict) => ({ ...conflict, path: nameToString(conflict.path) }));
    await writeJson({ ...report, conflicts: told });
  } else await tell(report, dryRun);
  for (const { path, message } of isJson ? [] : notes)
    process.stderr.write(`note: ${printable(path)}: ${printable(message)}\n`);
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

async function tell(report: CommitReport, isDryRun: boolean): Promise<void> {
  const { fork, target, written, removed, unchanged, conflicts, isDone } = report;
  for (const { path, kind, isReplaced } of conflicts) {
    const end = isReplaced ? ', replaced' : '';
    await writeLine(`C ${printable(nameToString(path))} (${kind} in the target${end})`);
  }
  if (!isDone && !isDryRun) return;
  const did = isDryRun ? 'would commit' : 'committed';
  const same = unchanged === 0 ? '' : `, ${unchanged} there already`;
  await writeLine(`${did} '${fork}' to ${printable(target)}: ${written} written, ${removed} removed${same}`);
}
