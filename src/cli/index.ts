/**
 * cli: the `ramet` program. Every command is a file in `commands/` that registers itself; what they share
 * (the session with its open store, output, problems, `NAME:/path`) stands beside them.
 *
 * Invariants: tables and lines for people on stdout, with `--json` one JSON value instead; failures are one
 * line (or object) on stderr; exit code 0 done, 1 a failure, 2 wrong usage; no progress unless stderr is a
 * terminal; no filesystem state.
 *
 * Neighbours: the modules below do the work; `trees` opens the trees that a command names. `main.ts` is the
 * program's entry.
 */
export { createProgram } from './program.ts';
export { runCli } from './run.ts';
