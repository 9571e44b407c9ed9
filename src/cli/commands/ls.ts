/** `ramet ls`: lists the forks and snapshots of the store, its mounts, or the files of a directory in a tree. */
import type { Command } from 'commander';
import { at, isDirectoryMode, isSymlinkMode, nameToString } from '../../base/index.ts';
import type { Attributes, TreeFiles } from '../../vfs/index.ts';
import { attributesObject, modeText, treeObject } from '../attributes.ts';
import { examples } from '../command-line.ts';
import { formatTime, print, right, table } from '../output.ts';
import { usageError } from '../problem.ts';
import { type CommandSession, withSession } from '../session.ts';
import { baseName, joinPath, showTreePath, treePathOrRoot } from '../tree-path.ts';

interface LsFlags {
  readonly long?: boolean;
  readonly mounts?: boolean;
}

interface ListedFile {
  readonly name: string;
  readonly attributes: Attributes;
  readonly target: string | undefined;
}

export function register(program: Command): void {
  program
    .command('ls')
    .description('list forks and snapshots, or the files of a directory in a tree')
    .argument('[path]', 'NAME or NAME:/path')
    .option('-l, --long', 'show mode, links, owner, size and time')
    .option('--mounts', 'list mounts instead')
    .addHelpText(
      'after',
      examples('ramet ls', 'ramet ls try-1:/src', 'ramet ls -l try-1:/src/x.ts', 'ramet ls --mounts'),
    )
    .action((text: string | undefined, flags: LsFlags, command: Command) => {
      if (flags.mounts === true && text !== undefined)
        throw usageError('--mounts lists all mounts of the store', 'leave out the path');
      return withSession(command, (session) => {
        if (flags.mounts === true) return listMounts(session);
        return text === undefined ? listTrees(session) : listFiles(session, text, flags.long === true);
      });
    });
}

async function listMounts({ trees, isJson }: CommandSession): Promise<void> {
  await print(isJson, await trees.mounted.list(), (mounts) =>
    mounts.length === 0
      ? ['nothing is mounted: `ramet mount FORK DIR` mounts a fork']
      : table(
          ['NAME', 'DIRECTORY', 'IO', 'SINCE', 'USED BY'],
          mounts.map(({ fork, directory, io, since, holders, isDetached, users }) => [
            fork,
            isDetached ? `${directory} (unmounted)` : directory,
            io,
            formatTime(Date.parse(since) / 1000),
            [...holders, ...users].join(', '),
          ]),
        ),
  );
}

async function listTrees({ engine, isJson }: CommandSession): Promise<void> {
  const trees = engine.list();
  await print(isJson, trees.map(treeObject), () =>
    trees.length === 0
      ? ['no forks or snapshots yet: `ramet import DIR` makes the first']
      : table(
          ['NAME', 'KIND', 'FROM', 'CREATED'],
          trees.map(({ name, kind, source, created }) => [name, kind, source, formatTime(created.seconds)]),
        ),
  );
}

async function listFiles(session: CommandSession, text: string, isLong: boolean): Promise<void> {
  const { tree, path } = treePathOrRoot(text);
  const { fileSystem } = await session.readTree(tree);
  const shown = showTreePath(tree, path);
  const attributes = at({ syscall: 'ls', path: shown }, () => fileSystem.stat(path, !isLong));
  const files = isDirectoryMode(attributes.mode)
    ? at({ syscall: 'scandir', path: shown }, () => filesIn(fileSystem, path))
    : [fileAt(fileSystem, path, baseName(path))];
  const columns = ['MODE', right('LINKS'), right('UID'), right('GID'), right('SIZE'), 'MODIFIED', 'NAME'];
  await print(session.isJson, files.map(fileObject), () =>
    isLong
      ? table(columns, files.map(longRow))
      : files.map((file) => nameToString(file.name) + mark(file.attributes.mode)),
  );
}

function fileAt(fileSystem: TreeFiles, path: string, name: string): ListedFile {
  const attributes = fileSystem.stat(path, false);
  const target = isSymlinkMode(attributes.mode) ? fileSystem.readLink(path) : undefined;
  return { name, attributes, target };
}

function filesIn(fileSystem: TreeFiles, path: string): ListedFile[] {
  return fileSystem
    .readDirectoryNames(path)
    .sort()
    .map((name) => fileAt(fileSystem, joinPath(path, name), name));
}

function fileObject({ name, attributes, target }: ListedFile): Record<string, number | string> {
  return {
    name: nameToString(name),
    ...attributesObject(attributes),
    ...(target === undefined ? {} : { target: nameToString(target) }),
  };
}

function longRow({ name, attributes, target }: ListedFile): string[] {
  const arrow = target === undefined ? '' : ` -> ${nameToString(target)}`;
  return [
    modeText(attributes.mode),
    String(attributes.nlink),
    String(attributes.uid),
    String(attributes.gid),
    String(attributes.size),
    formatTime(attributes.mtimeSeconds),
    nameToString(name) + arrow,
  ];
}

/** Like `ls -F`: a slash after a directory, an at sign after a symlink. */
function mark(mode: number): string {
  if (isDirectoryMode(mode)) return '/';
  return isSymlinkMode(mode) ? '@' : '';
}
