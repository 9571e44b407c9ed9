/** `ramet import`: makes a snapshot of a host directory or an archive. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { type Command, Option } from 'commander';
import { type ImportReport, importTree, type WhiteoutForm } from '../../transfer/index.ts';
import { examples, wholeNumber } from '../command-line.ts';
import { amountMoved, counted, formatBytes, type Lines, noteLine, print } from '../output.ts';
import { withProgress } from '../progress.ts';
import { namingTrees, withSession } from '../session.ts';

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

/** How many notes to print for people; the JSON report has all of them. */
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
    .option(
      '--max-entries <count>',
      'limit of files and directories in an archive (default: 2,000,000)',
      wholeNumber,
    )
    .option('--max-bytes <bytes>', 'limit of bytes that an archive unpacks to (default: none)', wholeNumber)
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
        for (const tree of [flags.over, flags.against]) if (tree !== undefined) session.info(tree);
        const name = flags.name ?? nameOf(source);
        const report = await namingTrees([name], () =>
          withProgress('importing', isJson, (progress) =>
            importTree(engine, source, { ...flags, name, progress }),
          ),
        );
        await print(isJson, report, tell);
      }),
    );
}

/** The name of a directory, or of an archive without its extension. */
function nameOf(source: string): string {
  const name = path.basename(path.resolve(source));
  const isArchive = statSync(source, { throwIfNoEntry: false })?.isFile() === true;
  return isArchive ? name.replace(/\.(?:tar|tar\.gz|tgz)$/i, '') : name;
}

function* tell(report: ImportReport): Lines {
  const { source, name, storedBytes, sharedBytes, whiteouts, notes } = report;
  yield `imported ${source} as '${name}': ${amountMoved(report)}`;
  yield `stored ${formatBytes(storedBytes)}, found ${formatBytes(sharedBytes)} in the store already`;
  if (whiteouts > 0) yield counted(whiteouts, 'whiteout');
  yield* notes.slice(0, SHOWN_NOTES_MAX).map(noteLine);
  const more = notes.length - SHOWN_NOTES_MAX;
  if (more > 0) yield `note: ${counted(more, 'more note')}; --json has them all`;
}
