/** `ramet pages`: draws the pages of a file: which are private, shared (and with whom), holes, or in memory. */
import type { Command } from 'commander';
import { at, nameToString } from '../../base/index.ts';
import { filePages, type PageReport, type PageRun, pageReportTitle } from '../../survey/index.ts';
import { examples, wholeNumber } from '../command-line.ts';
import { counted, formatCount, type Lines, print } from '../output.ts';
import { namingTrees, withSession } from '../session.ts';
import { requireTreePath, showTreePath } from '../tree-path.ts';

interface PagesFlags {
  readonly width: number;
  readonly rows: number;
}

/** The letters for each kind of page: in memory, and not in memory. */
const MARKS = {
  private: ['P', 'p'],
  shared: ['S', 's'],
  hole: ['.', '.'],
} as const;
const MIXED = ['#', '+'] as const;
/** How many runs to list for people; the JSON report has all of them. */
const LISTED_RUNS_MAX = 20;

export function register(program: Command): void {
  program
    .command('pages')
    .description(
      'draw the pages of a file: which are private, which are shared and with whom, which are in memory',
    )
    .argument('<file>', 'NAME:/path')
    .option('--width <characters>', 'characters per line', wholeNumber, 64)
    .option(
      '--rows <lines>',
      'limit of lines; in a larger file, one character shows several pages',
      wholeNumber,
      32,
    )
    .addHelpText('after', examples('ramet pages try-1:/model.bin', 'ramet pages base:/a --json'))
    .action((text: string, flags: PagesFlags, command: Command) => {
      const { tree, path } = requireTreePath(text);
      return withSession(command, async (session) => {
        const { engine, isJson } = session;
        const { fileSystem } = await session.readTree(tree);
        const report = await namingTrees([tree], async () => {
          const isMounted = (await session.trees.settleElsewhere([tree])).has(tree);
          // `namingTrees` adds the tree to errors of the engine. This adds the path to errors of the filesystem.
          return at({ syscall: 'pages', path: showTreePath(tree, path) }, () =>
            filePages(engine, tree, path, isMounted ? fileSystem.stat(path, true) : undefined),
          );
        });
        await print(isJson, reportObject(report), () => draw(report, flags));
      });
    });
}

function reportObject(report: PageReport): Record<string, unknown> {
  const { resident: _perPage, path, ...rest } = report;
  return { ...rest, path: nameToString(path) };
}

function* draw(report: PageReport, flags: PagesFlags): Lines {
  const { pageCount, resident, residentCount, privateCount, sharedCount, holeCount } = report;
  const perCharacter = Math.max(1, Math.ceil(pageCount / (flags.width * flags.rows)));
  yield pageReportTitle(report);
  const counts = `${formatCount(privateCount)} private, ${formatCount(sharedCount)} shared`;
  const memory = residentCount < 0 ? '' : `, ${formatCount(residentCount)} in memory`;
  yield `${counts}, ${counted(holeCount, 'hole')}${memory}`;
  const kinds = report.runs.flatMap((run) => new Array<PageRun['kind']>(run.count).fill(run.kind));
  let line = '';
  for (let page = 0; page < pageCount; page += perCharacter) {
    line += markOf(kinds, resident, page, Math.min(pageCount, page + perCharacter));
    if (line.length < flags.width) continue;
    yield line;
    line = '';
  }
  if (line !== '') yield line;
  const each =
    perCharacter === 1 ? 'one page a character' : `${perCharacter} pages a character, # + are mixed`;
  yield `P private  S shared  . hole; small letters: not in memory; ${each}`;
  yield* sharedRuns(report);
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
  // If `resident` is empty, nothing is known and all pages count as in memory. For several pages, the majority decides.
  return resident.length === 0 || inMemory * 2 >= Math.max(mapped, 1) ? pair[0] : pair[1];
}

function* sharedRuns(report: PageReport): Lines {
  const shared = report.runs.filter((run) => run.kind === 'shared');
  for (const run of shared.slice(0, LISTED_RUNS_MAX)) {
    const last = run.first + run.count - 1;
    const where = run.count === 1 ? `page ${run.first}` : `pages ${run.first}-${last}`;
    const within = run.isSharedWithin ? ['another file of this tree'] : [];
    if (run.isHost) within.push('the host file');
    yield `${where}: shared with ${[...run.trees, ...within].join(', ')}`;
  }
  const more = shared.length - LISTED_RUNS_MAX;
  if (more > 0) yield `and ${counted(more, 'more run')}; --json has them all`;
}
