/** `ramet fsck`: checks the store; exit code 1 when it found errors. */
import type { Command } from 'commander';
import { checkStore, type FsckReport } from '../../upkeep/index.ts';
import { examples } from '../examples.ts';
import { counted, formatCount, printable, writeJson, writeLine, writeTable } from '../output.ts';
import { EXIT_FAILURE } from '../problem.ts';
import { withSession } from '../session.ts';

interface FsckFlags {
  readonly scrub?: boolean;
}

export function register(program: Command): void {
  program
    .command('fsck')
    .description('check the store for damage (exit code 1 when there is some)')
    .option('--scrub', 'also read every block in use and compare it with its checksum')
    .addHelpText('after', examples('ramet fsck', 'ramet fsck --scrub --json'))
    .action((flags: FsckFlags, command: Command) =>
      withSession(
        command,
        async ({ engine, isJson }) => {
          const report = checkStore(engine, { scrub: flags.scrub === true });
          if (isJson) await writeJson(report);
          else await tell(report);
          if (!report.isClean) process.exitCode = EXIT_FAILURE;
        },
        { checksTables: true },
      ),
    );
}

async function tell(report: FsckReport): Promise<void> {
  await writeTable(
    [{ title: 'PASS' }, { title: 'CHECKED', align: 'right' }, { title: 'PROBLEMS', align: 'right' }],
    report.passes.map(({ name, checked, problems }) => [
      name,
      formatCount(checked),
      formatCount(problems.length),
    ]),
  );
  for (const { name, problems } of report.passes) {
    for (const problem of problems) await writeLine(`${name}: ${printable(problem)}`);
  }
  for (const reason of report.skipped) await writeLine(`not looked at: ${printable(reason)}`);
  const problems = report.passes.reduce((sum, pass) => sum + pass.problems.length, 0);
  await writeLine(report.isClean ? 'the store is clean' : `${counted(problems, 'problem')} found`);
}
