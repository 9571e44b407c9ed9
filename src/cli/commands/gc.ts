/** `ramet gc`: gives back the space that no tree refers to any more. */
import type { Command } from 'commander';
import { collectGarbage, type GcReport } from '../../upkeep/index.ts';
import { examples } from '../command-line.ts';
import { counted, formatBytes, type Lines, print } from '../output.ts';
import { withSession } from '../session.ts';

export function register(program: Command): void {
  program
    .command('gc')
    .description('give back the space that no tree refers to')
    .addHelpText('after', examples('ramet gc', 'ramet drop try-1 && ramet gc'))
    .action((_flags: object, command: Command) =>
      withSession(command, ({ engine, isJson }) => print(isJson, collectGarbage(engine), tell)),
    );
}

function* tell(report: GcReport): Lines {
  const removed = `${counted(report.layersRemoved, 'layer')} and ${counted(report.blobsRemoved, 'blob')} removed`;
  yield `freed ${formatBytes(report.bytesFreed)}: ${removed}, ${counted(report.rangesPunched, 'range')} punched`;
  if (report.blobsSealed > 0) yield `sealed ${counted(report.blobsSealed, 'blob')}`;
  if (report.filesRemoved > 0)
    yield `removed ${counted(report.filesRemoved, 'file')} that a crash had left behind`;
  if (report.layersWaiting + report.blobsWaiting > 0) {
    const processes = report.waitingFor.length > 0 ? ` of process ${report.waitingFor.join(', ')}` : '';
    const waiting = `${counted(report.layersWaiting, 'layer')} and ${counted(report.blobsWaiting, 'blob')}`;
    yield `${waiting} wait for open trees${processes}`;
  }
  if (report.isImportRunning) yield 'an import is under way: nothing was dropped, run gc again later';
  for (const problem of report.unreadableForks)
    yield `nothing was given back, the journal of a fork cannot be read: ${problem}`;
}
