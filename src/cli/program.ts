/** The `ramet` program: its global options, its commands, and one run of it. */
import { Command, CommanderError } from 'commander';
import { COMMANDS } from './commands/index.ts';
import { BrokenPipeError } from './output.ts';
import { EXIT_USAGE, reportProblem } from './problem.ts';

const EXAMPLES = `
Examples:
  $ ramet init
  $ ramet import ./repo --name base
  $ ramet fork base try-1
  $ ramet cp ./patch.ts try-1:/src/patch.ts
  $ ramet diff try-1
  $ ramet export try-1 ./result

A file in a fork or snapshot is written NAME:/path.
Exit codes: 0 done, 1 a failure, 2 wrong usage.`;

/**
 * A fresh program with the command that `args` name, or with all commands if they name none, as with `--help`. It
 * throws errors (CommanderError), and never prints them or exits.
 */
export async function createProgram(args: readonly string[]): Promise<Command> {
  const program = new Command('ramet')
    .description('A copy-on-write filesystem: fork a directory tree in under a millisecond.')
    .option('--store <directory>', 'the store (else $RAMET_STORE, else ./.ramet)')
    .option('--trust-store', 'use a store of another user whom you trust (or RAMET_TRUST_STORE=1)')
    .option('--json', 'print JSON for programs')
    .addHelpText('after', EXAMPLES)
    .configureHelp({ showGlobalOptions: true })
    .showSuggestionAfterError(true);
  const asked = COMMANDS.get(commandName(args) ?? '');
  const modules = await Promise.all(
    (asked === undefined ? [...COMMANDS.values()] : [asked]).map((load) => load()),
  );
  for (const { register } of modules) register(program);
  throwInstead(program);
  return program;
}

/** The first argument that is neither an option of the program nor the value of an option. */
function commandName(args: readonly string[]): string | undefined {
  return args.find((arg, index) => !arg.startsWith('-') && args[index - 1] !== '--store');
}

/**
 * Makes a command and its subcommands throw errors. Commander passes settings on only to subcommands that are made
 * later, so each subcommand gets them here.
 */
function throwInstead(command: Command): void {
  command
    .exitOverride()
    // Wrong usage is reported by `reportProblem`, as all problems are.
    .configureOutput({ outputError: () => undefined })
    .configureHelp({ showGlobalOptions: true });
  for (const child of command.commands) throwInstead(child);
}

/** Runs `ramet` with these arguments (without node and script), and returns the exit code. */
export async function runCli(args: readonly string[]): Promise<number> {
  // Without a listener a broken pipe would end the process with a stack trace. The next write reports it instead.
  process.stdout.on('error', () => undefined);
  process.stderr.on('error', () => undefined);
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
    // A command with subcommands was given none: its help has been printed.
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT_USAGE;
    return reportProblem(error, wantsJson(args));
  }
}

/**
 * Whether the arguments ask for JSON. Looks at the arguments themselves, because Commander may find wrong usage before
 * it has read the options.
 */
function wantsJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).includes('--json');
}
