/** `ramet du`: shows what each tree uses and shares, and what the store takes on disk. */
import type { Command } from 'commander';
import { type DuReport, storeUsage } from '../../survey/index.ts';
import { examples } from '../command-line.ts';
import { formatBytes, formatCount, type Lines, print, right, table } from '../output.ts';
import { withReader } from '../session.ts';

interface DuFlags {
  readonly shared?: boolean;
}

export function register(program: Command): void {
  program
    .command('du')
    .description('show what each tree uses and what the store takes on disk')
    .option('--shared', 'also show how much each tree has alone and how much it shares')
    .addHelpText('after', examples('ramet du', 'ramet du --shared --json'))
    .action((flags: DuFlags, command: Command) =>
      withReader(command, async ({ engine, isJson, trees }) => {
        await trees.mounted.settle(new Set(engine.list().map(({ name }) => name)));
        await print(isJson, storeUsage(engine), (report) => tell(report, flags.shared === true));
      }),
    );
}

async function tell(report: DuReport, showsSharing: boolean): Promise<Lines> {
  const columns = ['NAME', 'KIND', right('FILES'), right('APPARENT'), right('BLOCKS')];
  const usage = await table(
    [...columns, ...(showsSharing ? [right('OWN'), right('SHARED')] : [])],
    report.trees.map((tree) => [
      tree.name,
      tree.kind,
      formatCount(tree.files),
      formatBytes(tree.apparentBytes),
      formatBytes(tree.referencedBytes),
      ...(showsSharing ? [formatBytes(tree.exclusiveBytes), formatBytes(tree.sharedBytes)] : []),
    ]),
  );
  const blobs = `blobs ${formatBytes(report.blobDiskBytes)}, tables ${formatBytes(report.metaDiskBytes)}`;
  const reserve = `reserve ${formatBytes(report.reserveDiskBytes)}`;
  const unshared = `without sharing they would take ${formatBytes(report.unsharedBytes)}`;
  return [
    ...usage,
    '',
    `on disk ${formatBytes(report.diskBytes)}: ${blobs}, ${reserve}`,
    `all trees together refer to ${formatBytes(report.liveBytes)}; ${unshared}`,
  ];
}
