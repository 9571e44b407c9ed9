/** `ramet gc`: gives back the space of what no tree refers to any more. */
import type { Command } from 'commander';
import { collectGarbage, type GcReport } from '../../upkeep/index.ts';
import { examples } from '../examples.ts';
import { counted, formatBytes, printable, writeJson, writeLine } from '../output.ts';
import { withSession } from '../session.ts';

export function register(program: Command): void {
  program
    .command('gc')
    .description('give back the space that no tree refers to')
    .addHelpText('after', examples('ramet gc', 'ramet drop try-1 && ramet gc'))
    .action((_flags: object, command: Command) =>
      withSession(command, async ({ engine, isJson }) => {
        const report = collectGarbage(engine);
        if (isJson) await writeJson(report);
        else await tell(report);
      }),
    );
}

async function tell(report: GcReport): Promise<void> {
  await writeLine(
    `freed ${formatBytes(report.bytesFreed)}: ${counted(report.layersRemoved, 'layer')} and ` +
      `${counted(report.blobsRemoved, 'blob')} removed, ${counted(report.rangesPunched, 'range')} punched`,
  );
  if (report.blobsSealed > 0) await writeLine(`sealed ${counted(report.blobsSealed, 'blob')}`);
  if (report.filesRemoved > 0) {
    await writeLine(`removed ${counted(report.filesRemoved, 'file')} that a crash had left behind`);
  }
  if (report.layersWaiting + report.blobsWaiting > 0) {
    const processes = report.waitingFor.length > 0 ? ` of process ${report.waitingFor.join(', ')}` : '';
    await writeLine(
      `${counted(report.layersWaiting, 'layer')} and ${counted(report.blobsWaiting, 'blob')} ` +
        `wait for open trees${processes}`,
    );
  }
  if (report.isImportRunning)
    await writeLine('an import is under way: nothing was dropped, run gc again later');
  for (const problem of report.unreadableForks) {
    await writeLine(`nothing was given back, the journal of a fork cannot be read: ${printable(problem)}`);
  }
}
