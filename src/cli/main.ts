#!/usr/bin/env node
/** Entry of the `ramet` program. */
import { runCli } from './program.ts';

process.exitCode = await runCli(process.argv.slice(2));
