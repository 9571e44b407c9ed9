/**
 * cli: the `ramet` program. Each command is a file in `commands/` that registers itself. The files beside that folder
 * are what the commands share: the session with its open store, output, problems, `NAME:/path`.
 *
 * Invariants: stdout gets tables and lines for people, or with `--json` one JSON value; a failure is one line (or
 * object) on stderr; the exit code is 0 for success, 1 for a failure, 2 for wrong usage; progress is shown only on a
 * terminal; this room holds no state of filesystems.
 *
 * Neighbours: the rooms below do the work; `trees` opens the trees that a command names. `main.ts` is the program's
 * entry.
 */
export { createProgram, runCli } from './program.ts';
