/** `ramet du`: what each tree uses, what it shares, and what the store takes on disk. */
import type { Command } from 'commander';
import { storeUsage } from '../../survey/index.ts';
import { examples } from '../examples.ts';
import { formatBytes, formatCount, writeJson, writeLine, writeTable } from '../output.ts';
import { withSession } from '../session.ts';

interface DuFlags {
  readonly shared?: boolean;
}

export function register(program: Command): void {
  program
    .command('du')
    .description('show what each tree uses and what the store takes on disk')
    .option('--shared', 'also how much each tree has alone and how much it shares')
    .addHelpText('after', examples('ramet du', 'ramet du --shared --json'))
    .action((flags: DuFlags, command: Command) =>
      withSession(command, async ({ engine, isJson, trees }) => {
        await trees.mounted.settle(new Set(engine.list().map(({ name }) => name)));
        const report = storeUsage(engine);
        if (isJson) {
          await writeJson(report);
          return;
        }
        const columns = [
          { title: 'NAME' },
          { title: 'KIND' },
          { title: 'FILES', align: 'right' },
          { title: 'APPARENT', align: 'right' },
          { title: 'BLOCKS', align: 'right' },
          ...(flags.shared === true
            ? ([
                { title: 'OWN', align: 'right' },
                { title: 'SHARED', align: 'right' },
              ] as const)
            : []),
        ] as const;
        const rows = report.trees.map((tree) => [
          tree.name,
          tree.kind,
          formatCount(tree.files),
          formatBytes(tree.apparentBytes),
          formatBytes(tree.referencedBytes),
          ...(flags.shared === true ? [formatBytes(tree.exclusiveBytes), formatBytes(tree.sharedBytes)] : []),
        ]);
        await writeTable(columns, rows);
        await writeLine('');
        await writeLine(
          `on disk ${formatBytes(report.diskBytes)}: blobs ${formatBytes(report.blobDiskBytes)}, ` +
            `tables ${formatBytes(report.metaDiskBytes)}`,
        );
        await writeLine(
          `all trees together refer to ${formatBytes(report.liveBytes)}; ` +
            `without sharing they would take ${formatBytes(report.unsharedBytes)}`,
        );
      }),
    );
}
