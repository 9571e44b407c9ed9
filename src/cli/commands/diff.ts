/** `ramet diff`: what differs between two trees, or between a fork and what it was made from. */
import { type Command, Option } from 'commander';
import { DT_DIR, nameToString } from '../../base/index.ts';
import { type FileDifference, fileChanges, fileDifference, statLines } from '../../lifecycle/index.ts';
import { hostState, type TreeState } from '../../store/index.ts';
import { type Change, type ChangedPaths, changedPaths } from '../../survey/index.ts';
import { typeWord } from '../attributes.ts';
import { examples } from '../examples.ts';
import { printable, write, writeJson, writeLine } from '../output.ts';
import { type CommandSession, namedTreeError, namingTree, withSession } from '../session.ts';
import { sourceOf } from '../source.ts';

const LETTERS = { added: 'A', removed: 'D', modified: 'M', renamed: 'R' } as const;

interface DiffFlags {
  readonly stat?: boolean;
  readonly patch?: boolean;
}

export function register(program: Command): void {
  program
    .command('diff')
    .description('show what differs between two trees (exit code 0 even when they differ)')
    .argument('<a>', 'a fork or snapshot')
    .argument('[b]', 'another; without it, A is compared with the tree it was made from')
    .addOption(new Option('--stat', 'count lines (of texts) and bytes, file by file').conflicts('patch'))
    .option('--patch', 'print a patch of the texts, as `git apply` and `patch -p1` take it')
    .addHelpText(
      'after',
      examples('ramet diff try-1', 'ramet diff try-1 try-2 --json', 'ramet diff try-1 --patch > try-1.patch'),
    )
    .action((a: string, b: string | undefined, flags: DiffFlags, command: Command) =>
      withSession(command, async (session) => {
        const hint = 'name the tree to compare with: `ramet diff A B`';
        const host = b === undefined ? namingTree(a, () => hostState(session.engine, a)) : undefined;
        const [before, after] = b === undefined ? [host?.name ?? sourceOf(session, a, hint), a] : [a, b];
        // Opened here, so that a fork that is in use for a moment is waited for.
        await session.readTree(after);
        if (host === undefined) await session.readTree(before);
        else session.trees.openState(host);
        const paths = await compare(session, host ?? before, after);
        if (flags.patch === true || flags.stat === true) {
          const files = filesOf(paths, await session.readTree(before), await session.readTree(after));
          await (flags.patch === true ? tellPatch : tellStat)(session, before, after, files);
          return;
        }
        const { changes } = paths;
        if (session.isJson) await writeJson({ a: before, b: after, changes: changes.map(changeObject) });
        else for (const change of changes) await writeLine(lineOf(change));
      }),
    );
}

async function compare(
  { engine, trees }: CommandSession,
  before: TreeState,
  after: string,
): Promise<ChangedPaths> {
  const name = typeof before === 'string' ? before : before.name;
  try {
    return changedPaths(engine, ...(await trees.settle(before, after)));
  } catch (error) {
    throw namedTreeError(name, namedTreeError(after, error));
  }
}

type Readable = Awaited<ReturnType<CommandSession['readTree']>>;

function* filesOf(paths: ChangedPaths, before: Readable, after: Readable): Generator<FileDifference> {
  for (const change of fileChanges(paths, before.fileSystem, after.fileSystem))
    yield fileDifference(change, before.fileSystem, after.fileSystem);
}

async function tellPatch(
  { isJson }: CommandSession,
  a: string,
  b: string,
  files: Iterable<FileDifference>,
): Promise<void> {
  if (isJson) await writeJson({ a, b, files: [...files].map((file) => fileObject(file, true)) });
  // Names and lines are bytes, whatever they mean.
  else for (const { patch } of files) await write(Buffer.from(patch, 'latin1'));
}

async function tellStat(
  { isJson }: CommandSession,
  a: string,
  b: string,
  files: Iterable<FileDifference>,
): Promise<void> {
  const list = [...files];
  if (isJson) await writeJson({ a, b, files: list.map((file) => fileObject(file, false)) });
  else if (list.length > 0) for (const line of statLines(list)) await writeLine(printable(line));
}

function fileObject(file: FileDifference, hasPatch: boolean): Record<string, unknown> {
  const { path, from, kind, isBinary, insertions, deletions, bytesBefore, bytesAfter, patch } = file;
  const names = { path: nameToString(path), from: from === undefined ? null : nameToString(from) };
  const counts = { kind, isBinary, insertions, deletions, bytesBefore, bytesAfter };
  return { ...names, ...counts, ...(hasPatch ? { patch: nameToString(patch) } : {}) };
}

function lineOf({ kind, path, from, type, parts }: Change): string {
  const slash = type === DT_DIR && path !== '/' ? '/' : '';
  const shown = (name: string): string => printable(nameToString(name)) + slash;
  const names = kind === 'renamed' && from !== undefined ? `${shown(from)} -> ${shown(path)}` : shown(path);
  return `${LETTERS[kind]} ${names}${parts.length > 0 ? ` (${parts.join(', ')})` : ''}`;
}

function changeObject(change: Change): Record<string, unknown> {
  return {
    path: nameToString(change.path),
    from: change.from === undefined ? null : nameToString(change.from),
    kind: change.kind,
    type: typeWord(change.type << 12),
    parts: change.parts,
    sizeBefore: change.sizeBefore ?? null,
    sizeAfter: change.sizeAfter ?? null,
  };
}
