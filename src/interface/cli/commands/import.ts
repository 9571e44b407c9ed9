/** `ramet import`: a host directory becomes a snapshot. */
import path from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { type ImportReport, importTree } from '../../transfer/index.ts';
import { examples } from '../examples.ts';
import { counted, formatBytes, printable, writeJson, writeLine } from '../output.ts';
import { startProgress } from '../progress.ts';
import { namedTreeError, namingTree, withSession } from '../session.ts';

interface ImportFlags {
  readonly name?: string;
  readonly against?: string;
  readonly skipUnreadable?: boolean;
  readonly concurrency?: number;
}

/** Notes shown to people; the JSON report has them all. */
const SHOWN_NOTES_MAX = 20;

export function register(program: Command): void {
  program
    .command('import')
    .description('import a host directory as a snapshot')
    .argument('<directory>', 'the directory to import')
    .option('--name <name>', 'name of the snapshot (else the name of the directory)')
    .option('--against <tree>', 'share blocks with this tree (else the last snapshot of the same directory)')
    .option('--skip-unreadable', 'leave out files that cannot be read, with a note, instead of failing')
    .option('--concurrency <count>', 'files that may wait for the disk at once', wholeNumber)
    .addHelpText('after', examples('ramet import ./repo', 'ramet import ./repo --name base --json'))
    .action((directory: string, flags: ImportFlags, command: Command) =>
      withSession(command, async ({ engine, isJson }) => {
        const name = flags.name ?? path.basename(path.resolve(directory));
        if (flags.against !== undefined) namingTree(flags.against, () => engine.info(flags.against!));
        const progress = startProgress('importing', isJson);
        let report: ImportReport;
        try {
          report = await importTree(engine, directory, {
            name,
            against: flags.against,
            skipUnreadable: flags.skipUnreadable,
            concurrency: flags.concurrency,
            progress: progress.update,
          });
        } catch (error) {
          throw namedTreeError(name, error);
        } finally {
          progress.stop();
        }
        if (isJson) await writeJson(report);
        else await tell(report);
      }),
    );
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('It must be a whole number from 1.');
  return value;
}

async function tell(report: ImportReport): Promise<void> {
  const seconds = (report.durationMs / 1000).toFixed(2);
  await writeLine(
    `imported ${printable(report.source)} as '${report.name}': ${counted(report.files, 'file')}, ` +
      `${counted(report.directories, 'directory', 'directories')}, ` +
      `${formatBytes(report.apparentBytes)} in ${seconds} s`,
  );
  await writeLine(
    `stored ${formatBytes(report.storedBytes)}, ` +
      `found ${formatBytes(report.sharedBytes)} in the store already`,
  );
  for (const note of report.notes.slice(0, SHOWN_NOTES_MAX)) {
    await writeLine(`note: ${printable(note.path)}: ${printable(note.message)}`);
  }
  const more = report.notes.length - SHOWN_NOTES_MAX;
  if (more > 0) await writeLine(`note: ${counted(more, 'more note')}; --json has them all`);
}
