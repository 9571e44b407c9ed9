/**
 * test-files: runs the tests of folders and files, as they were last built. A source file stands for the test beside
 * it; options, such as `--test-name-pattern=TEXT`, go to node. `npm run test:files` and `npm run t` use this tool.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const USAGE = `usage: npm run t -- [--test-name-pattern=TEXT] PATH…
builds, and runs the tests of a folder (src/extent) or a file
`;

/** Twice the cores: tests wait half of their time, for programs, for the kernel, or for time to pass. */
const FILES_AT_ONCE = 2 * availableParallelism();
const NODE_OPTIONS = [
  ...['--test', '--test-reporter=spec', '--test-timeout=1200000'],
  `--test-concurrency=${FILES_AT_ONCE}`,
];

/** The built files of the tests at `path`; empty if there is no such path, or no test there. */
export function testFiles(path: string): string[] {
  if (!existsSync(path)) return [];
  const sources = statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, encoding: 'utf8' }).map((name) => join(path, name))
    : [path.replace(/(?<!\.test)\.ts$/, '.test.ts')].filter((file) => existsSync(file));
  return sources
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join('dist', file.replace(/\.ts$/, '.js')))
    .sort();
}

/** Returns the exit code: 2 if a path is missing or has no tests. */
function run(args: readonly string[]): number {
  const paths = args.filter((arg) => !arg.startsWith('-'));
  const bare = paths.find((path) => testFiles(path).length === 0);
  if (paths.length === 0 || bare !== undefined) {
    process.stderr.write(bare === undefined ? USAGE : `there are no tests at ${bare}\n${USAGE}`);
    return 2;
  }
  const options = args.filter((arg) => arg.startsWith('-'));
  const files = [...new Set(paths.flatMap(testFiles))];
  return (
    spawnSync(process.execPath, [...NODE_OPTIONS, ...options, ...files], { stdio: 'inherit' }).status ?? 1
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = run(process.argv.slice(2));
