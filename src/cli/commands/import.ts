/** `ramet import`: a host directory or an archive becomes a snapshot. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type ImportReport, importTree, type WhiteoutForm } from '../../transfer/index.ts';
import { examples } from '../examples.ts';
import { counted, formatBytes, printable, writeJson, writeLine } from '../output.ts';
import { startProgress } from '../progress.ts';
import { namedTreeError, withSession } from '../session.ts';

interface ImportFlags {
  readonly name?: string;
  readonly against?: string;
  readonly skipUnreadable?: boolean;
  readonly concurrency?: number;
  readonly maxEntries?: number;
  readonly maxBytes?: number;
  readonly whiteouts?: WhiteoutForm;
  readonly over?: string;
}

/** Notes shown to people; the JSON report has them all. */
const SHOWN_NOTES_MAX = 20;

export function register(program: Command): void {
  program
    .command('import')
    .description('import a host directory, or a tar archive, as a snapshot')
    .argument('<source>', 'the directory, or the archive: a tar, plain or compressed with gzip')
    .option('--name <name>', 'name of the snapshot (else the name of the directory or archive)')
    .addOption(
      new Option(
        '--whiteouts <form>',
        'how the source, as a layer, marks what it hides in lower layers',
      ).choices(['oci', 'overlay', 'none']),
    )
    .option('--against <tree>', 'share blocks with this tree (else the last snapshot of the same directory)')
    .option('--over <tree>', 'unpack the archive over this tree: its whiteouts (default: oci) remove names')
    .option('--skip-unreadable', 'leave out files that cannot be read, with a note, instead of failing')
    .option('--max-entries <count>', 'files and directories of an archive (default: 2,000,000)', wholeNumber)
    .option('--max-bytes <bytes>', 'what an archive may unpack to (default: any)', wholeNumber)
    .option('--concurrency <count>', 'files that may wait for the disk at once', wholeNumber)
    .addHelpText(
      'after',
      examples(
        'ramet import ./repo',
        'ramet import ./repo --name base --json',
        'ramet import layer1.tar.gz --name image-1',
        'ramet import layer2.tar.gz --over image-1 --name image-2',
        'ramet import ./upper --whiteouts overlay --name changes',
      ),
    )
    .action((source: string, flags: ImportFlags, command: Command) =>
      withSession(command, async (session) => {
        const { engine, isJson } = session;
        const { over, against } = flags;
        for (const tree of [over, against]) if (tree !== undefined) session.info(tree);
        const name = flags.name ?? nameOf(source);
        const progress = await startProgress('importing', isJson);
        let report: ImportReport;
        try {
          report = await importTree(engine, source, {
            name,
            against,
            skipUnreadable: flags.skipUnreadable,
            concurrency: flags.concurrency,
            maxEntries: flags.maxEntries,
            maxBytes: flags.maxBytes,
            whiteouts: flags.whiteouts,
            over,
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

/** The name of a directory, or of an archive without its extension. */
function nameOf(source: string): string {
  const name = path.basename(path.resolve(source));
  const isArchive = statSync(source, { throwIfNoEntry: false })?.isFile() === true;
  return isArchive ? name.replace(/\.(?:tar|tar\.gz|tgz)$/i, '') : name;
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
  if (report.whiteouts > 0) await writeLine(counted(report.whiteouts, 'whiteout'));
  for (const note of report.notes.slice(0, SHOWN_NOTES_MAX)) {
    await writeLine(`note: ${printable(note.path)}: ${printable(note.message)}`);
  }
  const more = report.notes.length - SHOWN_NOTES_MAX;
  if (more > 0) await writeLine(`note: ${counted(more, 'more note')}; --json has them all`);
}
