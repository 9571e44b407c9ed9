/** `ramet dedupe`: equal blocks of a store become one. */
import { type Command, InvalidArgumentError } from 'commander';
import { collectGarbage, type DedupeReport, dedupeStore, type GcReport } from '../../upkeep/index.ts';
import { examples } from '../examples.ts';
import { counted, formatBytes, printable, writeJson, writeLine } from '../output.ts';
import { startBlockProgress } from '../progress.ts';
import { seconds } from '../seconds.ts';
import { type CommandSession, withSession } from '../session.ts';

interface DedupeFlags {
  readonly memory?: number;
  readonly time?: number;
  readonly gc?: boolean;
}

/** Less would be passes without end. */
const MEMORY_BYTES_MIN = 64 * 1024;

export function register(program: Command): void {
  program
    .command('dedupe')
    .description('keep equal blocks of all trees, or of some, once on disk and in memory')
    .argument('[trees...]', 'the trees to look at (else all)')
    .option('--memory <size>', 'memory for the index of blocks, such as 64M or 1G (else 256M)', bytes)
    .option('--time <seconds>', 'end after this time; the next run goes on', seconds)
    .option('--gc', 'give back at once the blocks that no file needs')
    .addHelpText(
      'after',
      examples('ramet dedupe', 'ramet dedupe base try-1 --gc', 'ramet dedupe --memory 64M --time 60'),
    )
    .action((trees: string[], flags: DedupeFlags, command: Command) =>
      withSession(command, async (session) => {
        const report = await run(session, trees, flags);
        const collected = flags.gc === true ? collectGarbage(session.engine) : undefined;
        if (session.isJson) await writeJson(collected === undefined ? report : { ...report, gc: collected });
        else await tell(report, collected);
      }),
    );
}

async function run(
  session: CommandSession,
  names: readonly string[],
  flags: DedupeFlags,
): Promise<DedupeReport> {
  const { engine, isJson } = session;
  for (const name of names) session.info(name);
  const trees = names.length === 0 ? undefined : names;
  const progress = await startBlockProgress('comparing', isJson);
  try {
    return await dedupeStore(engine, {
      ...(trees && { trees }),
      ...(flags.memory !== undefined && { memoryBytes: flags.memory }),
      ...(flags.time !== undefined && { timeMs: flags.time * 1000 }),
      frozenElsewhere: await session.trees.freezeElsewhere(trees),
      progress: progress.update,
    });
  } finally {
    progress.stop();
  }
}

function bytes(text: string): number {
  const match = /^([0-9]+)([KMGT]?)(?:i?B)?$/i.exec(text);
  const value =
    match === null ? 0 : Number(match[1]) * 1024 ** ' KMGT'.indexOf(match[2]!.toUpperCase() || ' ');
  if (!Number.isSafeInteger(value) || value < MEMORY_BYTES_MIN)
    throw new InvalidArgumentError('It must be a size from 64K, such as 64M or 1G.');
  return value;
}

async function tell(report: DedupeReport, collected: GcReport | undefined): Promise<void> {
  const { bytesShared, bytesLookedAt, bytesUnused, durationMs } = report;
  await writeLine(
    `found ${formatBytes(bytesShared)} of ${formatBytes(bytesLookedAt)} twice, changed ` +
      `${counted(report.filesChanged, 'file')} in ${(durationMs / 1000).toFixed(2)} s`,
  );
  if (collected !== undefined) await writeLine(`gave ${formatBytes(collected.bytesFreed)} back`);
  else if (bytesUnused > 0) {
    await writeLine(`no file needs ${formatBytes(bytesUnused)} any more: \`ramet gc\` gives it back`);
  }
  if (collected !== undefined && collected.blobsWaiting > 0) {
    await writeLine(`${counted(collected.blobsWaiting, 'blob')} wait for open trees: run \`ramet gc\` later`);
  }
  if (!report.isComplete) await writeLine('not all was looked at: run it again to go on');
  if (report.blocksDiffering > 0) {
    await writeLine(`${counted(report.blocksDiffering, 'block')} had equal checksums but different bytes`);
  }
  for (const fork of report.forksSkipped) {
    await writeLine(
      `left alone: what '${printable(fork)}' wrote since it was last frozen; another process has it open`,
    );
  }
  for (const problem of report.damaged) await writeLine(`left alone: ${printable(problem)}`);
}
