/** Reports failures: to people in one line that says the cause and what to do, to programs as a JSON object. */
import { CommanderError } from 'commander';
import { FsError, StoreError } from '../base/index.ts';
import { printable } from './output.ts';

export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;

/**
 * A failure that a command finds itself. `message` is the cause, `hint` says what to do; neither ends with a period.
 */
export class CommandError extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly exitCode: number;

  constructor(code: string, message: string, hint?: string, exitCode: number = EXIT_FAILURE) {
    super(message);
    this.code = code;
    this.hint = hint;
    this.exitCode = exitCode;
  }
}

/** The error for wrong usage: arguments that contradict each other, or make no sense. */
export function usageError(message: string, hint?: string): CommandError {
  return new CommandError('USAGE', message, hint, EXIT_USAGE);
}

interface Problem {
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  readonly path?: string;
  readonly exitCode: number;
}

/** Hints for codes where one hint fits most cases. An error that has its own note or hint gets none of these. */
const HINTS: Readonly<Record<string, string>> = {
  EACCES: 'check the permissions or run as a user who has them',
  EPERM: 'it takes more privileges on this host',
  ENOSPC: '`ramet drop` trees that nobody needs, then run `ramet gc`; or free some space on the disk',
  EDQUOT: 'free some space, the quota is used up',
  EROFS: 'snapshots never change: make a fork with `ramet fork` and write there',
  EISDIR: 'add -r to work on a whole directory',
  EIO: 'run `ramet fsck` to see what is damaged',
  EBUSY: 'close it there first',
  EMFILE: 'raise the limit of open files (ulimit -n)',
  ENOMEM: 'raise vm.max_map_count or free some memory',
};

function withHint(problem: Omit<Problem, 'hint'>, hint: string | undefined): Problem {
  return hint === undefined ? problem : { ...problem, hint };
}

export function describeProblem(error: unknown): Problem {
  if (error instanceof CommandError) {
    return withHint({ code: error.code, message: error.message, exitCode: error.exitCode }, error.hint);
  }
  if (error instanceof StoreError) {
    const message = error.message.endsWith(` ${error.hint}`)
      ? error.message.slice(0, -error.hint.length - 1).replace(/\.$/, '')
      : error.message;
    return { code: error.code, message, hint: error.hint, path: error.path, exitCode: EXIT_FAILURE };
  }
  if (error instanceof FsError) {
    const problem = { code: error.code, message: error.message, exitCode: EXIT_FAILURE };
    const hint = error.note === undefined ? HINTS[error.code] : undefined;
    return withHint(error.path === undefined ? problem : { ...problem, path: error.path }, hint);
  }
  if (error instanceof CommanderError) {
    const message = error.message
      .replace(/^error: /, '')
      .replace(/\.$/, '')
      .replaceAll('\n', ' ');
    const hint = 'see `ramet --help`, or `ramet COMMAND --help`';
    return { code: 'USAGE', message, hint, exitCode: EXIT_USAGE };
  }
  if (error instanceof Error) {
    const { code } = error as NodeJS.ErrnoException;
    const message = code === undefined ? `${error.name}: ${error.message}` : error.message;
    return withHint(
      { code: code ?? 'INTERNAL', message, exitCode: EXIT_FAILURE },
      code === undefined ? 'this is a defect of ramet; RAMET_TRACE=1 shows where' : HINTS[code],
    );
  }
  return { code: 'INTERNAL', message: String(error), exitCode: EXIT_FAILURE };
}

/** Writes one line for people to stderr, or one JSON object for programs. */
function writeProblem(isJson: boolean, object: unknown, line: string): void {
  process.stderr.write(`${isJson ? JSON.stringify(object) : printable(`ramet: ${line}`)}\n`);
}

/** Reports a problem that does not stop the command. */
export function warn(message: string, isJson: boolean): void {
  writeProblem(isJson, { warning: message }, message);
}

/** Turns a sentence into the second half of a line. */
function asClause(sentence: string): string {
  return sentence.charAt(0).toLowerCase() + sentence.slice(1).replace(/\.$/, '');
}

/** Writes the problem to stderr, and returns its exit code. */
export function reportProblem(error: unknown, isJson: boolean): number {
  const { exitCode, ...problem } = describeProblem(error);
  const hint = problem.hint === undefined ? '' : `: ${asClause(problem.hint)}`;
  writeProblem(isJson, { error: problem }, problem.message + hint);
  if (process.env.RAMET_TRACE === '1' && error instanceof Error && error.stack !== undefined) {
    process.stderr.write(`${error.stack}\n`);
  }
  return exitCode;
}
