/** What `ramet merge` and `ramet commit --into` have in common: the merge, its report, and the exit code. */
import { isFsError, nameToString } from '../base/index.ts';
import { type MergeOptions, type MergeReport, mergeTrees } from '../lifecycle/index.ts';
import { counted, printable, writeJson, writeLine } from './output.ts';
import { CommandError, EXIT_FAILURE } from './problem.ts';
import { type CommandSession, namedTreeError } from './session.ts';

/** Merges and tells. Conflicts that nobody decided are a failure: exit code 1. */
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
  if (isJson) await writeJson(reportObject(report));
  else await tell(report);
  const { conflicts, isApplied } = report;
  const isOpen = conflicts.length > 0 && (!isApplied || options.onConflict === 'markers');
  if (isOpen && isJson) process.exitCode = EXIT_FAILURE;
  else if (isOpen && !isApplied) {
    throw new CommandError(
      'CONFLICT',
      `${counted(conflicts.length, 'conflict')} between '${from}' and '${into}', nothing was changed`,
      'say who wins, or change one of the two and merge again: see --help',
    );
  } else if (isOpen) process.exitCode = EXIT_FAILURE;
}

function reportObject(report: MergeReport): Record<string, unknown> {
  const conflicts = report.conflicts.map(({ path, kind }) => ({ path: nameToString(path), kind }));
  return { ...report, conflicts, keptAs: report.keptAs ?? null };
}

async function tell({ from, into, taken, merged, conflicts, isApplied, keptAs }: MergeReport): Promise<void> {
  for (const { path, kind } of conflicts) await writeLine(`C ${printable(nameToString(path))} (${kind})`);
  if (!isApplied) return;
  const kept = keptAs === undefined ? '' : `; back: \`ramet rollback ${into} ${keptAs}\``;
  await writeLine(
    `merged '${from}' into '${into}': ${counted(taken, 'path')} taken, ${merged} put together${kept}`,
  );
}
