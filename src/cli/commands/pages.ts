/**
 * `ramet pages`: draws where a file's pages lie: private, shared (and with whom), holes, and what is in
 * memory.
 */
import { type Command, InvalidArgumentError } from 'commander';
import { FsError, nameToString } from '../../base/index.ts';
import { filePages, type PageReport, type PageRun, pageReportTitle } from '../../survey/index.ts';
import { examples } from '../examples.ts';
import { counted, formatCount, printable, writeJson, writeLine } from '../output.ts';
import { namedTreeError, withSession } from '../session.ts';
import { requireTreePath, showTreePath } from '../tree-path.ts';

interface PagesFlags {
  readonly width: number;
  readonly rows: number;
}

/** By kind: in memory and not. */
const MARKS = {
  private: ['P', 'p'],
  shared: ['S', 's'],
  hole: ['.', '.'],
} as const;
const MIXED = ['#', '+'] as const;
/** Runs listed for people; the JSON report has them all. */
const LISTED_RUNS_MAX = 20;

export function register(program: Command): void {
  program
    .command('pages')
    .description(
      'draw the pages of a file: which are private, which are shared and with whom, which are in memory',
    )
    .argument('<file>', 'NAME:/path')
    .option('--width <characters>', 'characters a line', wholeNumber, 64)
    .option('--rows <lines>', 'lines at most; a larger file has several pages a character', wholeNumber, 32)
    .addHelpText('after', examples('ramet pages try-1:/model.bin', 'ramet pages base:/a --json'))
    .action((text: string, flags: PagesFlags, command: Command) => {
      const { tree, path } = requireTreePath(text);
      return withSession(command, async (session) => {
        const { engine, isJson } = session;
        const { fileSystem } = await session.readTree(tree);
        let report: PageReport;
        try {
          const isMounted = (await session.trees.settleElsewhere([tree])).has(tree);
          report = filePages(engine, tree, path, isMounted ? fileSystem.stat(path, true) : undefined);
        } catch (error) {
          throw nameProblem(tree, path, error);
        }
        if (isJson) await writeJson(reportObject(report));
        else await draw(report, flags);
      });
    });
}

/** The engine's errors name the tree, those of the filesystem nothing: both end up with a name. */
function nameProblem(tree: string, path: string, error: unknown): unknown {
  if (!(error instanceof FsError) || error.path !== undefined) return namedTreeError(tree, error);
  return error.in({ syscall: 'pages', path: showTreePath(tree, path) });
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('It must be a whole number from 1.');
  return value;
}

function reportObject(report: PageReport): Record<string, unknown> {
  const { resident: _perPage, path, ...rest } = report;
  return { ...rest, path: nameToString(path) };
}

async function draw(report: PageReport, flags: PagesFlags): Promise<void> {
  const { pageCount, resident } = report;
  const perCharacter = Math.max(1, Math.ceil(pageCount / (flags.width * flags.rows)));
  await writeLine(printable(pageReportTitle(report)));
  const memory = report.residentCount < 0 ? '' : `, ${formatCount(report.residentCount)} in memory`;
  await writeLine(
    `${formatCount(report.privateCount)} private, ${formatCount(report.sharedCount)} shared, ` +
      `${counted(report.holeCount, 'hole')}${memory}`,
  );
  const kinds = kindsOf(report);
  let line = '';
  for (let page = 0; page < pageCount; page += perCharacter) {
    line += markOf(kinds, resident, page, Math.min(pageCount, page + perCharacter));
    if (line.length < flags.width) continue;
    await writeLine(line);
    line = '';
  }
  if (line !== '') await writeLine(line);
  const each =
    perCharacter === 1 ? 'one page a character' : `${perCharacter} pages a character, # + are mixed`;
  await writeLine(`P private  S shared  . hole; small letters: not in memory; ${each}`);
  await listRuns(report);
}

function kindsOf(report: PageReport): PageRun['kind'][] {
  const kinds: PageRun['kind'][] = [];
  for (const run of report.runs) for (let page = 0; page < run.count; page++) kinds.push(run.kind);
  return kinds;
}

function markOf(kinds: readonly PageRun['kind'][], resident: Uint8Array, start: number, end: number): string {
  const kind = kinds[start]!;
  let isUniform = true;
  let inMemory = 0;
  let mapped = 0;
  for (let page = start; page < end; page++) {
    if (kinds[page] !== kind) isUniform = false;
    if (kinds[page] !== 'hole') mapped++;
    if (resident[page] === 1) inMemory++;
  }
  const pair = isUniform ? MARKS[kind] : MIXED;
  // Where residence cannot be told every page counts as in memory; of several the majority decides.
  return resident.length === 0 || inMemory * 2 >= Math.max(mapped, 1) ? pair[0] : pair[1];
}

async function listRuns(report: PageReport): Promise<void> {
  const shared = report.runs.filter((run) => run.kind === 'shared');
  for (const run of shared.slice(0, LISTED_RUNS_MAX)) {
    const last = run.first + run.count - 1;
    const where = run.count === 1 ? `page ${run.first}` : `pages ${run.first}-${last}`;
    const within = run.isSharedWithin ? ['another file of this tree'] : [];
    if (run.isHost) within.push('the host file');
    await writeLine(`${where}: shared with ${printable([...run.trees, ...within].join(', '))}`);
  }
  const more = shared.length - LISTED_RUNS_MAX;
  if (more > 0) await writeLine(`and ${counted(more, 'more run')}; --json has them all`);
}
