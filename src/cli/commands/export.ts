/** `ramet export`: writes a fork or snapshot, or its changes, to a host directory or a tar archive. */
import type { Writable } from 'node:stream';
import { type Command, Option } from 'commander';
import {
  type ExportReport,
  exportChanges,
  exportFileSystem,
  type TransferProgress,
} from '../../transfer/index.ts';
import { examples } from '../command-line.ts';
import { amountMoved, BrokenPipeError, print, writeNotes } from '../output.ts';
import { usageError } from '../problem.ts';
import { withProgress } from '../progress.ts';
import { type CommandSession, namingTrees, withSession } from '../session.ts';

type Format = 'directory' | 'tar' | 'oci' | 'overlay';

interface ExportFlags {
  readonly format?: Format;
  readonly changes?: boolean;
  readonly against?: string;
}

const TAR_NAME = /\.(?:tar|tar\.gz|tgz)$/;

export function register(program: Command): void {
  program
    .command('export')
    .description('write a fork or snapshot, or its changes, to a host directory or a tar archive')
    .argument('<tree>', 'the fork or snapshot')
    .argument(
      '<destination>',
      "a directory that is absent or empty, a new file ending in .tar, .tar.gz or .tgz, or '-' for a tar on stdout",
    )
    .addOption(
      new Option(
        '--format <format>',
        'directory or tar; of changes: oci (a tar layer, also called tar) or overlay (an upper directory)',
      ).choices(['directory', 'tar', 'oci', 'overlay']),
    )
    .option('--changes', 'only what differs from the tree it was made from, with whiteouts for what is gone')
    .option('--against <tree>', 'with --changes: what differs from this tree')
    .addHelpText(
      'after',
      examples(
        'ramet export try-1 ./result',
        'ramet export try-1 result.tar',
        'ramet export try-1 - | tar tv',
        'ramet export try-1 layer.tar.gz --changes',
      ),
    )
    .action((name: string, destination: string, flags: ExportFlags, command: Command) => {
      const isStream = destination === '-';
      checkFlags(flags, isStream);
      return withSession(command, async (session) => {
        const { isJson } = session;
        if (isStream && isJson)
          throw usageError('stdout carries the archive, not JSON', 'name a file instead of -');
        const isTar = isStream || isTarFormat(flags.format, destination);
        const to = isStream ? process.stdout : destination;
        const report = await namingTrees([name], () =>
          withProgress('exporting', isJson, (progress) => run(session, name, to, isTar, flags, progress)),
        ).catch((error: unknown) => {
          throw isStream && (error as NodeJS.ErrnoException).code === 'EPIPE' ? new BrokenPipeError() : error;
        });
        if (!isStream) await print(isJson, report, tell);
        writeNotes(isJson, report.notes);
      });
    });
}

function isTarFormat(format: Format | undefined, destination: string): boolean {
  return format === undefined ? TAR_NAME.test(destination) : format === 'tar' || format === 'oci';
}

function checkFlags({ format, changes, against }: ExportFlags, isStream: boolean): void {
  if (isStream && (format === 'directory' || format === 'overlay'))
    throw usageError('a directory cannot be written to stdout', 'leave out --format, or name a directory');
  if (changes === true) {
    if (format === 'directory')
      throw usageError('changes cannot be a plain directory', 'an upper directory is --format overlay');
    return;
  }
  if (against !== undefined)
    throw usageError('--against says what changes are compared with', 'add --changes');
  if (format === 'oci' || format === 'overlay')
    throw usageError(`${format} is a format of changes`, 'add --changes');
}

async function run(
  session: CommandSession,
  name: string,
  destination: string | Writable,
  isTar: boolean,
  { changes, against }: ExportFlags,
  progress: (state: TransferProgress) => void,
): Promise<ExportReport> {
  const { engine, trees } = session;
  const { fileSystem } = await session.readTree(name);
  if (changes !== true) {
    const mount = await trees.mountOf(name);
    const { hostDirectories } = engine.chains.storedTree(engine.info(name));
    const shownAt = [...(mount === undefined ? [] : [mount.directory]), ...hostDirectories];
    const options = { format: isTar ? 'tar' : 'directory', progress, shownAt } as const;
    return await exportFileSystem(engine.system, name, fileSystem, destination, options);
  }
  const other = session.comparedWith(name, against, 'name the tree to compare with: --against TREE');
  if (typeof other === 'string') await session.readTree(other);
  const [before, after] = await trees.settle(other, name);
  const tree = { name, files: fileSystem, before, after };
  return await exportChanges(engine, tree, destination, { format: isTar ? 'oci' : 'overlay', progress });
}

function tell(report: ExportReport): string[] {
  return [`exported '${report.name}' to ${report.destination}: ${amountMoved(report)}`];
}
