/** `ramet fsck`: checks the store; exit code 1 when it found errors. */
import type { Command } from 'commander';
import { checkStore, type FsckReport } from '../../upkeep/index.ts';
import { examples } from '../command-line.ts';
import { counted, formatCount, print, right, table } from '../output.ts';
import { EXIT_FAILURE } from '../problem.ts';
import { withSession } from '../session.ts';

interface FsckFlags {
  readonly scrub?: boolean;
}

export function register(program: Command): void {
  program
    .command('fsck')
    .description('check the store for damage (exit code 1 if there is any)')
    .option('--scrub', 'also read every block in use and compare it with its checksum')
    .addHelpText('after', examples('ramet fsck', 'ramet fsck --scrub --json'))
    .action((flags: FsckFlags, command: Command) =>
      withSession(
        command,
        async ({ engine, isJson }) => {
          const report = checkStore(engine, { scrub: flags.scrub === true });
          await print(isJson, report, tell);
          if (!report.isClean) process.exitCode = EXIT_FAILURE;
        },
        { checksTables: true },
      ),
    );
}

async function tell({ passes, skipped, isClean }: FsckReport): Promise<string[]> {
  const figures = await table(
    ['PASS', right('CHECKED'), right('PROBLEMS')],
    passes.map(({ name, checked, problems }) => [name, formatCount(checked), formatCount(problems.length)]),
  );
  const problems = passes.flatMap((pass) => pass.problems.map((problem) => `${pass.name}: ${problem}`));
  return [
    ...figures,
    ...problems,
    ...skipped.map((reason) => `not checked: ${reason}`),
    isClean ? 'the store is clean' : `${counted(problems.length, 'problem')} found`,
  ];
}
