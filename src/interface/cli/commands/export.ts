/** `ramet export`: a fork or snapshot becomes a host directory or a tar archive. */
import { type Command, Option } from 'commander';
import { type ExportReport, exportFileSystem } from '../../transfer/index.ts';
import { examples } from '../examples.ts';
import { BrokenPipeError, counted, formatBytes, printable, writeJson, writeLine } from '../output.ts';
import { usageError } from '../problem.ts';
import { startProgress } from '../progress.ts';
import { namedTreeError, withSession } from '../session.ts';

interface ExportFlags {
  readonly format?: 'directory' | 'tar';
}

export function register(program: Command): void {
  program
    .command('export')
    .description('write a fork or snapshot to a host directory or a tar archive')
    .argument('<tree>', 'the fork or snapshot')
    .argument(
      '<destination>',
      "a directory that is absent or empty, a new file ending in .tar, or '-' for a tar on stdout",
    )
    .addOption(new Option('--format <format>', 'directory or tar').choices(['directory', 'tar']))
    .addHelpText(
      'after',
      examples(
        'ramet export try-1 ./result',
        'ramet export try-1 result.tar',
        'ramet export try-1 - | tar tv',
      ),
    )
    .action((name: string, destination: string, flags: ExportFlags, command: Command) => {
      const isStream = destination === '-';
      if (isStream && flags.format === 'directory') {
        throw usageError(
          'a directory cannot be written to stdout',
          'leave --format away, or name a directory',
        );
      }
      return withSession(command, async (session) => {
        const { engine, isJson } = session;
        if (isStream && isJson)
          throw usageError('stdout carries the archive, not JSON', 'name a file instead of -');
        const isTar =
          isStream || flags.format === 'tar' || (flags.format === undefined && destination.endsWith('.tar'));
        const { fileSystem } = await session.readTree(name);
        const progress = startProgress('exporting', isJson);
        let report: ExportReport;
        try {
          report = await exportFileSystem(
            engine.system,
            name,
            fileSystem,
            isStream ? process.stdout : destination,
            {
              format: isTar ? 'tar' : 'directory',
              progress: progress.update,
            },
          );
        } catch (error) {
          if (isStream && (error as NodeJS.ErrnoException).code === 'EPIPE') throw new BrokenPipeError();
          throw namedTreeError(name, error);
        } finally {
          progress.stop();
        }
        if (isJson) await writeJson(report);
        else if (!isStream) await tell(report);
        for (const note of report.notes) {
          if (!isJson) process.stderr.write(`note: ${printable(note.path)}: ${printable(note.message)}\n`);
        }
      });
    });
}

async function tell(report: ExportReport): Promise<void> {
  const seconds = (report.durationMs / 1000).toFixed(2);
  await writeLine(
    `exported '${report.name}' to ${printable(report.destination)}: ${counted(report.files, 'file')}, ` +
      `${counted(report.directories, 'directory', 'directories')}, ` +
      `${formatBytes(report.apparentBytes)} in ${seconds} s`,
  );
}
