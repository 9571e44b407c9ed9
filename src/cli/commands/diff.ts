/** `ramet diff`: shows the differences between two trees, or between a fork and what it was made from. */
import { type Command, Option } from 'commander';
import { DT_DIR, nameToString, wordOfMode } from '../../base/index.ts';
import { type FileDifference, fileChanges, fileDifference, statLines } from '../../lifecycle/index.ts';
import { type Change, type ChangedPaths, changedPaths } from '../../survey/index.ts';
import type { TreeFiles } from '../../vfs/index.ts';
import { examples } from '../command-line.ts';
import { print, write, writeJson, writeLine } from '../output.ts';
import { type CommandSession, namingTrees, withReader } from '../session.ts';

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
    .argument('[b]', 'another fork or snapshot (else the tree that A was made from)')
    .addOption(
      new Option('--stat', 'count changed lines (of text files) and bytes for each file').conflicts('patch'),
    )
    .option('--patch', 'print a patch of the text files, for `git apply` or `patch -p1`')
    .addHelpText(
      'after',
      examples('ramet diff try-1', 'ramet diff try-1 try-2 --json', 'ramet diff try-1 --patch > try-1.patch'),
    )
    .action((a: string, b: string | undefined, flags: DiffFlags, command: Command) =>
      withReader(command, (session) => compare(session, a, b, flags)),
    );
}

async function compare(
  session: CommandSession,
  a: string,
  b: string | undefined,
  { patch: isPatch = false, stat: isStat = false }: DiffFlags,
): Promise<void> {
  const { engine, isJson, trees } = session;
  const after = b ?? a;
  const hint = 'name the tree to compare with: `ramet diff A B`';
  const state = session.comparedWith(a, b === undefined ? undefined : a, hint);
  const before = typeof state === 'string' ? state : state.name;
  // Open the newer tree first: `readTree` waits if another process has the fork open for a moment.
  const newer = (await session.readTree(after)).fileSystem;
  if (typeof state !== 'string') trees.openState(state);
  const older = (await session.readTree(before)).fileSystem;
  const paths = await namingTrees([after, before], async () =>
    changedPaths(engine, ...(await trees.settle(state, after))),
  );
  const names = { a: before, b: after };
  if (!isPatch && !isStat) {
    const { changes } = paths;
    await print(isJson, { ...names, changes: changes.map(changeObject) }, () => changes.map(lineOf));
    return;
  }
  const files = filesOf(paths, older, newer);
  if (isJson) await writeJson({ ...names, files: [...files].map((file) => fileObject(file, isPatch)) });
  // Write a patch as bytes, since the names and lines in it may have any encoding.
  else if (isPatch) for (const { patch } of files) await write(Buffer.from(patch, 'latin1'));
  else await tellStat([...files]);
}

function* filesOf(paths: ChangedPaths, older: TreeFiles, newer: TreeFiles): Generator<FileDifference> {
  for (const change of fileChanges(paths, older, newer)) yield fileDifference(change, older, newer);
}

async function tellStat(files: readonly FileDifference[]): Promise<void> {
  if (files.length > 0) for (const line of statLines(files)) await writeLine(line);
}

function fileObject(file: FileDifference, hasPatch: boolean): Record<string, unknown> {
  const { path, from, kind, isBinary, insertions, deletions, bytesBefore, bytesAfter, patch } = file;
  const names = { path: nameToString(path), from: from === undefined ? null : nameToString(from) };
  const counts = { kind, isBinary, insertions, deletions, bytesBefore, bytesAfter };
  return { ...names, ...counts, ...(hasPatch ? { patch: nameToString(patch) } : {}) };
}

function lineOf({ kind, path, from, type, parts }: Change): string {
  const slash = type === DT_DIR && path !== '/' ? '/' : '';
  const shown = (name: string): string => nameToString(name) + slash;
  const names = kind === 'renamed' && from !== undefined ? `${shown(from)} -> ${shown(path)}` : shown(path);
  return `${LETTERS[kind]} ${names}${parts.length > 0 ? ` (${parts.join(', ')})` : ''}`;
}

function changeObject(change: Change): Record<string, unknown> {
  return {
    path: nameToString(change.path),
    from: change.from === undefined ? null : nameToString(change.from),
    kind: change.kind,
    type: wordOfMode(change.type << 12),
    parts: change.parts,
    sizeBefore: change.sizeBefore ?? null,
    sizeAfter: change.sizeAfter ?? null,
  };
}
