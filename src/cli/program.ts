/** The `ramet` command: its global options and its commands. */
import { Command } from 'commander';
import { COMMANDS } from './commands/index.ts';

export const EXAMPLES = `
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
 * A fresh program; errors are thrown (CommanderError), never printed or turned into an exit here. It has the command
 * that `args` ask for, or all of them where they name none, as for `--help`.
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

/** The first argument that is neither an option of the program nor the value of one. */
function commandName(args: readonly string[]): string | undefined {
  return args.find((arg, index) => !arg.startsWith('-') && args[index - 1] !== '--store');
}

/**
 * Settings are inherited only by commands made afterwards through the parent, so every command gets them
 * here.
 */
function throwInstead(command: Command): void {
  command.exitOverride().configureOutput({ outputError: ignored }).configureHelp({ showGlobalOptions: true });
  for (const child of command.commands) throwInstead(child);
}

/**
 * What commander would say of wrong usage is said by `reportProblem` instead, in the form of all problems.
 */
function ignored(): void {
  // Nothing: see above.
}
