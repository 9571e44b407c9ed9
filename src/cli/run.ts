/** One run of the program: arguments in, exit code out. */
import { CommanderError } from 'commander';
import { BrokenPipeError } from './output.ts';
import { EXIT_USAGE, reportProblem } from './problem.ts';
import { createProgram } from './program.ts';

/** Runs `ramet` with these arguments (without node and script) and returns the exit code. */
export async function runCli(args: readonly string[]): Promise<number> {
  process.stdout.on('error', leaveToNextWrite);
  process.stderr.on('error', leaveToNextWrite);
  const program = await createProgram(args);
  if (args.length === 0) {
    process.stderr.write(program.helpInformation());
    return EXIT_USAGE;
  }
  const codeBefore = process.exitCode;
  try {
    await program.parseAsync([...args], { from: 'user' });
    return typeof process.exitCode === 'number' && process.exitCode !== codeBefore ? process.exitCode : 0;
  } catch (error) {
    if (error instanceof BrokenPipeError) return 0;
    // --help and --version end this way too.
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    // A command that takes a subcommand and was given none: its help has been printed.
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT_USAGE;
    return reportProblem(error, wantsJson(args));
  }
}

/** Wrong usage may be found before the options are read, so the arguments themselves are looked at. */
function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).includes('--json');
}

/**
 * A reader that goes away is noticed by the next write; without a listener it would end the process with a
 * trace.
 */
function leaveToNextWrite(): void {
  // Nothing: see above.
}
