/** `ramet dedupe`: keeps one copy of each set of equal blocks in a store. */
import type { Command } from 'commander';
import { collectGarbage, type DedupeReport, dedupeStore, type GcReport } from '../../upkeep/index.ts';
import { examples, seconds, sizeBytes } from '../command-line.ts';
import { counted, formatBytes, type Lines, print } from '../output.ts';
import { withBlockProgress } from '../progress.ts';
import { type CommandSession, withSession } from '../session.ts';

interface DedupeFlags {
  readonly memory?: number;
  readonly time?: number;
  readonly gc?: boolean;
}

/** With less memory there would be too many passes. */
const MEMORY_BYTES_MIN = 64 * 1024;

export function register(program: Command): void {
  program
    .command('dedupe')
    .description('keep only one copy of equal blocks on disk and in memory, in all trees or in some')
    .argument('[trees...]', 'the trees to look at (else all)')
    .option('--memory <size>', 'memory for the index of blocks, such as 64M or 1G (else 256M)', memory)
    .option('--time <seconds>', 'stop after this time; the next run continues', seconds)
    .option('--gc', 'give back at once the blocks that no file needs')
    .addHelpText(
      'after',
      examples('ramet dedupe', 'ramet dedupe base try-1 --gc', 'ramet dedupe --memory 64M --time 60'),
    )
    .action((trees: string[], flags: DedupeFlags, command: Command) =>
      withSession(command, async (session) => {
        const report = await run(session, trees, flags);
        const collected = flags.gc === true ? collectGarbage(session.engine) : undefined;
        const found = collected === undefined ? report : { ...report, gc: collected };
        await print(session.isJson, found, () => tell(report, collected));
      }),
    );
}

async function run(
  session: CommandSession,
  names: readonly string[],
  flags: DedupeFlags,
): Promise<DedupeReport> {
  for (const name of names) session.info(name);
  const trees = names.length === 0 ? undefined : names;
  return await withBlockProgress(session.isJson, async (progress) =>
    dedupeStore(session.engine, {
      ...(trees && { trees }),
      ...(flags.memory !== undefined && { memoryBytes: flags.memory }),
      ...(flags.time !== undefined && { timeMs: flags.time * 1000 }),
      frozenElsewhere: await session.trees.freezeElsewhere(trees),
      progress,
    }),
  );
}

function memory(text: string): number {
  return sizeBytes(text, MEMORY_BYTES_MIN, 'It must be a size from 64K, such as 64M or 1G.');
}

function* tell(report: DedupeReport, collected: GcReport | undefined): Lines {
  const { bytesShared, bytesLookedAt, bytesUnused, filesChanged, durationMs } = report;
  const found = `found ${formatBytes(bytesShared)} of ${formatBytes(bytesLookedAt)} twice`;
  yield `${found}, changed ${counted(filesChanged, 'file')} in ${(durationMs / 1000).toFixed(2)} s`;
  if (collected !== undefined) yield `gave ${formatBytes(collected.bytesFreed)} back`;
  else if (bytesUnused > 0)
    yield `no file needs ${formatBytes(bytesUnused)} any more: \`ramet gc\` gives it back`;
  if (collected !== undefined && collected.blobsWaiting > 0)
    yield `${counted(collected.blobsWaiting, 'blob')} wait for open trees: run \`ramet gc\` later`;
  if (!report.isComplete) yield 'not all blocks were compared: run `ramet dedupe` again to go on';
  if (report.blocksDiffering > 0)
    yield `${counted(report.blocksDiffering, 'block')} had equal checksums but different bytes`;
  for (const fork of report.forksSkipped)
    yield `left alone: changes in '${fork}' since it was last frozen, because another process has the fork open`;
  for (const problem of report.damaged) yield `left alone: ${problem}`;
}
